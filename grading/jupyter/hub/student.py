# ruff: noqa: F821  (traitlets puts load_subconfig here)
# What `gqa lab` reads by another way; the hub's own address and login take precedence.
load_subconfig("jupyter_lab_config.py", path=f"{__file__.rpartition('/')[0]}/../student")
