# ruff: noqa: F821  (traitlets puts get_config here)
c = get_config()
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.log_level = "ERROR"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
