# ruff: noqa: F821  (traitlets puts get_config here)
"""JupyterHub whose students have containers, each under its own uid; docs/hub.md explains it.

A container's files belong to whoever the machine says the student is, so hand-ins are told apart.
"""

import pwd

EXCHANGE = "/srv/gqa/exchange"  # as the students' copy in the image names it
IMAGE = "gqa-course"
BRIDGE = "172.17.0.1"  # the machine as containers see it: `ip -4 address show docker0`
PASSWD = "/etc/passwd"  # who is who; with LDAP, a file that `getent passwd` wrote
MEMORY, CORES = "3G", 2.0

c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # a web server with TLS goes in front of it
c.JupyterHub.hub_ip = BRIDGE  # containers reach the hub, and nobody outside the machine
c.JupyterHub.cleanup_servers = False  # students work on while the hub is restarted
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.open_sessions = False
c.LocalAuthenticator.allowed_groups = {"students"}
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = IMAGE
c.DockerSpawner.cmd = ["gqa-singleuser"]
c.DockerSpawner.remove = True
c.DockerSpawner.mem_limit, c.DockerSpawner.cpu_limit = MEMORY, CORES
c.DockerSpawner.extra_host_config = {"security_opt": ["no-new-privileges"]}
c.Spawner.start_timeout = c.Spawner.http_timeout = 180
c.Spawner.environment = {"GQA_EXCHANGE": EXCHANGE}


def as_themselves(spawner):
    """Run a student's container as that student, in the home that the machine has for them."""
    person = pwd.getpwnam(spawner.user.name)
    if person.pw_uid < 1000:
        raise ValueError(f"{person.pw_name} is a user of the system, not a student.")
    spawner.extra_create_kwargs = {"user": f"{person.pw_uid}:{person.pw_gid}"}
    spawner.volumes = {
        person.pw_dir: person.pw_dir,
        EXCHANGE: EXCHANGE,
        PASSWD: {"bind": "/etc/passwd", "mode": "ro"},  # a hand-in names its student
    }
    spawner.environment = spawner.environment | {
        "HOME": person.pw_dir,
        "USER": person.pw_name,
        "GQA_WORK": f"{person.pw_dir}/gqa-work",
    }


c.Spawner.pre_spawn_hook = as_themselves
