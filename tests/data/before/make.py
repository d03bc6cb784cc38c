"""Makes the data next to this file with the course as it was then; see README.md."""

import ast
import json
import os
import pwd
import tarfile
import time
from pathlib import Path

import nbformat
from grading.nb.cells import QUIZ, grade_id, read_notebook

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.course.places import course_root
from gqa_lib.learn import hint
from gqa_lib.learn.guide.work import put_lessons
from gqa_lib.learn.quiz import saved
from gqa_lib.learn.quiz.questions import questions_of
from grading.authoring.catalogue import filled, first_right, picked
from grading.authoring.run import known_cells, new_namespace, run_cell
from grading.authoring.source import lesson_notebook
from grading.classroom.gradebook import open_gradebook
from grading.intake.collect import SafeCollect, arrival
from grading.learner.demo import HALF_WAY
from grading.learner.desk import arrange
from grading.learner.submit import work_notebook
from grading.quiz import right_answers

HERE, PLACE = Path(__file__).parent, Path("/tmp/before")
_REAL = pwd.getpwuid


def be(user: str, home: Path, exchange: Path | None = None) -> None:
    """Go on as another user of the machine."""
    pwd.getpwuid = lambda uid: pwd.struct_passwd((user, *_REAL(uid)[1:]))
    os.environ |= {"GQA_HOME": str(home), "GQA_WORK": str(home.parent / "work")}
    os.environ.pop("GQA_EXCHANGE", None)
    if exchange:
        os.environ["GQA_EXCHANGE"] = str(exchange)


def gqa(*words: object) -> None:
    if main([str(word) for word in words]):
        raise SystemExit(f"gqa {words} failed")


def answer(number: str, answers: dict[str, str], chosen: int = 0) -> None:
    """Write answers into the learner's copy and choose some in the quiz."""
    lesson = find_lesson(number)
    path = work_notebook(lesson)
    answers = {name: text for name, text in answers.items() if name != QUIZ}
    nbformat.write(filled(read_notebook(path), answers), str(path))
    if chosen:
        right = dict(list(right_answers(number).items())[:chosen])
        saved.write(path.parent, saved.Saved(1, right))


def run_cells(number: str) -> None:
    """Run the cells that nbgrader knows, so that their checks go on the record."""
    path, namespace = work_notebook(find_lesson(number)), new_namespace()
    os.chdir(path.parent)
    for cell in known_cells(read_notebook(path)):
        run_cell(cell.source, grade_id(cell), namespace)


def learner() -> None:
    """One who learns alone: two lessons, one of them twice."""
    be("ada", PLACE / "learner" / "home")
    put_lessons()
    arrange()
    one, five = first_right(find_lesson("01")), first_right(find_lesson("05"))
    answer("01", picked(find_lesson("01"), HALF_WAY))
    run_cells("01")
    hint("causal_mask")
    gqa("submit", "01")
    answer("01", one, chosen=2)
    run_cells("01")
    gqa("reset", "01", "merge_heads")
    gqa("submit", "01")
    del five["kv_heads_in_weights"]  # left as the stub
    broken = "def max_concurrent_sequences(:"
    answer("05", five | {"max_concurrent_sequences": broken}, chosen=3)
    run_cells("05")
    gqa("submit", "05")
    quiz = work_notebook(find_lesson("16")).parent
    asked = [question.id for question in questions_of("16", "ada", 1)]
    saved.write(quiz, saved.Saved(1, dict.fromkeys(asked[:4], "B")))
    arrange(find_lesson("05"))
    gqa("progress", "export", HERE / "progress-export.json")


def a_class() -> None:
    """Three students hand in lesson 04; the last of them after the others were graded."""
    home, exchange = PLACE / "class" / "records", PLACE / "class" / "exchange"
    roster, due = PLACE / "roster.csv", PLACE / "due.csv"
    roster.write_text(
        "id,first_name,last_name,email\nben,Ben,Bauer,ben@example.org\n"
        "cleo,Cleo,Costa,cleo@example.org\ndan,Dan,Diaz,dan@example.org\n"
    )
    due.write_text("lesson,due\n04,2020-01-31\n05,2999-01-31 18:00\n")
    SafeCollect.check_owner = False  # one user of this machine hands in for all
    be("teacher", home, exchange)
    gqa("roster", roster)
    gqa("due", due, "--timezone", "Europe/Berlin")
    gqa("release", "04", "--seed", "20270115")
    right = first_right(find_lesson("04"))
    hand_in("ben", exchange, right, 3)
    hand_in("cleo", exchange, right | {"expand_kv": "def expand_kv(kv, q_per_kv):\n    return kv"})
    be("teacher", home, exchange)
    gqa("grade", "04", "--collect", "--feedback")
    by_hand("cleo", "expand_kv-check", 0.5)
    gqa("export", HERE / "marks.csv")
    hand_in("dan", exchange, dict(list(right.items())[:2]), 1)
    came = {}
    for folder in sorted((exchange / "gqa" / "inbound").iterdir()):
        descriptor = os.open(folder, os.O_RDONLY)
        came[folder.name] = arrival(descriptor, [f"{find_lesson('04').slug}.ipynb"]).isoformat()
        os.close(descriptor)
    (HERE / "arrivals.json").write_text(json.dumps(came, indent=1) + "\n")
    be("teacher", home, exchange)


def hand_in(student: str, exchange: Path, answers: dict[str, str], chosen: int = 0) -> None:
    be(student, PLACE / "students" / student / "home", exchange)
    put_lessons()
    answer("04", answers, chosen)
    gqa("submit", "04")
    time.sleep(1)


def by_hand(student: str, cell: str, score: float) -> None:
    """Change a mark as Formgrader does."""
    slug = find_lesson("04").slug
    with open_gradebook() as gradebook:
        gradebook.find_grade(cell, slug, slug, student).manual_score = score
        gradebook.db.commit()


def imports() -> None:
    """List what notebooks import of ours: given out, solved with hidden tests, benchmarks."""
    books = [lesson_notebook(one) for one in lessons()]
    books += [read_notebook(one.pristine) for one in lessons()]
    books += map(read_notebook, sorted((course_root() / "notebooks" / "benchmarks").glob("*")))
    found = {line for book in books for line in imported(book)}
    (HERE / "imports.txt").write_text("\n".join(sorted(found)) + "\n")


def imported(book: nbformat.NotebookNode) -> set[str]:
    """Return a notebook's imports of ours, one name each, and of modules what it uses of them."""
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    nodes = list(ast.walk(ast.parse(code)))
    found, modules = set(), {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module.startswith(("gqa_lib", "grading")):
            for alias in node.names:
                found.add(f"from {node.module} import {alias.name}")
                place = course_root() / f"{node.module}.{alias.name}".replace(".", "/")
                if place.is_dir() or place.with_suffix(".py").is_file():
                    modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("gqa_lib") for alias in node.names)
    for node in nodes:
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in modules:
            found.add(f"from {modules[node.value.id]} import {node.attr}")
    return found


def packed(name: str) -> None:
    """Pack a folder without its logs, which name paths of the machine."""

    def ours(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return None if member.name.endswith(".log") else member

    with tarfile.open(HERE / f"{name}.tar.xz", "w:xz", preset=9) as archive:
        archive.add(PLACE / name, name, filter=ours)


if __name__ == "__main__":
    for name in ("progress-export.json", "marks.csv", "marks-of-all.csv"):
        (HERE / name).unlink(missing_ok=True)
    imports()
    learner()
    packed("learner")
    a_class()
    packed("class")
    gqa("grade", "04", "--collect")  # what the version before then made of the third
    gqa("export", HERE / "marks-of-all.csv")
