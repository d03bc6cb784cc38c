"""The class's whole loop on PostgreSQL: a real server, started here in a folder of its own."""

import csv
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from nbgrader.utils import get_username

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.guide.work import put_lessons
from grading.authoring.catalogue import filled, first_right, picked
from grading.classroom.gradebook import open_gradebook
from grading.classroom.regrade import marks_by_exercise
from grading.learner.demo import HALF_WAY
from grading.learner.staged import staged_gradebook
from grading.learner.submit import submit, work_notebook
from grading.nb.cells import read_notebook
from grading.settings import nbgrader_config

LESSON = find_lesson("01")
PATIENCE_S = 300  # with a server, where two cores may be busy with other things
NBGRADER = Path(sys.executable).parent / "nbgrader"


def server_folder():
    """Return the folder of the server's programs, the newest if there are several."""
    found = [Path(path).parent for path in filter(None, [shutil.which("initdb")])]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    return found[-1] if found else None


SERVER = server_folder()
needs_server = pytest.mark.skipif(
    SERVER is None, reason="no PostgreSQL server here: scripts/system-packages.sh installs it"
)


@pytest.fixture(scope="module")
def server():
    """The address of an empty database on a server that listens on a socket in its folder only."""
    place = Path(tempfile.mkdtemp(prefix="gqa-pg-"))  # short: a socket's path may have 107 bytes
    as_whom = {}
    if os.geteuid() == 0:  # which the server refuses to run as
        nobody = pwd.getpwnam("nobody")
        as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(place, nobody.pw_uid, nobody.pw_gid)

    def run(program, *arguments):
        return subprocess.Popen(
            [SERVER / program, *arguments],
            cwd=place,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **as_whom,
        )

    made = run("initdb", "-D", "data", "-U", "gqa", "-A", "trust", "-E", "UTF8", "--no-sync")
    assert made.wait() == 0, made.stderr.read()
    postgres = run("postgres", "-D", "data", "-k", str(place), "-h", "", "-F")
    try:
        wait_for(place, postgres)
        yield f"postgresql+psycopg://gqa@/postgres?host={place}"
    finally:
        postgres.send_signal(signal.SIGINT)  # it ends although somebody may still be connected
        postgres.wait(timeout=PATIENCE_S)
        shutil.rmtree(place)


def wait_for(place, postgres):
    import psycopg

    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            return psycopg.connect(host=str(place), user="gqa", dbname="postgres").close()
        except psycopg.OperationalError:
            if postgres.poll() is not None or time.monotonic() > give_up:
                postgres.kill()
                raise AssertionError(postgres.stderr.read()) from None
            time.sleep(0.1)


@pytest.fixture
def classroom(server, tmp_path, monkeypatch):
    """The environment of an instructor who keeps the gradebook on the server."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "instructor"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    monkeypatch.setenv("GQA_GRADEBOOK", server)
    return tmp_path


def nbgrader(*arguments):
    """Run nbgrader's own command, as the runbook does."""
    done = subprocess.run([NBGRADER, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, str(path))


@needs_server
def test_the_whole_loop(classroom, capsys):
    roster = classroom / "roster.csv"
    roster.write_text(f"id,first_name,last_name\namelia,Amelia,Écart\n{get_username()},I,Myself\n")
    assert main(["roster", str(roster)]) == 0
    assert "2 new, 0 changed" in capsys.readouterr().out
    assert main(["release", "01"]) == 0

    put_lessons()
    write(work_notebook(LESSON), filled(read_notebook(LESSON.pristine), first_right(LESSON)))
    assert submit(LESSON).scores == []
    nbgrader("collect", LESSON.slug, "--update")
    submitted = places.home() / "course" / "submitted"
    assert (submitted / get_username() / LESSON.slug / f"{LESSON.slug}.ipynb").exists()
    amelia = submitted / "amelia" / LESSON.slug / f"{LESSON.slug}.ipynb"
    write(amelia, filled(read_notebook(LESSON.pristine), picked(LESSON, HALF_WAY)))

    nbgrader("autograde", LESSON.slug)
    nbgrader("generate_feedback", LESSON.slug)
    for student in ("amelia", get_username()):
        folder = places.home() / "course" / "feedback" / student / LESSON.slug
        assert (folder / f"{LESSON.slug}.html").exists()

    assert main(["export", str(classroom / "marks.csv")]) == 0
    with (classroom / "marks.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["ID"]: row for row in csv.DictReader(file)}
    assert rows[get_username()]["Total (16)"] == "16"
    assert rows["amelia"]["Total (16)"] == "5"
    assert rows["amelia"]["Last name"] == "Écart"
    marks = marks_by_exercise(nbgrader_config().CourseDirectory.db_url, LESSON)
    assert marks["amelia"]["attention"] == 4
    with open_gradebook() as gradebook:
        assert gradebook.find_submission(LESSON.slug, "amelia").score == 5
    assert not list(places.home().glob("*.db"))


@needs_server
def test_a_learner_alone_is_graded_on_the_server_too(classroom, monkeypatch):
    monkeypatch.delenv("GQA_EXCHANGE")
    put_lessons()
    assert submit(LESSON).max_score == LESSON.points
    assert not list(places.home().glob("*.db"))


def test_a_gradebook_on_a_server_is_not_staged(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    monkeypatch.setenv("GQA_GRADEBOOK", "postgresql+psycopg://gqa@/gqa")
    (tmp_path / "gradebook.db").write_text("an old one")
    with staged_gradebook() as gradebook:
        assert gradebook is None
        config = nbgrader_config(gradebook=gradebook)
        assert config.CourseDirectory.db_url == "postgresql+psycopg://gqa@/gqa"
    assert [path.name for path in tmp_path.glob("*.db")] == ["gradebook.db"]


def test_a_build_never_touches_the_classs_gradebook(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_GRADEBOOK", "postgresql+psycopg://gqa@/gqa")
    assert nbgrader_config(tmp_path).CourseDirectory.db_url.startswith(f"sqlite:///{tmp_path}")


def test_a_server_that_does_not_answer_is_said_without_the_password(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    monkeypatch.setenv("GQA_GRADEBOOK", f"postgresql+psycopg://gqa:secret@/gqa?host={tmp_path}")
    assert main(["export"]) == 1
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "GQA_GRADEBOOK" in said
    assert "secret" not in said


# The system's packages


@pytest.fixture
def system(tmp_path):
    """Run scripts/system-packages.sh on a made-up system with these tools."""

    def run(**tools):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "grep").symlink_to(shutil.which("grep"))
        for name, script in tools.items():
            (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name.replace("_", "-")).chmod(0o755)
        return subprocess.run(
            ["/bin/sh", places.course_root() / "scripts" / "system-packages.sh"],
            env={"PATH": str(folder), "LOG": str(tmp_path / "log")},
            capture_output=True,
            text=True,
        )

    return run


ALL = "echo install ok installed"
ONE = 'case "$*" in *bubblewrap*) echo install ok installed ;; *) exit 1 ;; esac'


def test_nothing_is_said_when_every_package_is_there(system):
    done = system(dpkg_query=ALL, apt_get="exit 9")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_root_installs_only_what_is_missing(system, tmp_path):
    done = system(dpkg_query=ONE, apt_get='echo "$@" >> "$LOG"', id="echo 0")
    assert done.returncode == 0, done.stderr
    missing = "postgresql chromium fonts-dejavu-core slurmctld slurmd slurm-client"
    assert f"Installing {missing} with apt-get" in done.stdout
    installed = (tmp_path / "log").read_text().splitlines()[-1]
    assert installed.endswith(f" {missing}")
    assert "bubblewrap" not in installed


def test_others_are_told_what_root_must_do(system):
    done = system(dpkg_query=ONE, apt_get="exit 9", id="echo 1000")
    assert done.returncode == 1
    assert "sudo scripts/system-packages.sh" in done.stderr


def test_a_system_without_apt_is_told_what_is_missing(system):
    done = system(dpkg_query="exit 1")
    assert done.returncode == 1
    assert "missing: bubblewrap postgresql" in done.stderr
