"""`.ci/run`: which tests a commit gets, and that it says so where it cannot know."""

import os
import shutil
import subprocess

import pytest

from gqa_lib.course.places import course_root

VERSION = 'version = "{}"\n'


def git(*arguments, cwd):
    own = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    own |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *map(str, arguments)]
    subprocess.run(command, cwd=cwd, env=os.environ | own, check=True, capture_output=True)


def commit(folder, version):
    (folder / "pyproject.toml").write_text(VERSION.format(version))
    git("add", "--all", cwd=folder)
    git("commit", "--allow-empty", "--message", "x", cwd=folder)


@pytest.fixture
def sources(tmp_path):
    """Sources with `.ci/run` and stand-ins for what it calls."""
    folder = tmp_path / "sources"
    for name in (".ci", "scripts"):
        (folder / name).mkdir(parents=True)
    shutil.copy(course_root() / ".ci" / "run", folder / ".ci" / "run")
    (folder / "scripts" / "system-packages.sh").write_text("#!/bin/sh\n")
    (folder / "scripts" / "system-packages.sh").chmod(0o755)
    (folder / "Makefile").write_text("test test-all:\n\t@echo it makes $@\n")
    (folder / "pyproject.toml").write_text(VERSION.format("1.0"))
    return folder


@pytest.fixture
def clone(sources):
    git("init", cwd=sources)
    commit(sources, "1.0")
    return sources


def run(folder, **variables):
    mine = ("GQA_ALL_TESTS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # `make test` sets the last three
    kept = {name: value for name, value in os.environ.items() if name not in mine}
    command = ["bash", ".ci/run"]
    return subprocess.run(command, cwd=folder, env=kept | variables, capture_output=True, text=True)


def made_in(folder, **variables):
    done = run(folder, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("it makes ")[1].strip()


def test_a_new_version_gets_the_slow_tests_and_another_commit_the_quick_ones(clone):
    assert made_in(clone) == "test"  # the first commit has none before it
    commit(clone, "1.0")
    assert made_in(clone) == "test"
    assert made_in(clone, GQA_ALL_TESTS="1") == "test-all"
    commit(clone, "2.0")
    assert made_in(clone) == "test-all"


def test_sources_without_a_repository_get_the_quick_ones(sources):
    assert made_in(sources) == "test"


def test_a_clone_that_lacks_the_commit_before_says_so(clone, tmp_path):
    commit(clone, "2.0")
    for depth in (1, 2):
        git("clone", "--depth", depth, clone.as_uri(), tmp_path / f"{depth}", cwd=tmp_path)
    done = run(tmp_path / "1")
    assert done.returncode == 1
    assert "it makes" not in done.stdout
    assert "HEAD^ was not fetched" in done.stderr
    assert made_in(tmp_path / "2") == "test-all"


def test_a_repository_that_git_does_not_read_is_no_reason_to_go_on(sources):
    (sources / ".git").write_text("gitdir: /nowhere\n")
    done = run(sources)
    assert done.returncode != 0
    assert "it makes" not in done.stdout
