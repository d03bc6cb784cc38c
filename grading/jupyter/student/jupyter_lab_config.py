# ruff: noqa: F821  (traitlets puts get_config here)
import logging
import os
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

c = get_config()
c.Application.log_level = "ERROR"
for name in ("PersonaManagerExtension", "RouterExtension", "JaiChatCommandsExtension"):
    logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.identity_provider_class = "grading.guard.identity.OwnPages"
c.IdentityProvider.cookie_options = {"samesite": "Strict"}
c.AsyncMappingKernelManager.kernel_manager_class = "grading.learner.kernels.Kernel"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
if len(jupyter_runtime_dir()) < 50:  # a socket's path may have 107 bytes
    c.KernelManager.transport = "ipc"  # kernels open no TCP port
c.PersonaManager.default_persona_id = "jupyter-ai-personas::gqa_lib::Tutor"
c.PersonaManager.builtin_mcp_servers = []
c.LabApp.extra_labextensions_path = [str(Path(__file__).parent / "labextensions")]
if os.name == "posix":  # a login shell, the default without a terminal, forgets where `gqa` is
    c.ServerApp.terminado_settings = {"shell_command": [os.environ.get("SHELL") or "sh"]}
