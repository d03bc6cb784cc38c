"""`gqa-singleuser`: what JupyterHub starts for a person, with the course's desk in it.

The hub says where to listen, who may come in and what the server's address is; here stand the
folders, the settings and the page to open. One installation serves everybody on a machine: each
person's notebooks are in their home.
"""

import os
import sys
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from gqa_lib.course.manifest import class_exchange, is_students_copy

from .desk import workspaces
from .lab import JUPYTER, instructors_desk, students_desk, with_commands

WORK = "gqa-work"  # in the home of each person
ROLES = ("student", "instructor")


def main() -> None:
    """Run JupyterHub's single-user server on the course until the hub stops it."""
    parser = ArgumentParser(prog="gqa-singleuser", add_help=False, allow_abbrev=False)
    parser.add_argument("--role", choices=ROLES, default="student")
    chosen, hubs = parser.parse_known_args()
    try:
        check(chosen.role)
        arguments = [*prepare(chosen.role), *hubs]
    except ValueError as error:
        sys.exit(f"gqa-singleuser: {error}")
    except OSError as error:
        sys.exit(
            f"gqa-singleuser: {error.filename}: {error.strerror}. Whoever this server is for must "
            f"be able to write to {places.home()} (records, GQA_HOME) and to {places.work()} "
            "(notebooks, GQA_WORK), with space left on the disk."
        )
    sys.argv = ["gqa-singleuser", *arguments]
    from jupyterhub.singleuser import main as serve

    serve()


def check(role: str) -> None:
    """See that a hub is there and that this installation may serve the role.

    Raises:
        ValueError: it may not.
    """
    if not os.environ.get("JUPYTERHUB_SERVICE_URL"):
        raise ValueError(
            "JUPYTERHUB_SERVICE_URL is not set: JupyterHub starts this command, and docs/hub.md "
            "says how. Without a hub, `gqa lab` opens the course."
        )
    if not find_spec("jupyterhub"):
        raise ValueError(
            f"the course's environment {sys.prefix} has no JupyterHub: "
            f"{sys.prefix}/bin/python -m pip install -e '.[course,hub]' -c constraints.txt "
            "in the course's folder, with the version of your hub."
        )
    if role == "student" and not is_students_copy():
        raise ValueError(
            "this is a clone of the course, which has the solutions and hidden tests: students "
            "could read them. Make a students' copy with `gqa release --students` and let the "
            "hub start the gqa-singleuser of that."
        )
    exchange = class_exchange()
    if role == "student" and exchange is None:
        raise ValueError(
            "no exchange is named, so nothing could be handed in: make the students' copy with "
            "GQA_EXCHANGE set, or give GQA_EXCHANGE in c.Spawner.environment."
        )
    if exchange and not exchange.is_dir():
        print(
            f"gqa-singleuser: the exchange {exchange} is not there, so nothing can be handed in "
            "yet: `gqa release` makes it, and a container needs it mounted.",
            file=sys.stderr,
        )


def prepare(role: str) -> list[str]:
    """Get somebody's desk and environment ready; return the arguments of the server.

    Args:
        role: "student" or "instructor".

    Raises:
        ValueError: this copy of the course has nothing for the role.
    """
    if not os.environ.get("GQA_WORK"):
        os.environ["GQA_WORK"] = str(Path.home() / WORK)
    if role == "student":
        make_private(places.work())
    page, root = students_desk() if role == "student" else instructors_desk()
    os.environ |= {
        "JUPYTER_CONFIG_PATH": str(JUPYTER / role),
        "JUPYTERLAB_WORKSPACES_DIR": str(workspaces()),
        "PATH": with_commands(os.environ.get("PATH", "")),
    }
    os.chdir(root)  # nbgrader's Assignment List works in the server's folder
    return [
        f"--config={JUPYTER / 'hub' / f'{role}.py'}",
        "--ServerApp.identity_provider_class=grading.guard.hub.HubsPages",
        f"--ServerApp.root_dir={root}",
        f"--ServerApp.default_url={page}",
        "--log-level=ERROR",
    ]


if __name__ == "__main__":
    main()
