"""Setting up on a fresh machine: what is declared, and what a newcomer is told."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from gqa_lib.course.places import course_root

ROOT = course_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def fresh(tmp_path):
    """A copy of what set-up needs, with a PATH of our own making."""
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "scripts/setup.sh"):
        (clone / name).write_bytes((ROOT / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "cat", "cksum", "df", "awk", "dirname", "tail", "grep", "mkdir"):
        (tools / name).symlink_to(
            next(p for d in ("/usr/bin", "/bin") if (p := Path(d, name)).exists())
        )

    def run(extra="course", **environment):
        return subprocess.run(
            [tools / "sh", clone / "scripts" / "setup.sh", extra],
            env={"PATH": str(tools)} | environment,
            capture_output=True,
            text=True,
        )

    def tool(name, script):
        (tools / name).unlink(missing_ok=True)
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)

    run.tool, run.clone = tool, clone
    return run


FAKE_VENV = """
case "$1 $2" in
"-c "*) exit 0 ;;
"--version "*) echo "Python 3.12.1" ;;
"-m venv") mkdir -p .venv/bin; {venv} ;;
esac
"""
FAKE_PIP = "printf '#!/bin/sh\\n{pip}\\n' > .venv/bin/python; /bin/chmod +x .venv/bin/python"


def fake_python(fresh, venv="exit 0"):
    fresh.tool("python3", FAKE_VENV.format(venv=venv))


def test_no_python(fresh):
    done = fresh()
    assert done.returncode == 1
    assert "no Python was found" in done.stderr
    assert "apt install python3" in done.stderr


def test_an_old_python(fresh):
    fresh.tool("python3", 'case "$1" in -c) exit 1 ;; --version) echo "Python 3.9.2" ;; esac')
    done = fresh()
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert "is Python 3.9.2" in done.stderr


def test_no_venv_module(fresh):
    fake_python(fresh, venv="echo No module named ensurepip >&2; exit 1")
    done = fresh()
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr


def test_a_full_disk(fresh):
    fake_python(fresh)
    done = fresh(GQA_MIN_FREE_MB="999999999")
    assert done.returncode == 1
    assert "MB are free on this disk" in done.stderr


@pytest.mark.parametrize(
    ("pip_says", "told"),
    [
        ("Failed to establish a new connection", "could not reach its package index"),
        ("OSError: No space left on device", "the disk filled up"),
        ("ResolutionImpossible", "could not install the packages"),
    ],
)
def test_pip_fails(fresh, pip_says, told):
    fake_python(fresh, venv=FAKE_PIP.format(pip=f'echo "{pip_says}"; exit 1'))
    done = fresh()
    assert done.returncode == 1
    assert "torch is the large part" in done.stdout
    assert told in done.stderr


def test_success_is_remembered_until_the_dependencies_change(fresh):
    fake_python(fresh, venv=FAKE_PIP.format(pip='echo "$@" >> pip-calls; exit 0'))
    calls = fresh.clone / "pip-calls"

    def installs():
        return calls.read_text().count("install") if calls.exists() else 0

    assert fresh(PIP_ARGS="--index-url there").returncode == 0
    assert "--index-url there -c constraints.txt -e .[course]" in calls.read_text()
    assert installs() == 1
    assert fresh(PIP_ARGS="--index-url there").stdout == ""
    assert installs() == 1
    (fresh.clone / "pyproject.toml").write_text("changed")
    fresh(PIP_ARGS="--index-url there")
    assert installs() == 2
    fresh("site", PIP_ARGS="--index-url there")
    fresh("course", PIP_ARGS="--index-url there")
    assert installs() == 3
    fresh("test", PIP_ARGS="--index-url there")
    fresh("site", PIP_ARGS="--index-url there")
    fresh("course", PIP_ARGS="--index-url there")
    assert installs() == 4


def test_an_environment_that_broke_is_made_again(fresh):
    fake_python(fresh, venv=FAKE_PIP.format(pip='echo "$@" >> pip-calls; exit 0'))
    assert fresh().returncode == 0
    (fresh.clone / ".venv" / "bin" / "python").write_text("#!/no/such/interpreter\n")
    again = fresh()
    assert again.returncode == 0
    assert "Making .venv" in again.stdout


def test_a_python_that_is_not_there(fresh):
    fake_python(fresh)
    done = fresh(PYTHON="/no/such/python")
    assert done.returncode == 1
    assert "PYTHON=/no/such/python is not there" in done.stderr


def test_environment_yml_says_what_pyproject_says():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert set(conda) == {"name", "channels", "dependencies"}
    python, pip, below = conda["dependencies"]
    assert python == f"python {PROJECT['requires-python']}"
    assert pip.startswith("pip >=")
    (requirement,) = below["pip"]
    assert requirement == "-e .[course]"
    assert "course" in PROJECT["optional-dependencies"]


def test_the_commands_that_need_no_torch_load_none(tmp_path):
    code = (
        "import sys\nfrom gqa_lib.cli import main\n"
        "assert main(['map']) == 0\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"GQA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Start here" in done.stdout


@pytest.fixture
def ci(tmp_path):
    """Run .ci/run in a repository of its own, whose `make` only says what it was asked for."""
    clone, tools = tmp_path / "clone", tmp_path / "tools"
    for path, text in {
        clone / ".ci" / "run": (ROOT / ".ci" / "run").read_text(),
        clone / "scripts" / "system-packages.sh": "#!/bin/sh\n",
        tools / "make": "#!/bin/sh\necho make $1\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, *arguments], cwd=clone, check=True, capture_output=True)

    def run(*versions, **environment):
        for version in versions:
            (clone / "pyproject.toml").write_text(f'name = "x"\nversion = "{version}"\n')
            git("add", ".")
            git("commit", "--allow-empty", "-m", "a change")
        env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"} | environment
        done = subprocess.run([clone / ".ci" / "run"], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    git("init")
    return run


def test_the_slow_tests_run_with_a_new_version_and_when_asked_for(ci, monkeypatch):
    monkeypatch.delenv("GQA_ALL_TESTS", raising=False)
    assert ci("0.1.0") == "make test"  # there is no change to look at
    assert ci("0.1.0") == "make test"
    assert ci("0.1.0", GQA_ALL_TESTS="1") == "make test-all"
    assert ci("0.2.0") == "make test-all"
    assert ci("0.2.0") == "make test"
