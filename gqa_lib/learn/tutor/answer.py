"""Answers a question with two to four sentences of the lessons, or says that it cannot."""

import re

from gqa_lib.course.manifest import Planned, planned_lessons

from . import requests
from .confidence import confidence
from .lexicon import SearchTerm, named_lesson, stems
from .quoting import quotes as quotes_of
from .reply import Reply
from .search import Index, Match, index

CLOSE = 0.7  # a second section this near to the first is quoted, too
ALSO = 0.65  # one this near is named

_WHY = re.compile(r"\b(?:why|how come|reasons?|what for)\b", re.IGNORECASE)


def ask(question: str, lesson: str | None = None, *, llm: bool = True) -> Reply:
    """Answer a question from the lessons' own text.

    Args:
        question: what the learner wants to know.
        lesson: number or slug of the open lesson, which comes first.
        llm: whether a language model may put the answer into words, if one is set up.
    """
    question = question.strip()[:2000]
    if kind := requests.request(question):
        return Reply(question, _no_solution(question, kind, lesson))
    if planned := _named_planned(question):
        there = "; `gqa map` shows the lessons there are."
        return Reply(question, f"{_is_planned(planned)}, so I cannot answer from it{there}")
    asked = index()
    terms, found = asked.rank(question, lesson)
    if confidence(asked, terms, found) < 0:
        return _not_covered(question, asked, terms, found)
    chosen = [found[0], *(f for f in found[1:2] if _near(f, found[0]))]
    why = bool(_WHY.search(question))
    quotes = quotes_of(asked, chosen, terms, why)
    if sum(len(row) for _, row in quotes) < 2:  # a section of one sentence
        chosen = found[:2]
        quotes = quotes_of(asked, chosen, terms, why)
    rest = (f for f in found[len(chosen) : 3] if f.score >= ALSO * found[0].score)
    also = tuple(f.section for f in rest if not f.section.is_general)
    reply = Reply(question, "", quotes, also, planned=_about_planned(question))
    if llm:
        from .llm import in_words

        return in_words(reply, [f.section for f in found[:3]])
    return reply


def _near(one: Match, first: Match) -> bool:
    return one.score >= CLOSE * first.score and one.alone >= CLOSE * first.alone


def _no_solution(question: str, kind: str, lesson: str | None) -> str:
    if kind == "quiz":
        return (
            "I do not give answers to quiz questions. Ask about the idea behind the question, and "
            'I will show where the lessons explain it; for an exercise, `hint("name")` in a cell '
            "shows its next hint."
        )
    name = requests.exercise_in(question) or _numbered(question, lesson) or "name"
    where = "" if name != "name" else ", with the exercise's name,"
    return (
        f'I do not give solutions. `hint("{name}")` in a cell{where} shows the next hint, and the '
        "check below the exercise says what is probably wrong."
    )


def _numbered(question: str, lesson: str | None) -> str | None:
    """Return the name of "exercise 3" in the named or open lesson."""
    number = re.search(r"\b(?:exercise|ex\.?)\s*(\d)", question, re.IGNORECASE)
    lesson = named_lesson(question) or lesson
    if not number or not lesson:
        return None
    for entry in index().entries:
        section = entry.section
        here = lesson in (section.lesson.number, section.lesson.slug)
        if here and section.heading.startswith(f"Exercise {number[1]} · "):
            return requests.exercise_in(section.heading)
    return None


def _named_planned(question: str) -> Planned | None:
    """Return the lesson that a question names by its number, if that is not written yet."""
    number = named_lesson(question)
    return next((one for one in planned_lessons() if one.number == number), None)


def _is_planned(lesson: Planned) -> str:
    return f"Lesson {lesson.number}, “{lesson.title}”, is planned, not written yet"


def _about_planned(question: str) -> str:
    """Return what there is to say of a planned lesson whose title a question has, or ""."""
    asked = set(stems(question))
    titles = {one: stems(one.title.removeprefix("The ")) for one in planned_lessons()}
    titled = (one for one, title in titles.items() if asked.issuperset(title))
    return " ".join(f"{_is_planned(one)}." for one in titled)


def _not_covered(question: str, asked: Index, terms: list[SearchTerm], found: list[Match]) -> Reply:
    strange = [term.word for term in terms if term.elsewhere or not term.known]
    about = f"“{' '.join(strange)}”" if 0 < len(strange) <= 3 else "that"
    said = f"The course does not cover {about}, so I stop here. {_about_planned(question)}".strip()
    near = None
    if found and any(
        there and asked.worth(term) > asked.unknown - 3 and not term.elsewhere
        for term, there in zip(terms, found[0].covered, strict=True)
    ):
        near = found[0].section
        said += f" The nearest it has is in {near.place}."
    return Reply(question, said, nearest=near)
