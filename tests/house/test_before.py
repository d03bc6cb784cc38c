"""The present code on copies of records and notebooks of an earlier version; see data/before."""

import ast
import csv
import json
import os
import pwd
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path

import pytest
from nbclient import NotebookClient

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.course.places import home, work
from gqa_lib.learn import progress
from gqa_lib.learn.guide.work import put_lessons
from gqa_lib.learn.progress.standing import standing
from gqa_lib.learn.quiz.sitting import sitting_of
from grading.authoring.catalogue import filled
from grading.authoring.source import lesson_notebook
from grading.intake import collect, inbound
from grading.intake.exchange import prepare_exchange
from grading.learner.desk import arrange
from grading.limited import sandbox
from grading.nb.cells import grade_id, is_solution, read_notebook
from grading.pipeline.batch import NOTE
from grading.safe.cell import TRUSTED
from grading.safe.execute import cells_of

BEFORE = Path(__file__).parents[1] / "data" / "before"
IMPORTS = (BEFORE / "imports.txt").read_text(encoding="utf-8").splitlines()
SLUG = find_lesson("04").slug

needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)


def unpack(name, place):
    with tarfile.open(BEFORE / f"{name}.tar.xz") as archive:
        archive.extraction_filter = lambda member, path: member  # keep its modes
        archive.extractall(place)
    return place / name


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """Be the learner `ada`, with her old records and notebooks; return the folder of both."""
    folder = unpack("learner", tmp_path)
    monkeypatch.setenv("GQA_HOME", str(folder / "home"))
    monkeypatch.setenv("GQA_WORK", str(folder / "work"))
    real = pwd.getpwuid
    as_ada = lambda uid: pwd.struct_passwd(("ada", *real(uid)[1:]))  # noqa: E731
    monkeypatch.setattr(pwd, "getpwuid", as_ada)
    return folder


@pytest.fixture
def classroom(tmp_path, monkeypatch):
    """Be the instructor of an old class; return the folder of the records."""
    folder = unpack("class", tmp_path)
    monkeypatch.setenv("GQA_HOME", str(folder / "records"))
    monkeypatch.setenv("GQA_EXCHANGE", str(folder / "exchange"))
    prepare_exchange(folder / "exchange", "gqa")  # as grading says, with the lines to type
    came = json.loads((BEFORE / "arrivals.json").read_text(encoding="utf-8"))

    def arrival(descriptor, names):
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        return datetime.fromisoformat(came[name])

    for module in (collect, inbound):
        monkeypatch.setattr(module, "arrival", arrival)  # a copy has its own times
    monkeypatch.setattr(collect.SafeCollect, "check_owner", False)  # and owner
    return folder / "records"


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def exported():
    return json.loads((BEFORE / "progress-export.json").read_text(encoding="utf-8"))["events"]


def events():
    rows = [dict(row) for row in progress.events()]
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


# A learner's record


@pytest.mark.parametrize("lost", [None, "progress.sqlite", "progress.jsonl"])
def test_every_old_event_is_read_and_shown_on_the_map(learner, lost, capsys):
    if lost:
        (home() / lost).unlink()
    assert events() == exported()
    assert main(["map"]) == 0
    told = capsys.readouterr().out
    assert "14 of 16 points" in told
    assert "15 of 21 points" in told
    one = standing(find_lesson("01"))
    assert one.marks == [(5, 16), (14, 16)]
    hints, resets = one.exercises["causal_mask"].hints, one.exercises["merge_heads"].resets
    assert (one.exercises["attention"].checks, hints, resets) == (2, 1, 1)
    assert one.solved == ["causal_mask", "attention", "split_heads", "MultiHeadAttention"]


def test_an_old_export_is_imported_and_new_events_follow(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    assert main(["progress", "import", str(BEFORE / "progress-export.json")]) == 0
    assert events() == exported()
    progress.add(SLUG, "expand_kv", "check", 1.0, 1.0)
    assert events()[:-1] == exported()


# A learner's notebooks

# Lesson 05 has come to ask for models whose layers differ; older answers count windows alone.
ASKS_MORE = {"kv_cache_bytes-check", "kv_cache_bytes-shared", "kv_cache_bytes-mla"}


@pytest.mark.parametrize("number", ["01", "05"])
def test_old_work_gets_the_same_points_for_each_exercise(learner, number):
    lesson = find_lesson(number)
    before, folder = standing(lesson), work() / lesson.slug
    files = contents(folder)
    assert main(["submit", number]) == 0
    after = standing(lesson)
    lost = {name: points for name, points in before.latest.items() if name in ASKS_MORE}
    assert after.latest == before.latest | dict.fromkeys(lost, 0.0)
    assert after.marks[:-1] == before.marks
    points, of = before.marks[-1]
    assert after.marks[-1] == (pytest.approx(points - sum(lost.values())), of)
    assert contents(folder).items() > files.items()  # every old file is as it was
    new = contents(folder).keys() - files.keys()
    assert len(new) == 2, "the page, and its copy under a name that links can have"
    assert all("feedback" in path.relative_to(folder).parts for path in new)
    (page,) = {path.read_text(encoding="utf-8") for path in new}
    assert next(iter(before.exercises)) in page


def test_a_reset_keeps_a_backup_of_the_old_notebook(learner):
    lesson = find_lesson("01")
    path = work() / lesson.slug / f"{lesson.slug}.ipynb"
    mine, backups = path.read_bytes(), set(path.parent.glob("*.before-*"))
    assert len(backups) == 1
    assert main(["reset", "01", "attention"]) == 0
    (kept,) = set(path.parent.glob("*.before-*")) - backups
    assert kept.read_bytes() == mine
    assert path.read_bytes() != mine
    assert "attention" not in standing(lesson).solved


def test_the_desk_keeps_old_work_and_adds_the_present_lessons(learner):
    new, edited = find_lesson("02").slug, (find_lesson("01"), find_lesson("05"))
    record = json.loads((work() / ".lessons.json").read_text())
    del record[new]
    (work() / new / f"{new}.ipynb").unlink()
    record |= {lesson.slug: "of an earlier release" for lesson in edited}
    (work() / ".lessons.json").write_text(json.dumps(record))
    files = contents(work())
    assert len(put_lessons()) == len(edited)
    assert arrange().number == "05"  # the one that was open
    for lesson in lessons():
        path = work() / lesson.slug / f"{lesson.slug}.ipynb"
        if lesson in edited:
            assert path.read_bytes() == files[path]
            (path,) = path.parent.glob("*.updated-*.ipynb")
        assert path.read_bytes() == lesson.pristine.read_bytes()
    for path, content in files.items():  # answers, backups, feedback, the chat with the tutor
        if path.stem != path.parent.name and path.name not in (".lessons.json", "map.md"):
            assert path.read_bytes() == content


def test_choices_in_a_quiz_begun_earlier_are_read(learner):
    chosen = sitting_of("16", work() / find_lesson("16").slug)
    assert (chosen.attempt, len(chosen.saved), chosen.trouble) == (1, 4, "")


# What notebooks import


def old_notebooks(folder):
    paths = sorted((folder / "work").glob("[0-9]*/*.ipynb"))
    return {path.stem: read_notebook(path) for path in paths if ".before-" not in path.name}


def test_the_list_of_old_imports_is_complete(learner):
    found = set()
    for name, notebook in old_notebooks(learner).items():
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        code = [source for source in code if "(:" not in source]  # an answer that is broken
        for node in ast.walk(ast.parse("\n".join(code))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("gqa_lib"):
                found |= {f"from {node.module} import {alias.name}" for alias in node.names}
        assert found, name
    assert found <= set(IMPORTS)


def test_old_imports_work_without_a_warning():
    tried = (
        f"for line in {IMPORTS!r}:\n"
        "    try:\n"
        "        exec(line)\n"
        "    except Exception as error:\n"
        "        print(f'{line}: {error!r}')\n"
    )
    done = subprocess.run([sys.executable, "-c", tried], capture_output=True, text=True, cwd="/")
    assert (done.stdout, done.stderr) == ("", "")


@needs_sandbox
def test_old_set_up_cells_run_inside_the_sandbox(learner):
    cells = [
        (name, cell.source)
        for name, notebook in old_notebooks(learner).items()
        for cell in cells_of(notebook)[1]
        if cell.kind == TRUSTED
    ]
    assert len({name for name, _ in cells}) >= 8
    tried = (
        "from grading.student.imports import watch_imports\n"
        "watch_imports()\n"
        f"for name, source in {cells!r}:\n"
        "    try:\n"
        "        exec(source, {'__name__': '__main__'})\n"
        "    except Exception as error:\n"
        "        print(f'{name}: {error!r}')\n"
    )
    argv = sandbox.command([sandbox.python(), "-c", tried])
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/")
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def there_before():
    """The lessons that were written by then."""
    with tarfile.open(BEFORE / "learner.tar.xz") as archive:
        slugs = {Path(name).stem for name in archive.getnames() if name.endswith(".ipynb")}
    return [lesson for lesson in lessons() if lesson.slug in slugs]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", there_before(), ids=lambda lesson: lesson.slug)
def test_an_old_notebook_runs_to_its_end(learner, lesson):
    path = work() / lesson.slug / f"{lesson.slug}.ipynb"
    solved = {grade_id(c): c.source for c in lesson_notebook(lesson).cells if is_solution(c)}
    notebook = filled(read_notebook(path), solved)
    for cell in notebook.cells:  # the table has gained models that lesson 05 did not count yet
        if "caches of {len(all_models())} models: equal to the byte" in cell.source:
            cell.metadata["tags"] = ["raises-exception"]
    where = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, timeout=300, resources=where).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []


# A class


def marks(place):
    assert main(["export", str(place / "marks.csv")]) == 0
    return cells(place / "marks.csv")


def cells(path):
    return list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))


def test_an_old_gradebook_gives_the_same_marks(classroom, tmp_path):
    assert marks(tmp_path) == cells(BEFORE / "marks.csv")


def graded_at(classroom):
    """Return student -> when the note that a submission was graded was written."""
    notes = (classroom / "course" / "autograded").glob(f"*/{SLUG}/{NOTE}")
    return {note.parts[-3]: note.stat().st_mtime_ns for note in notes}


@needs_sandbox
def test_an_old_submission_is_graded_and_old_grades_are_not_made_again(classroom, tmp_path):
    before = graded_at(classroom)
    assert main(["grade", "04", "--collect", "--feedback"]) == 0
    after = graded_at(classroom)
    assert after.keys() - before.keys() == {"dan"}
    assert {student: after[student] for student in before} == before
    assert marks(tmp_path) == cells(BEFORE / "marks-of-all.csv")
    page = classroom / "course" / "feedback" / "dan" / SLUG / f"{SLUG}.html"
    assert "grouped_query_attention" in page.read_text(encoding="utf-8")
    released = classroom.parent / "exchange" / "gqa" / "feedback"
    assert page.read_bytes() in contents(released).values()
    assert len(contents(released)) == 3


@needs_sandbox
def test_regrading_with_the_present_lesson_gives_equal_marks(classroom, tmp_path, capsys):
    before = graded_at(classroom)
    assert main(["release", "04"]) == 0
    assert main(["grade", "04", "--collect", "--all"]) == 0
    after = graded_at(classroom)
    assert all(after[student] > before[student] for student in before)
    assert marks(tmp_path) == cells(BEFORE / "marks-of-all.csv")
