# ruff: noqa: F821  (traitlets puts get_config here)
"""JupyterHub for a class, with a user of the system for each person; docs/hub.md explains it.

Change the names below; `jupyterhub -f jupyterhub_config.py` then serves the class.
"""

import logging
from importlib.util import find_spec

COURSE = "/srv/gqa/course"  # the students' copy: everybody can read it, only you can write to it
CLONE = "/srv/gqa/clone"  # the instructor's clone, with the solutions: closed to everybody else
RECORDS = "/srv/gqa/records"  # gradebook and submissions
EXCHANGE = "/srv/gqa/exchange"
INSTRUCTOR = "teacher"  # the user who owns CLONE, RECORDS and EXCHANGE
GROUPS = {"students", "teachers"}  # of the system, whose users may log in
MEMORY, CORES = "3G", 2.0  # for each student's server; the instructor's has no limit

c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # a web server with TLS goes in front of it
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.open_sessions = False
c.LocalAuthenticator.allowed_groups = GROUPS
c.LocalAuthenticator.create_system_users = False

# Each person's server on an address of its own, so that no student's page is of the same site as
# the instructor's: needs *.hub.example.org in DNS and in the certificate.
# c.JupyterHub.subdomain_host = "https://hub.example.org"

if find_spec("systemdspawner"):
    c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
    c.SystemdSpawner.isolate_tmp = True
    c.JupyterHub.cleanup_servers = False  # students work on while the hub is restarted
else:
    c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
    logging.getLogger("jupyterhub").warning(
        "jupyterhub-systemdspawner is not installed, so one student can take all memory: "
        "LocalProcessSpawner has no limits."
    )
c.Spawner.start_timeout = c.Spawner.http_timeout = 180
c.Spawner.environment = {"GQA_EXCHANGE": EXCHANGE}


def with_their_tools(spawner):
    """Give the instructor Formgrader, and everybody else the learner's desk."""
    if spawner.user.name == INSTRUCTOR:
        spawner.cmd = [f"{CLONE}/.venv/bin/gqa-singleuser", "--role=instructor"]
        spawner.environment = spawner.environment | {"GQA_HOME": RECORDS}
        of_the_unit = {"Delegate": "yes"}  # control groups for what is graded
    else:
        spawner.cmd = [f"{COURSE}/.venv/bin/gqa-singleuser"]
        spawner.mem_limit, spawner.cpu_limit = MEMORY, CORES
        of_the_unit = {"OOMPolicy": "continue"}  # at the limit a kernel ends, not the server
    if hasattr(spawner, "unit_extra_properties"):
        spawner.unit_extra_properties = spawner.unit_extra_properties | of_the_unit


c.Spawner.pre_spawn_hook = with_their_tools
