"""Dockerfile, devcontainer, Binder and Pages agree with the project, and open nothing to others."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase

import pytest
import yaml
from packaging.requirements import Requirement

from gqa_lib.course.places import course_root
from gqa_lib.course.variables import VARIABLES
from grading.learner.lab import LOOPBACK

ROOT = course_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHON = "3.12"  # of all of these
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Keys of devcontainer.json that this one uses, as its specification has them (containers.dev).
DEVCONTAINER_KEYS = {"name", "image", "hostRequirements", "containerEnv", "remoteEnv", "waitFor"}
DEVCONTAINER_KEYS |= {"updateContentCommand", "portsAttributes", "customizations"}


def instructions():
    """Return (instruction, arguments) of the Dockerfile, long lines joined."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE))
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def told(name):
    return [arguments for instruction, arguments in instructions() if instruction == name]


def devcontainer():
    return json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())


def ignored(path):
    """Return whether `.dockerignore` leaves a path out; a pattern names it or a folder above it."""
    parts = path.split("/")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("**/") and any(fnmatchcase(part, line[3:]) for part in parts):
            return True
        if line and not line.startswith("#") and fnmatchcase(parts[0], line):
            return True
    return False


def test_all_have_a_python_that_the_course_supports_and_ci_runs():
    assert f"Programming Language :: Python :: {PYTHON}" in PROJECT["classifiers"]
    pages = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    images = [
        told("FROM")[0],
        devcontainer()["image"],
        (ROOT / ".binder" / "runtime.txt").read_text(),
        pages["jobs"]["build"]["container"]["image"],
        (ROOT / "deploy" / "docker" / "Dockerfile").read_text().partition("\nFROM ")[2],
    ]
    assert [re.search(r"python[:-](\d+\.\d+)", image)[1] for image in images] == [PYTHON] * 5


# The image


def test_the_image_is_served_by_a_user_without_rights():
    order = [name for name, _ in instructions()]
    (user,) = told("USER")
    assert f"useradd --create-home --uid 1000 {user}" in told("RUN")[1]
    assert order.index("USER") < order.index("COPY") < order.index("ENTRYPOINT")
    assert told("COPY") == [f"--chown={user}:{user} . ."]
    made = shlex.split(told("RUN")[1].partition("install -d")[2])
    assert {told("WORKDIR")[0], "/data"} <= set(made)


def test_the_image_installs_as_a_clone_does():
    (install,) = (line for line in told("RUN") if "scripts/setup.sh" in line)
    assert install.endswith("scripts/setup.sh course")
    assert "pip install" not in DOCKERFILE
    assert told("ARG") == [
        line[4:]
        for line in (ROOT / "deploy" / "docker" / "Dockerfile").read_text().splitlines()
        if line.startswith("ARG ")
    ]


def test_records_and_notebooks_are_on_the_volume_and_the_port_is_a_variable():
    (text,) = told("ENV")
    given = dict(pair.split("=", 1) for pair in shlex.split(text))
    assert {"GQA_HOME", "GQA_WORK"} <= VARIABLES.keys() & given.keys()
    assert all(given[name].startswith("/data/") for name in ("GQA_HOME", "GQA_WORK"))
    assert given["PATH"].startswith(f"{told('WORKDIR')[0]}/.venv/bin:")
    assert told("EXPOSE") == [given["PORT"]]
    page = (ROOT / "docs" / "anywhere.md").read_text()
    assert f"app_port: {given['PORT']}\n" in page
    assert f"-p 127.0.0.1:{given['PORT']}:{given['PORT']} -v gqa:/data gqa" in page
    assert f"PORT:-{given['PORT']}" in (ROOT / "scripts" / "serve.sh").read_text()


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "LICENSE", "pyproject.toml", "constraints.txt", "course.toml"),
        *("scripts/setup.sh", "scripts/serve.sh", "notebooks/x", "solutions/x", "gqa_lib/x.py"),
    ],
)
def test_the_image_has_what_is_installed_and_graded_with(name):
    assert not ignored(name)


@pytest.mark.parametrize(
    "name",
    [".git/x", ".venv/bin/python", "work/x", "records/x", "build/x", "gqa_lib/__pycache__/x"],
)
def test_the_image_has_nothing_of_this_machine(name):
    assert ignored(name)


@pytest.fixture
def serve(tmp_path):
    """Run scripts/serve.sh in a copy of the course whose `gqa` says what it is asked for."""
    script = tmp_path / "scripts" / "serve.sh"
    gqa = tmp_path / ".venv" / "bin" / "gqa"
    for path, text in {
        script: (ROOT / "scripts" / "serve.sh").read_text(),
        gqa: '#!/bin/sh\nfor one in "$@"; do echo "$one"; done\n',
    }.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(*arguments, **environment):
        env = {"PATH": os.environ["PATH"]} | environment
        return subprocess.run([script, *arguments], env=env, capture_output=True, text=True)

    return run


def test_it_listens_everywhere_at_the_port_that_is_chosen(serve):
    said = serve().stdout.split()
    assert said == ["lab", "--no-browser", "--ip", "0.0.0.0", "--port", "7860"]
    assert said[said.index("--ip") + 1] != LOOPBACK
    assert serve("04", PORT="8000").stdout.split()[-2:] == ["8000", "04"]


def test_a_space_is_reached_by_its_name(serve):
    said = serve("04", SPACE_HOST="ann-gqa.hf.space").stdout.split()
    assert said[-3:] == ["--host", "ann-gqa.hf.space", "04"]
    assert "--host" not in serve(SPACE_HOST="").stdout


def test_where_nothing_could_be_kept_it_says_so_and_stops(serve, tmp_path):
    (tmp_path / "file").touch()
    done = serve(GQA_WORK=str(tmp_path / "file" / "work"), GQA_HOME=str(tmp_path / "home"))
    assert done.returncode == 1
    assert f"{tmp_path}/file/work cannot be written" in done.stderr
    assert done.stdout == ""


def test_nothing_switches_the_token_or_a_check_off():
    switched = re.compile(
        r"token=(''|\"\")|TOKEN=(''|\"\")?$|password=|disable_check_xsrf|allow_origin"
        r"|allow_unauthenticated|allow-root|frame-ancestors",
        re.MULTILINE,
    )
    names = ("Dockerfile", "scripts/serve.sh", ".devcontainer/devcontainer.json")
    for name in (*names, ".binder/postBuild", "docs/anywhere.md"):
        assert not switched.search((ROOT / name).read_text()), name
    assert switched.search("ENV JUPYTER_TOKEN=\n")
    assert switched.search("--ServerApp.token=''")


# Devcontainer, Binder


def test_the_devcontainer_has_the_course_before_a_notebook_opens():
    made = devcontainer()
    assert set(made) <= DEVCONTAINER_KEYS
    assert made["waitFor"] == "updateContentCommand"  # which a prebuild runs, too
    setup, then = made["updateContentCommand"].split(" && ")
    assert setup == "scripts/setup.sh course"
    assert then == ".venv/bin/python -m gqa_lib.learn.guide.work"
    settings = made["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    (opened,) = made["customizations"]["codespaces"]["openFiles"]
    assert (ROOT / opened.replace("work/", "notebooks/", 1)).exists()


def test_the_devcontainer_keeps_records_where_git_does_not_see_them():
    given = devcontainer()["containerEnv"]
    assert given["PIP_ARGS"] == shlex.split(told("ARG")[0])[0].partition("=")[2]
    folder = given["GQA_HOME"].removeprefix("${containerWorkspaceFolder}")
    assert f"{folder}/" in (ROOT / ".gitignore").read_text().splitlines()
    assert set(given) - {"PIP_ARGS"} <= VARIABLES.keys()


def test_binder_installs_what_lessons_need_and_no_more():
    script = (ROOT / ".binder" / "postBuild").read_text()
    assert re.findall(r"-c (\S+)\s+-e '\.\[(\w+)\]'", script) == [("constraints.txt", "notebook")]
    assert shlex.split(told("ARG")[0])[0].partition("=")[2] in script
    assert "-m gqa_lib.learn.guide.work" in script
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK)
    wanted = {Requirement(one).name for one in EXTRAS["notebook"]}
    assert not wanted & {"triton", "jupyterlab", "nbgrader", "torch", "numpy"}
    assert "gqa-course[notebook]" in EXTRAS["course"]


def test_the_lessons_are_put_where_another_server_opens_them(tmp_path):
    env = os.environ | {"GQA_WORK": str(tmp_path / "work"), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "gqa_lib.learn.guide.work"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "work") in done.stdout
    assert (tmp_path / "work" / "00-start-here" / "00-start-here.ipynb").exists()


# Pages


def test_pages_may_do_no_more_than_publish():
    made = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    assert made["permissions"] == {"contents": "read"}
    build, deploy = made["jobs"]["build"], made["jobs"]["deploy"]
    assert "permissions" not in build
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}
    assert deploy["needs"] == "build"
    assert all("run" not in step for step in deploy["steps"])  # no code of ours has those rights
    used = [step["uses"] for job in (build, deploy) for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", one) for one in used)
    assert "make site" in [step.get("run") for step in build["steps"]]
    (upload,) = (step for step in build["steps"] if "upload-pages" in step.get("uses", ""))
    assert upload["with"]["path"] == "build/site/html"
