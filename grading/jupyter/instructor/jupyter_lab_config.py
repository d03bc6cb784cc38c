# ruff: noqa: F821  (traitlets puts load_subconfig here)
load_subconfig("jupyter_lab_config.py", path=f"{__file__.rpartition('/')[0]}/../student")
