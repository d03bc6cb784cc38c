"""What students get: the bundle without a secret in it, and lessons in the class's exchange."""

import gzip
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.utils import get_username

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson, lessons
from grading.authoring.catalogue import catalogue
from grading.authoring.source import source_of
from grading.classroom import bundle as bundle_module
from grading.classroom import release as release_module
from grading.classroom.bundle import DATA, students_bundle
from grading.classroom.release import ReleaseError, release
from grading.intake.class_file import course_seed, set_course_seed
from grading.nb.steps import course_of, exchange, file_log, quietly
from grading.quiz.bank import load_bank
from grading.settings import gradebook_url, nbgrader_config

LESSON = find_lesson("01")
ROOT = places.course_root()
SECRET = re.compile(
    r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END (?:SOLUTION|HIDDEN TESTS)", re.DOTALL
)
KEPT_BACK = {"instructor", "solutions", "tests", "planted", "source", "classroom", "safe", ".git"}
KEPT_BACK |= {"gradebook.db", "class.toml", "autograde.py", "build.py", "catalogue.py", "verify.py"}


@pytest.fixture(autouse=True)
def instructor(tmp_path, monkeypatch):
    """An instructor with records of their own and no exchange yet."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "instructor"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The students' copy of a class whose exchange is the folder beside it."""
    place = tmp_path_factory.mktemp("bundle")
    return students_bundle(place / "students", place / "exchange")


@pytest.fixture
def known_to_be_built(monkeypatch):
    """Skip the seconds that comparing all notebooks with their sources takes."""
    monkeypatch.setattr(bundle_module, "check_built", lambda lessons: None)


# The bundle: nothing secret in it


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def told(text):
    """Return the lines that say something of their own, without their indentation."""
    lines = map(str.strip, text.splitlines())
    return {line for line in lines if len(line) > 15 and not re.fullmatch(r"raise \w+\(", line)}


def text_of(path):
    """Return a file's text; of a notebook its cells'."""
    if path.suffix == ".ipynb":
        return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode("utf-8")
    errors = "replace" if path.suffix == ".safetensors" else "strict"
    return path.read_text(encoding="utf-8", errors=errors)


def secrets():
    """Return the lines of solutions, hidden tests and planted answers that no lesson shows."""
    hidden = set()
    for lesson in lessons():
        for region in SECRET.findall(source_of(lesson).read_text(encoding="utf-8")):
            hidden |= told(re.sub(r"^# ", "", region, flags=re.MULTILINE))
        for answer in catalogue(lesson):
            hidden |= told(answer.source)
    return hidden - set().union(*(told(text_of(lesson.pristine)) for lesson in lessons()))


def leaks(folder):
    """Return (file, line) of each secret outside the published library."""
    hidden = secrets()
    return [
        (path, line)
        for path in files(folder)
        if "gqa_lib" not in path.relative_to(folder).parts
        for line in told(text_of(path)) & hidden
    ]


def test_no_solution_hidden_test_or_planted_answer_is_in_the_bundle(bundle):
    assert len(secrets()) > 300
    assert leaks(bundle) == []


def test_no_answer_to_a_quiz_question_is_in_the_bundle(bundle):
    bank = load_bank()
    told = {path: text_of(path) for path in files(bundle)}
    whys = [option.why[:70] for one in bank for option in one.options]
    assert [why for why in whys if any(why in text for text in told.values())] == []
    for one in bank:
        key = re.compile(rf"{one.id}\b[^A-Za-z]{{1,12}}{one.answer}\b")
        assert [path for path, text in told.items() if key.search(text)] == []
    assert {"quiz.json", "panel.js", "panel.css"} <= {path.name for path in told}
    assert not {"bank.py", "marking.py", "quiz.toml", "facts.toml"} & {path.name for path in told}


@pytest.mark.parametrize(
    "name", ["solutions/01-multi-head-attention.py", "grading/authoring/planted"]
)
def test_the_leak_test_sees_a_leak(bundle, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    if (ROOT / name).is_dir():
        shutil.copytree(ROOT / name, copy / "more")
    else:
        shutil.copy(ROOT / name, copy / "notes.txt")
    assert leaks(copy)


def test_the_bundle_has_what_students_need_and_no_more(bundle):
    names = {part for path in files(bundle) for part in path.relative_to(bundle).parts}
    assert not names & KEPT_BACK
    assert {path.name for path in bundle.iterdir()} == {
        *("LICENSE", "Makefile", "README.md", "constraints.txt", "course.toml", "environment.yml"),
        *("gqa_lib", "grading", "notebooks", "pyproject.toml", "scripts"),
    }
    given = {path.relative_to(bundle / "notebooks") for path in files(bundle / "notebooks")}
    tracked = {path.relative_to(ROOT / "notebooks") for path in files(ROOT / "notebooks")}
    assert given == {path for path in tracked if ".ipynb_checkpoints" not in path.parts}
    assert (bundle / "scripts" / "setup.sh").stat().st_mode & stat.S_IXUSR


def test_every_data_file_of_the_library_is_decided_about():
    library = ROOT / "gqa_lib"
    code = {".py", ".pyi", ".pyc", ".jsonl", ".md"}  # records go in, and notes on them stay here
    paths = [path for path in library.rglob("*") if path.is_file() and path.suffix not in code]
    named = {name for name in DATA if Path(name).suffix not in code}
    assert {path.relative_to(library).as_posix() for path in paths} == named, (
        "name it in DATA if students may have it, else as kept back here"
    )


def test_a_notebook_that_someone_worked_in_is_not_given_away(monkeypatch, tmp_path):
    monkeypatch.setattr(release_module, "student_notebook", lambda lesson, scratch: "as built")
    with pytest.raises(ReleaseError, match=r"01-multi-head-attention.ipynb.*`gqa build`"):
        students_bundle(tmp_path / "students")
    assert not (tmp_path / "students").exists()


@pytest.mark.parametrize("name", ["gqa-2027.zip", "gqa-2027.tar.gz"])
def test_an_archive_holds_the_same_in_one_folder(bundle, tmp_path, name, known_to_be_built):
    made = students_bundle(tmp_path / name, bundle.parent / "exchange")
    if name.endswith("zip"):
        held = [entry.filename for entry in zipfile.ZipFile(made).infolist() if not entry.is_dir()]
    else:
        with tarfile.open(made) as archive:
            held = [entry.name for entry in archive if entry.isfile()]
    assert sorted(held) == sorted(f"gqa-2027/{p.relative_to(bundle)}" for p in files(bundle))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".bundle")]


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "students").mkdir()
    with pytest.raises(ReleaseError, match="already exists"):
        students_bundle(tmp_path / "students")


def test_an_exchange_must_be_the_same_folder_for_everyone(tmp_path):
    with pytest.raises(ReleaseError, match="from the root"):
        students_bundle(tmp_path / "students", Path("exchange"))


def test_a_path_with_quotes_and_accents_survives(tmp_path, known_to_be_built):
    odd = tmp_path / 'l\'été "27" \\ n'
    made = students_bundle(tmp_path / "students", odd)
    assert tomllib.loads((made / "course.toml").read_text("utf-8"))["class"]["exchange"] == str(odd)


# The bundle: it works alone


def student(bundle, tmp_path, *command, **environment):
    """Run `gqa` as a student does: the bundle's code, records and work of their own."""
    return subprocess.run(
        [sys.executable, "-m", "gqa_lib.cli", *command],
        env=os.environ
        | {
            "PYTHONPATH": str(bundle),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GQA_HOME": str(tmp_path / "student"),
            "GQA_WORK": str(tmp_path / "work"),
        }
        | environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )


def begin(tmp_path):
    """Put a student's copy of the lesson in place, as `gqa lab` does, and return it."""
    folder = tmp_path / "work" / LESSON.slug
    folder.mkdir(parents=True)
    shutil.copy(LESSON.pristine, folder)
    return folder / LESSON.pristine.name


def test_a_student_sees_the_map(bundle, tmp_path):
    seen = student(bundle, tmp_path, "map")
    assert seen.returncode == 0, seen.stderr
    assert "Multi-head attention" in seen.stdout


def test_what_a_student_hands_in_is_collected(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_EXCHANGE", str(bundle.parent / "exchange"))
    release([LESSON])
    monkeypatch.delenv("GQA_EXCHANGE")
    mine = begin(tmp_path)
    done = student(bundle, tmp_path, "submit", "01")
    assert done.returncode == 0, done.stderr
    assert "Feedback comes from your instructor" in done.stdout
    assert not (tmp_path / "student" / "gradebook.db").exists()

    monkeypatch.setenv("GQA_EXCHANGE", str(bundle.parent / "exchange"))
    with quietly():
        course = course_of(LESSON, nbgrader_config())
        exchange(course, "Collect", file_log("collect"), update=True)
    collected = Path(course.format_path("submitted", get_username(), LESSON.slug), mine.name)
    assert collected.read_bytes() == mine.read_bytes()


def test_without_an_exchange_a_student_is_told_what_to_ask_for(tmp_path, known_to_be_built):
    alone = students_bundle(tmp_path / "students")
    begin(tmp_path)
    done = student(alone, tmp_path, "submit", "01")
    assert done.returncode == 1
    assert "Ask your instructor for the folder of the class's exchange" in done.stderr
    assert "Traceback" not in done.stderr
    set_by_hand = student(alone, tmp_path, "submit", "01", GQA_EXCHANGE=str(tmp_path / "none"))
    assert "Unwritable directory, please contact your instructor" in set_by_hand.stderr


def test_the_bundle_runs_its_own_modules(bundle, tmp_path):
    code = (
        "import gqa_lib, gqa_lib.bench, grading.learner.lab, grading.learner.submit\n"
        "from gqa_lib.configs import from_hf_config\n"
        "assert from_hf_config({'model_type': 'llama'}).weights.total == 6738415616\n"
        "print(gqa_lib.__file__, grading.__file__, *gqa_lib.bench.benchmarks().values())"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env=os.environ | {"PYTHONPATH": str(bundle)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(bundle)) for path in done.stdout.split())
    assert len(done.stdout.split()) > 3


def test_an_instructors_command_says_so_in_a_students_copy(bundle, tmp_path):
    for command in ("build", "release", "export"):
        done = student(bundle, tmp_path, command)
        assert done.returncode == 1
        assert "this command is for instructors" in done.stderr


# Lessons in the exchange


def test_lessons_are_released_without_their_secrets(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GQA_EXCHANGE", "")  # restored after the command sets it
    assert main(["release", "1", "3", "--exchange", str(tmp_path / "exchange")]) == 0
    outbound = tmp_path / "exchange" / "gqa" / "outbound"
    assert {path.name for path in outbound.iterdir()} == {LESSON.slug, find_lesson("03").slug}
    given = outbound / LESSON.slug / f"{LESSON.slug}.ipynb"
    assert given.read_bytes() == LESSON.pristine.read_bytes()
    assert f"Released: {given.parent}" in capsys.readouterr().out
    with Gradebook(gradebook_url()) as gradebook:
        assert gradebook.find_assignment(LESSON.slug).max_score == LESSON.points


def test_releasing_needs_an_exchange(capsys):
    assert main(["release", "01"]) == 1
    assert "--exchange" in capsys.readouterr().err


def test_a_release_that_would_cost_marks_is_refused_and_the_old_one_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    (where,) = release([LESSON])
    assert release([LESSON]) == [where]  # again, while nobody has handed in
    with Gradebook(gradebook_url()) as gradebook:
        gradebook.add_student("amelia")
        gradebook.add_submission(LESSON.slug, "amelia")
    assert release([LESSON]) == [where]  # and after, with the same exercises
    with Gradebook(gradebook_url()) as gradebook:
        gradebook.add_grade_cell(
            "gone-check", LESSON.slug, LESSON.slug, max_score=1, cell_type="code"
        )
    with pytest.raises(ReleaseError, match="exercises are others than those students"):
        release([LESSON])
    assert (where / f"{LESSON.slug}.ipynb").read_bytes() == LESSON.pristine.read_bytes()
    with Gradebook(gradebook_url()) as gradebook:
        assert gradebook.find_submission(LESSON.slug, "amelia")


# The seed


def test_the_seed_is_kept_with_the_records_and_not_in_the_bundle(tmp_path, known_to_be_built):
    assert course_seed() is None
    assert main(["release", "--students", str(tmp_path / "students"), "--seed", "987654321"]) == 0
    assert course_seed() == 987654321
    assert not [p for p in files(tmp_path / "students") if b"987654321" in p.read_bytes()]
    set_course_seed(0)
    assert course_seed() == 0
    set_course_seed(None)
    assert course_seed() is None


@pytest.mark.parametrize(("content", "said"), [("seed =", "cannot be read"), ("seed = 1.5", "1.5")])
def test_a_damaged_seed_is_named(content, said):
    set_course_seed(1)
    (places.home() / "class.toml").write_text(content)
    with pytest.raises(ValueError, match=said):
        course_seed()
