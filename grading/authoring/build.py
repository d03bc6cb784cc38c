"""Builds everything generated from `solutions/`: the only thing that writes `notebooks/`.

solutions/NN-slug.py          -> build/instructor/NN-slug/NN-slug.ipynb  (instructor's, not in git)
                              -> notebooks/NN-slug/NN-slug.ipynb       (student's, by nbgrader)
                              -> gqa_lib/learn/guide/hints.json      (the ladders of hints)
solutions/quiz.toml           -> gqa_lib/learn/quiz/quiz.json        (questions without the key)
solutions/benchmarks/NAME.py  -> notebooks/benchmarks/NAME.ipynb
solutions/facts.toml          -> gqa_lib/learn/tutor/answers/sources.json (of the facts cited there)
course.toml                   -> the map of lessons in README.md
"""

import json
import logging
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from gqa_lib.course.manifest import Lesson, Planned, lessons, outline
from gqa_lib.course.places import course_root
from gqa_lib.learn.quiz.questions import all_questions
from grading.nb.cells import as_text
from grading.quiz.bank import facts, lint_bank, load_bank
from grading.quiz.marking import public_bank
from grading.settings import nbgrader_config, source_directory

from .answers import SOURCES, lint_answers, sources_text
from .generated import misplaced
from .lint import lint_benchmark, lint_lesson
from .promises import lint_texts
from .source import (
    lesson_notebook,
    read_source,
    source_of,
    write_if_changed,
    write_instructor_notebook,
)

_BANK = "gqa_lib/learn/quiz/quiz.json"
_HINT = re.compile(r"<details>\s*<summary>(.*?)</summary>\s*(.*?)\s*</details>", re.DOTALL)


def build(*, check: bool = False) -> list[str]:
    """Write everything generated, or with `check` only compare; return what is wrong.

    Problems are lint findings and, with `check`, each file that differs from its source.
    Nothing is written when a lint finding stands.
    """
    if problems := _build_bank(check=check):
        return problems
    with tempfile.TemporaryDirectory() as scratch:
        made, problems = _generate(Path(scratch))
        if problems:
            return problems
        if check:
            return _different(made) + [_mismatch(path) for path in _unknown(made)]
        for path, text in made.items():
            write_if_changed(course_root() / path, text)
        for lesson in lessons():
            write_instructor_notebook(lesson, source_directory())
        _remove_unknown_lessons()
    return []


def student_notebook(lesson: Lesson, scratch: Path) -> str:
    """Return the student notebook nbgrader makes of a lesson, in a course tree of its own."""
    config = Config(nbgrader_config(scratch))
    config.CourseDirectory.source_directory = str(scratch / "source")
    write_instructor_notebook(lesson, scratch / "source")
    course = CourseDirectory(config=config)
    course.assignment_id = lesson.slug
    converter = GenerateAssignment(coursedir=course, config=config)
    converter.log = _quiet_log()
    converter.force = True
    converter.start()
    made = Path(course.format_path(course.release_directory, ".", lesson.slug))
    return (made / f"{lesson.slug}.ipynb").read_text(encoding="utf-8")


def _build_bank(*, check: bool) -> list[str]:
    """Write the public half of the quiz bank, which the lessons' lint reads; return problems."""
    if problems := lint_bank(load_bank(), facts()):
        return [f"quiz.toml: {problem}" for problem in problems]
    made = {_BANK: public_bank()}
    if check:
        return _different(made)
    write_if_changed(course_root() / _BANK, made[_BANK])
    all_questions.cache_clear()
    return []


def _generate(scratch: Path) -> tuple[dict[str, str], list[str]]:
    """Return the generated texts by path, and the lint findings."""
    made: dict[str, str] = {}
    hints: dict[str, list[list[str]]] = {}
    problems = [*_lint_sources(), *lint_texts()]
    if problems:
        return made, problems
    notebooks = {}
    for lesson in lessons():
        text = student_notebook(lesson, scratch)
        instructor, student = lesson_notebook(lesson), nbformat.reads(text, as_version=4)
        made[f"notebooks/{lesson.slug}/{lesson.slug}.ipynb"] = text
        problems += lint_lesson(lesson, instructor, student)
        hints |= _hints(instructor)
        notebooks[lesson.number] = instructor, json.loads(text)
    for path in sorted((course_root() / "solutions" / "benchmarks").glob("*.py")):
        notebook = read_source(path)
        made[f"notebooks/benchmarks/{path.stem}.ipynb"] = as_text(notebook)
        problems += lint_benchmark(path.stem, notebook)
    problems += lint_answers(notebooks, facts())
    made[SOURCES] = sources_text(facts())
    made["gqa_lib/learn/guide/hints.json"] = json.dumps(hints, indent=1, ensure_ascii=False) + "\n"
    made["README.md"] = _readme()
    return made, problems


def _lint_sources() -> list[str]:
    """Return what keeps lessons from being generated at all."""
    return [
        f"{lesson.slug}: {problem}"
        for lesson in lessons()
        for problem in misplaced(lesson, read_source(source_of(lesson)).cells)
    ]


def _hints(notebook) -> dict[str, list[list[str]]]:
    """Return exercise -> [[summary, text], ...] from the cells marked with `hints`."""
    return {
        cell.metadata["hints"]: [list(found) for found in _HINT.findall(cell.source)]
        for cell in notebook.cells
        if "hints" in cell.metadata
    }


def _readme() -> str:
    """Return README.md with its map of lessons made from course.toml."""
    rows = ["| | lesson | minutes | what it tests |", "|---|---|---|---|"]
    for lesson in outline():
        if isinstance(lesson, Planned):
            rows.append(f"| {lesson.number} | {lesson.title} | planned | {lesson.claim} |")
            continue
        link = f"[{lesson.title}](notebooks/{lesson.slug}/{lesson.slug}.ipynb)"
        rows.append(f"| {lesson.number} | {link} | {lesson.minutes} | {lesson.claim} |")
    text = (course_root() / "README.md").read_text(encoding="utf-8")
    table = "<!-- map -->\n" + "\n".join(rows) + "\n<!-- end of map -->"
    return re.sub(r"<!-- map -->.*<!-- end of map -->", lambda _: table, text, flags=re.DOTALL)


def _different(made: dict[str, str]) -> list[str]:
    root = course_root()
    return [
        _mismatch(path)
        for path, text in made.items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    ]


def _unknown(made: dict[str, str]) -> list[str]:
    root = course_root()
    tracked = {str(p.relative_to(root)) for p in (root / "notebooks").glob("*/*.ipynb")}
    return sorted(tracked - made.keys())


def _mismatch(path: str) -> str:
    return f"{path} does not match its source: run `gqa build`"


def _remove_unknown_lessons() -> None:
    known = {lesson.slug for lesson in lessons()} | {"benchmarks"}
    for folder in (course_root() / "notebooks").iterdir():
        if folder.is_dir() and folder.name not in known:
            shutil.rmtree(folder)


def _quiet_log() -> logging.Logger:
    log = logging.getLogger("gqa.build")
    log.setLevel(logging.ERROR)
    return log
