"""`gqa reset` puts an exercise back and loses nothing."""

import nbformat
import pytest

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn import progress
from gqa_lib.learn.guide.work import put_lessons
from grading.intake.rebuild import rebuild, unanswered
from grading.nb.cells import grade_id, read_notebook

LESSON = find_lesson("04")
ANSWER = "def expand_kv(kv, q_per_kv):\n    return 'mine'"


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """The learner's copy, with every exercise answered and a cell of their own."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    put_lessons()
    path = places.work() / LESSON.slug / f"{LESSON.slug}.ipynb"

    def answer(notebook):
        for cell in notebook.cells:
            if (cell.metadata.get("nbgrader") or {}).get("solution"):
                cell.source = ANSWER.replace("expand_kv", grade_id(cell))
        notebook.cells.insert(3, nbformat.v4.new_code_cell("my_own = 1", id="my-own"))

    change(path, answer)
    return path


def change(path, how):
    notebook = nbformat.read(path, as_version=4)
    how(notebook)
    nbformat.write(notebook, path)
    return notebook


def cell(notebook, name):
    (found,) = (c for c in notebook.cells if grade_id(c) == name)
    return found


def names(notebook):
    return [grade_id(c) for c in notebook.cells if grade_id(c)]


def backups(path):
    return list(path.parent.glob("*.before-*.ipynb"))


def test_one_exercise_is_put_back_and_everything_else_stays(mine, capsys):
    before = mine.read_bytes()
    progress.add(LESSON.slug, "expand_kv", "check", 0.0, 1.0)
    assert main(["reset", "04", "expand_kv"]) == 0
    said = capsys.readouterr().out
    (kept,) = backups(mine)
    assert kept.read_bytes() == before
    assert str(kept) in said
    assert "after 1 check." in said
    assert "Reload Notebook from Disk" in said
    old, new = nbformat.reads(before.decode(), as_version=4), read_notebook(mine)
    assert [c.id for c in new.cells] == [c.id for c in old.cells]
    changed = [grade_id(c) for c, was in zip(new.cells, old.cells, strict=True) if c != was]
    assert changed == ["expand_kv"]
    assert cell(new, "expand_kv") == cell(read_notebook(LESSON.pristine), "expand_kv")
    (event,) = progress.events(LESSON.slug, "reset")
    assert (event["exercise"], event["detail"]) == ("expand_kv", "after 1 checks")


def deleted(notebook):
    notebook.cells = [c for c in notebook.cells if grade_id(c) != "expand_kv"]


def deleted_with_its_check_and_neighbours(notebook):
    gone = [c for c in notebook.cells if "expand_kv" in (grade_id(c) or c.source)]
    notebook.cells = [c for c in notebook.cells if c not in gone]


def moved_to_the_end(notebook):
    notebook.cells.append(notebook.cells.pop(notebook.cells.index(cell(notebook, "expand_kv"))))


def there_three_times(notebook):
    at = notebook.cells.index(cell(notebook, "expand_kv"))
    for _ in range(2):
        copy = nbformat.from_dict(notebook.cells[at])
        copy.id += "x"
        notebook.cells.insert(at, copy)


def turned_into_text(notebook):
    answer = cell(notebook, "expand_kv")
    answer.cell_type = "markdown"
    del answer["outputs"], answer["execution_count"]


def unlocked_and_emptied_check(notebook):
    check = cell(notebook, "expand_kv-check")
    check.source, check.metadata["nbgrader"]["locked"] = "pass", False


WAYS = (
    deleted,
    deleted_with_its_check_and_neighbours,
    moved_to_the_end,
    there_three_times,
    turned_into_text,
    unlocked_and_emptied_check,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_whatever_was_done_to_the_exercise_it_is_there_once_and_unanswered(way, mine):
    change(mine, way)
    assert main(["reset", "4", "expand_kv"]) == 0
    new, released = read_notebook(mine), read_notebook(LESSON.pristine)
    nbformat.validate(new)
    for name in ("expand_kv", "expand_kv-check"):
        assert cell(new, name) == cell(released, name)
    if way is not moved_to_the_end:
        assert names(new) == names(released)
    assert unanswered(rebuild(new, released)[0], released) == ["expand_kv"]
    assert any(c.source == "my_own = 1" for c in new.cells)


def test_a_notebook_of_an_older_format_stays_valid(mine):
    def older(notebook):
        notebook.nbformat_minor = 4
        for one in notebook.cells:
            del one["id"]

    change(mine, older)
    assert main(["reset", "04", "expand_kv"]) == 0
    assert nbformat.read(mine, as_version=4).nbformat_minor == 4
    nbformat.validate(read_notebook(mine))


def test_a_whole_lesson_is_put_back_only_when_that_is_said(mine, capsys):
    before = mine.read_bytes()
    assert main(["reset", "04"]) == 1
    assert "--all" in capsys.readouterr().err
    assert mine.read_bytes() == before
    assert main(["reset", "04", "expand_kv", "--all"]) == 1
    assert backups(mine) == []
    assert main(["reset", "04", "--all"]) == 0
    assert mine.read_bytes() == LESSON.pristine.read_bytes()
    assert [kept.read_bytes() for kept in backups(mine)] == [before]


def test_each_reset_keeps_what_was_there(mine):
    for _ in range(3):
        assert main(["reset", "04", "expand_kv"]) == 0
    assert len(backups(mine)) == 3


def test_what_is_kept_is_not_handed_in():
    from fnmatch import fnmatch

    from nbgrader.coursedir import CourseDirectory

    from grading.settings import nbgrader_config

    ignored = CourseDirectory(config=nbgrader_config()).ignore
    assert any(fnmatch(f"{LESSON.slug}.before-2026-01-01-101010.ipynb", one) for one in ignored)
    assert ".ipynb_checkpoints" in ignored
    assert not any(fnmatch(f"{LESSON.slug}.ipynb", one) for one in ignored)


def test_an_unknown_exercise_names_those_there_are(mine, capsys):
    assert main(["reset", "04", "attention"]) == 1
    assert "kv_head_of, expand_kv, grouped_query_attention" in capsys.readouterr().err
    assert backups(mine) == []
    assert progress.events() == []


def test_a_notebook_that_cannot_be_read_is_replaced_only_as_a_whole(mine, capsys):
    mine.write_text("{ not a notebook")
    assert main(["reset", "04", "expand_kv"]) == 1
    assert "gqa reset 04 --all" in capsys.readouterr().err
    assert mine.read_text() == "{ not a notebook"
    assert main(["reset", "04", "--all"]) == 0
    assert mine.read_bytes() == LESSON.pristine.read_bytes()
    assert [kept.read_text() for kept in backups(mine)] == ["{ not a notebook"]


def test_without_a_copy_there_is_nothing_to_reset(mine, capsys):
    mine.unlink()
    assert main(["reset", "04", "expand_kv"]) == 1
    assert "gqa lab 04" in capsys.readouterr().err
