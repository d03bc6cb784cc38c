import shutil
import zipfile
from datetime import datetime

import nbformat
import pytest
from filelock import FileLock
from nbformat.v4 import new_notebook, new_raw_cell
from nbgrader.api import Gradebook

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.quiz import saved
from grading.classroom.roster import load_roster
from grading.intake.admit import opened
from grading.intake.inbound import claimed_time
from grading.intake.submitted import clean_submitted
from grading.nb.steps import course_of, quietly
from grading.platforms import archive
from grading.platforms.collect import collect_zip
from grading.settings import COURSE_ID, gradebook_url, nbgrader_config

LESSON = find_lesson("04")
NAME = f"{LESSON.slug}.ipynb"
ROSTER = """Student,ID,SIS User ID,SIS Login ID,Section
"Lovelace, Ada",77123,1815,s001,A
"Müller, Zoë",77124,1816,zoe_m,A
"Smith, Bob",77125,1817,s003,A
"Smith, Bob",77126,1818,s004,A
"""


def notebook(text="x = 1") -> bytes:
    """A notebook that is told from others by a text."""
    return nbformat.writes(new_notebook(cells=[new_raw_cell(text)])).encode()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The records of a class with a roster and a release of one lesson."""
    home = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch, quietly():
        patch.setenv("GQA_HOME", str(home))
        patch.delenv("GQA_GRADEBOOK", raising=False)
        path = home / "roster.csv"
        path.write_text(ROSTER, encoding="utf-8")
        load_roster(path)
        with Gradebook(gradebook_url(), COURSE_ID) as gradebook:
            gradebook.find_student("s003").email = "bob@uni.example"
            gradebook.find_student("s004").email = "rob@uni.example"
            gradebook.db.commit()
        released = home / "course" / "release" / LESSON.slug / NAME
        released.parent.mkdir(parents=True)
        shutil.copy(LESSON.pristine, released)
    return home


@pytest.fixture(autouse=True)
def home(kept, tmp_path, monkeypatch):
    for name in ("GQA_GRADEBOOK", "GQA_EXCHANGE"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(kept, tmp_path / "home")
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def zipped(tmp_path, files: dict[str, bytes]):
    path = tmp_path / "hand-ins.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def taken(home) -> dict[str, str]:
    """Return student -> the text in the notebook that will be graded."""
    found = (home / "course" / "submitted").glob(f"*/{LESSON.slug}/{NAME}")
    return {p.parts[-3]: nbformat.read(p, 4).cells[0].source for p in found}


MOODLE = {
    f"Ada Lovelace_501_assignsubmission_file/{NAME}": notebook("ada"),
    f"Ada Lovelace_501_assignsubmission_file/{saved.FILE}": b"{}",
    f"Zoe Muller_502_assignsubmission_file/{LESSON.slug} (1).ipynb": notebook("zoe"),
    f"Bob Smith_503_assignsubmission_file/{NAME}": notebook("bob"),
    "Ada Lovelace_501_assignsubmission_onlinetext/onlinetext.html": b"hello",
}
OF_PLATFORMS = {
    "moodle": MOODLE,
    "moodle, flat": {
        f"Group A-Ada Lovelace_501_assignsubmission_file_{NAME}": notebook("ada"),
        f"Müller Zoë_502_assignsubmission_file_{NAME}": notebook("zoe"),
    },
    "canvas": {
        f"lovelaceada_77123_5551_{NAME}": notebook("ada"),
        "lovelaceada_77123_5553_quiz_answers-1.json": b"[1]",
        f"müllerzoë_LATE_77124_5552_{LESSON.slug}-2.ipynb": notebook("zoe"),
    },
    "blackboard": {
        f"Lesson_04_s001_attempt_2026-01-15-10-30-00_{NAME}": notebook("earlier"),
        f"Lesson_04_s001_attempt_2026-01-16-10-30-00_{NAME}": notebook("ada"),
        "Lesson_04_s001_attempt_2026-01-16-10-30-00.txt": b"Name: Ada Lovelace (s001)",
        f"Lesson_04_zoe_m_attempt_2026-01-15-12-00-00_{NAME}": notebook("zoe"),
    },
    "ilias": {
        f"Lovelace_Ada_s001_6001/{NAME}": notebook("ada"),
        f"Mueller_Zoe_zoe_m_6002/Late Submission - {NAME}": notebook("zoe"),
    },
    "folders": {f"all/s001/{NAME}": notebook("ada"), "zoe_m/mine.ipynb": notebook("zoe")},
}


@pytest.mark.parametrize("files", OF_PLATFORMS.values(), ids=OF_PLATFORMS)
def test_each_platforms_names_are_read(files, home, tmp_path):
    done = collect_zip(zipped(tmp_path, files), LESSON)
    assert taken(home) == {"s001": "ada", "zoe_m": "zoe"}
    assert done.taken == 2
    choices = [path.read_bytes() for path in (home / "course" / "submitted").rglob(saved.FILE)]
    assert choices == [text for name, text in files.items() if name.endswith(".json")]


def test_the_command_says_a_line_for_each_and_the_worksheet_tells_names_apart(
    home, tmp_path, capsys
):
    path = zipped(tmp_path, MOODLE)
    assert main(["collect", str(path), "--lesson", "04"]) == 1
    said = capsys.readouterr().out
    assert "Read as moodle's: 2 taken, 1 not taken." in said
    assert "Bob Smith_503: not taken: s003, s004 are called Bob Smith" in said
    assert "zoe_m: taken, which was called" not in said  # browsers add (1)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        "Identifier,Full name,Email address,Status,Grade\n"
        "Participant 503,Bob Smith,rob@uni.example,,\nParticipant 501,Ada,,,\n"
    )
    main(["collect", str(path), "--lesson", "04", "--worksheet", str(sheet)])
    assert taken(home)["s004"] == "bob"
    folder = home / "course" / "submitted" / "s001" / LESSON.slug
    assert (folder / saved.FILE).read_bytes() == b"{}"


def test_a_student_cannot_hand_in_for_another(home, tmp_path):
    """Each platform's name is read from its start: the rest is the student's."""
    files = {
        f"Lesson_s001_attempt_2026-01-15-10-30-00_x_zoe_m_attempt_2026-01-15-10-31-00_{NAME}": "a",
        f"Lesson_s003_attempt_2026-01-15-10-30-00_{NAME}": "c",
        f"Lesson_s004_attempt_2026-01-15-10-30-00_y_77124_1_{NAME}": "d",
    }
    collect_zip(zipped(tmp_path, {n: notebook(text) for n, text in files.items()}), LESSON)
    assert taken(home) == {"s001": "a", "s003": "c", "s004": "d"}
    files = {
        f"Lovelace_Ada_s001_6001/Bob_s003_6003/{NAME}": "inner",
        f"Mueller_Zoe_zoe_m_6002/Ada Lovelace_501_assignsubmission_file_{NAME}": "z",
        f"Smith_Bob_s003_6003/{NAME}": "mine",
    }
    collect_zip(zipped(tmp_path, {n: notebook(text) for n, text in files.items()}), LESSON)
    assert taken(home) == {"s001": "inner", "s003": "mine", "s004": "d", "zoe_m": "z"}


def test_names_that_two_platforms_may_have_given_are_not_guessed(tmp_path, home):
    files = {f"lovelaceada_77123_5551_zoe_m_attempt_2026-01-15-10-30-00_{NAME}": notebook("ada")}
    with pytest.raises(ValueError, match="say which"):
        collect_zip(zipped(tmp_path, files), LESSON)
    collect_zip(zipped(tmp_path, files), LESSON, platform="canvas")
    assert taken(home) == {"s001": "ada"}


def test_no_name_in_a_zip_is_a_path(home, tmp_path):
    files = {
        f"../../s001/{NAME}": notebook("up"),
        f"/etc/zoe_m/{NAME}": notebook("root"),
        f"..\\..\\s003\\{NAME}": notebook("back"),
        f"s004/../../../{NAME}": notebook("inside"),
        f"s004\x1b[2J/{NAME}": notebook("odd"),
    }
    before = {path for path in tmp_path.rglob("*") if "submitted" not in path.parts}
    collect_zip(zipped(tmp_path, files), LESSON)
    after = {path for path in tmp_path.rglob("*") if "submitted" not in path.parts}
    assert set(taken(home)) == {"s001", "zoe_m", "s003", "s004"}
    kinds = {"hand-ins.zip", "collect.log", "grade.lock", "arrivals", "exchange", "gqa", "inbound"}
    assert {path.name for path in after - before} <= kinds | {
        f"{LESSON.slug}.lock",
        f"{LESSON.slug}.submitted.json",
        "cache",
    }


def test_what_cannot_be_taken_says_why_and_stops_no_other(home, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_READ", 200_000)
    files = {
        f"s001/{NAME}": b"0" * 10_000_000,  # of a zip of some kilobytes
        "zoe_m/05-kv-footprint.ipynb": notebook(),
        "s003/report.pdf": b"%PDF",
        f"s004/{NAME}": b"{not json",
        f"nobody/{NAME}": notebook(),
    }
    done = collect_zip(zipped(tmp_path, files), LESSON)
    assert "larger than" in done.lines["s001"]
    assert "it is 05-kv-footprint, not 04" in done.lines["zoe_m"]
    assert "no notebook in it, only report.pdf" in done.lines["s003"]
    assert "will get 0: The submitted file" in done.lines["s004"]
    assert "no student of ours" in done.lines["nobody"]
    assert (done.taken, done.left) == (1, 4)
    assert set(taken(home)) == {"s004"}


def test_too_many_files_a_damaged_zip_and_a_busy_class_are_refused(home, tmp_path, monkeypatch):
    path = zipped(tmp_path, MOODLE)
    with FileLock(home / "grade.lock"), pytest.raises(ValueError, match="is being graded"):
        collect_zip(path, LESSON)
    with monkeypatch.context() as patch:
        patch.setattr(archive, "MAX_ENTRIES", 2)
        with pytest.raises(ValueError, match="has 5 files, and 2 at most"):
            collect_zip(path, LESSON)
    path.write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match="not a zip"):
        collect_zip(path, LESSON)
    with pytest.raises(ValueError, match="has no release"):
        collect_zip(zipped(tmp_path, MOODLE), find_lesson("05"))
    with pytest.raises(ValueError, match="Is the roster loaded"):
        collect_zip(zipped(tmp_path, {f"who/{NAME}": notebook()}), LESSON)


def time_of(home, student) -> datetime | None:
    """Return the time that grading uses, after what it does with a folder."""
    with quietly():
        course = course_of(LESSON, nbgrader_config())
        course.student_id = student
        clean_submitted(course)
    with opened(home / "course" / "submitted" / student / LESSON.slug) as folder:
        return claimed_time(folder)


def test_a_time_is_used_only_with_its_time_zone(home, tmp_path):
    path = zipped(tmp_path, OF_PLATFORMS["blackboard"])
    assert collect_zip(path, LESSON).without_time
    assert time_of(home, "s001") is None  # counts as on time
    collect_zip(path, LESSON, timezone="Europe/Berlin", replace=True)
    assert time_of(home, "s001") == datetime(2026, 1, 16, 9, 30)


def test_collecting_again_changes_nothing_and_an_earlier_hand_in_replaces_none(home, tmp_path):
    path = zipped(tmp_path, {f"s001/{NAME}": notebook("first")})
    collect_zip(path, LESSON)
    folder = home / "course" / "submitted" / "s001" / LESSON.slug
    (folder / NAME).write_bytes(notebook("mended by the instructor"))
    assert collect_zip(path, LESSON).lines == {"s001": "as before"}
    assert taken(home) == {"s001": "mended by the instructor"}
    path = zipped(tmp_path, {f"s001/{NAME}": notebook("second")})
    assert collect_zip(path, LESSON).lines == {"s001": "taken in place of another"}
    kept = [p.read_text() for p in (home / "course" / "set-aside").rglob(NAME)]
    assert any("mended by the instructor" in text for text in kept)
    later = {f"L_s001_attempt_2026-02-01-10-00-00_{NAME}": notebook("in February")}
    collect_zip(zipped(tmp_path, later), LESSON, timezone="UTC")
    earlier = {f"L_s001_attempt_2026-01-01-10-00-00_{NAME}": notebook("in January")}
    done = collect_zip(zipped(tmp_path, earlier), LESSON, timezone="UTC")
    assert "there is one already, handed in 2026-02-01 10:00 UTC" in done.lines["s001"]
    assert taken(home) == {"s001": "in February"}
