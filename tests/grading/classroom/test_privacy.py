"""Records, gradebook and clone are closed to other users, or the instructor is told how."""

import os
import stat
import subprocess
import sys

import pytest

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from grading.classroom import privacy, round
from grading.classroom import release as release_module
from grading.classroom.gradebook import open_gradebook
from grading.classroom.release import ReleaseError, release
from grading.intake.class_file import set_course_seed
from grading.pipeline.batch import GradeError
from grading.settings import nbgrader_config


@pytest.fixture(autouse=True)
def wide_umask(tmp_path, monkeypatch):
    """Be an instructor whose new files others could read, in a folder that they can reach."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GQA_GRADEBOOK", raising=False)
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_records_are_made_for_their_owner_alone():
    set_course_seed(3)
    with open_gradebook():
        pass
    assert mode(places.home()) == 0o700
    assert mode(places.home() / "gradebook.db") == 0o600
    assert mode(places.home() / "class.toml") == 0o600


def test_a_gradebook_that_was_open_is_closed():
    places.home().mkdir()
    (places.home() / "gradebook.db").touch(mode=0o644)
    nbgrader_config()
    assert mode(places.home() / "gradebook.db") == 0o640
    assert mode(places.home()) == 0o755, "an instructor's own folder: they are told"
    assert mode(places.home() / "course") == 0o700


def test_nbgraders_own_commands_make_a_closed_gradebook():
    code = "import grading.settings as s; c = s.nbgrader_config(); print(c.CourseDirectory.db_url)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert mode(places.home() / "gradebook.db") == 0o600


def opened_for_all(folder):
    for one in (folder, *folder.parents):
        if mode(one) & 0o005 != 0o005:
            one.chmod(mode(one) | 0o055)


def test_a_clone_and_records_that_students_can_read_are_told(tmp_path, monkeypatch):
    clone, home = tmp_path / "clone", places.home()
    (clone / "solutions").mkdir(parents=True)
    home.mkdir()
    monkeypatch.setattr(places, "course_root", lambda: clone)
    opened_for_all(home)
    opened_for_all(clone / "solutions")
    said = "\n".join(privacy.warnings())
    assert f"chmod o-rwx,g-rwx {clone}" in said
    assert f"chmod 700 {home}" in said
    clone.chmod(0o700)
    home.chmod(0o700)
    assert privacy.warnings() == []


@pytest.mark.parametrize(
    ("exchange", "home"), [("home/exchange", "home"), ("exchange", "exchange/home")]
)
def test_records_and_exchange_inside_each_other_are_told(tmp_path, monkeypatch, exchange, home):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / home))
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / exchange))
    assert any(" inside the " in line for line in privacy.warnings())


def test_a_folder_that_keeps_students_from_the_exchange_is_told(tmp_path, monkeypatch):
    root = tmp_path / "above" / "exchange"
    root.mkdir(parents=True)
    monkeypatch.setenv("GQA_EXCHANGE", str(root))
    opened_for_all(root.parent)
    assert not any("cannot reach" in line for line in privacy.warnings())
    root.parent.chmod(0o700)
    assert f"chmod a+x {root.parent}" in "\n".join(privacy.warnings())


def test_release_says_so_before_anything_else(monkeypatch, capsys):
    monkeypatch.setattr(privacy, "warnings", lambda: ["others can read it: chmod"])
    assert main(["release", "--seed", "3"]) == 1  # no exchange is named
    assert "Warning: others can read it: chmod" in capsys.readouterr().err


def test_release_and_grading_refuse_an_exchange_that_is_not_safe(tmp_path, monkeypatch):
    root = tmp_path / "exchange"
    monkeypatch.setenv("GQA_EXCHANGE", str(root))
    monkeypatch.setattr(release_module, "check_built", lambda lessons: None)
    (root / "gqa" / "outbound").mkdir(parents=True)
    (root / "gqa" / "outbound" / "04").symlink_to("/tmp")
    with pytest.raises(ReleaseError, match=r"rm .*outbound/04"):
        release([find_lesson("04")])
    (root / "gqa" / "outbound" / "04").unlink()
    root.chmod(0o777)
    with pytest.raises(GradeError, match="chmod 1777"):
        round.grade_class(find_lesson("04"))
