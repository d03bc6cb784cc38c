# ruff: noqa: F821  (traitlets puts get_config and load_subconfig here)
load_subconfig("student.py", path=__file__.rpartition("/")[0])
# Formgrader is a frame in JupyterLab's page, and the hub forbids frames unless told otherwise.
get_config().ServerApp.tornado_settings = {
    "headers": {"Content-Security-Policy": "frame-ancestors 'self'"}
}
