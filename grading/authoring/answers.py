"""What the tutor's authored answers must satisfy, and the sources of their facts.

`gqa_lib/learn/tutor/answers/NN.toml` is written by hand. A students' copy has no list of facts, so
the build writes where those that are cited were read next to the answers.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from nbformat import NotebookNode

from gqa_lib.course.manifest import Lesson, find_lesson
from gqa_lib.learn.tutor.authored import ANSWERS, Authored, bank
from gqa_lib.learn.tutor.passages import sections_of
from grading.quiz.bank import Fact

from .promises import empty_promises

SOURCES = f"gqa_lib/learn/tutor/{ANSWERS}/sources.json"
FEWEST, FEWEST_QUESTIONS, MOST_QUESTIONS, MOST_WORDS = 400, 3, 8, 80
_SMALL = 12  # whole numbers up to here are counted or spelled out, and need no source
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
_SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)
_PLACE = re.compile(r"\bcells? \d", re.IGNORECASE)
_SHORTEST = 15  # characters of a line of code that can give something away


def sources_text(facts: Mapping[str, Fact]) -> str:
    """Return the file that says where the facts cited by answers were read.

    Args:
        facts: the course's facts, by id.
    """
    cited = sorted({id for one in bank() for id in one.facts}, key=lambda id: int(id[1:]))
    found = {id: facts[id].source for id in cited if id in facts}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def lint_answers(
    notebooks: Mapping[str, tuple[NotebookNode, dict[str, Any]]], facts: Mapping[str, Fact]
) -> list[str]:
    """Return what is wrong with the authored answers.

    Args:
        notebooks: each lesson's number, to its instructor's and its student's notebook.
        facts: the course's facts, by id.
    """
    found = []
    if len(bank()) < FEWEST:
        found.append(f"there are {len(bank())} answers and should be {FEWEST} or more")
    asked = Counter(_bare(question) for one in bank() for question in one.questions)
    found += [f"the question {q!r} is there {n} times" for q, n in asked.items() if n > 1]
    written = [line for instructor, _ in notebooks.values() for line in _answers_of(instructor)]
    for number, (_, student) in notebooks.items():
        mine = [one for one in bank() if one.lesson == number]
        found += _lint_lesson(find_lesson(number), student, mine)
        there = _numbers(json.dumps(student, ensure_ascii=False))
        for one in mine:
            found += [f"{_named(one)}: {why}" for why in _lint(one, there, facts, written)]
    return [f"tutor's answers: {problem}" for problem in found]


def _lint_lesson(lesson: Lesson, student: dict[str, Any], mine: list[Authored]) -> Iterator[str]:
    titles = [section.title for section in sections_of(lesson, student)]
    for one in mine:
        if one.section not in titles:
            yield f"{_named(one)}: lesson {lesson.number} has no such section"
    for title in titles:
        if title not in {one.section for one in mine}:
            yield f"lesson {lesson.number}, {title!r}: no answer is about this section"


def _lint(
    one: Authored, there: set[str], facts: Mapping[str, Fact], written: list[str]
) -> Iterator[str]:
    if not FEWEST_QUESTIONS <= len(one.questions) <= MOST_QUESTIONS:
        yield f"{len(one.questions)} questions"
    if (count := len(one.text.split())) > MOST_WORDS:
        yield f"{count} words, {MOST_WORDS} at most"
    known = [facts[id].text for id in one.facts if id in facts]
    if len(known) < len(one.facts):
        yield f"a fact that there is not: {', '.join(set(one.facts) - facts.keys())}"
    borne_out = there.union(*map(_numbers, known), one.derived)
    if new := sorted(n for n in _numbers(one.text) if _says_something(n) and n not in borne_out):
        yield f"{', '.join(new)}: in neither the lesson nor a fact that is cited, nor `derived`"
    yield from empty_promises(one.text)
    if _PLACE.search(one.text):
        yield "it names a cell by its number, which changes"
    text = _without_blanks(one.text)
    if given := next((line for line in written if line in text), None):
        yield f"it has a line of a solution: {given}"


def _answers_of(instructor: NotebookNode) -> Iterator[str]:
    """Yield the lines of a lesson's solutions that are long enough to give something away."""
    for cell in instructor.cells:
        for solution in _SOLUTION.findall(cell.source):
            lines = (_without_blanks(line.partition("#")[0]) for line in solution.splitlines())
            yield from (line for line in lines if len(line) >= _SHORTEST)


def _numbers(text: str) -> set[str]:
    return {number.replace(",", "") for number in _NUMBER.findall(text)}


def _says_something(number: str) -> bool:
    return "." in number or int(number) > _SMALL


def _without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _bare(question: str) -> str:
    return " ".join(question.lower().split()).rstrip("?.! ")


def _named(one: Authored) -> str:
    return f"lesson {one.lesson}, {one.section!r}, {one.questions[0]!r}"
