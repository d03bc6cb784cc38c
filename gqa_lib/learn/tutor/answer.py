"""Answers a question in layers, each of which refuses what it does not know.

Sums first, then what a cell does, definitions, the bank of authored answers, and the lessons' own
sentences. A request for a solution gets a hint instead; a follow-up leans on the last reply.
"""

import re
from dataclasses import replace

from gqa_lib.course.manifest import Planned, planned_lessons

from . import requests
from .amounts.asked import Asked
from .amounts.asked import read as read_amount
from .amounts.worked import worked
from .authored import sources
from .cells import asked_of_cells, find_cell
from .confidence import confidence
from .definitions import defined, in_a_sentence
from .lexicon import SearchTerm, in_english, named_lesson, stems
from .matching import Candidate, matcher
from .passages import Section
from .quoting import quotes as quotes_of
from .reply import Reply
from .search import Index, Match, index
from .talk import asks_more, asks_why, continued, small_talk

CLOSE = 0.7  # a second section this near to the first is quoted, too
ALSO = 0.65  # one this near is named
SURE = 0.97  # a question of the bank this alike is answered before all else
ALIKE = 1.2  # an answer that fits this well is given if the course covers the question
FEW = 2  # words that say something, in a question that leans on the last one by "it"

_WHICH_CELL = (
    "Which cell? Paste one of its lines below your question, or say its number among the code "
    "cells, counted from the top: “what does cell 3 do”."
)
_WHY = re.compile(r"\b(?:why|how come|reasons?|what for|warum|wieso)\b", re.IGNORECASE)


def ask(
    question: str, lesson: str | None = None, *, before: Reply | None = None, llm: bool = True
) -> Reply:
    """Answer a question on the course.

    Args:
        question: what the learner wants to know.
        lesson: number or slug of the open lesson, which comes first.
        before: the last reply, which a follow-up leans on.
        llm: whether a language model may put the answer into words, if one is set up.
    """
    question = question.strip()[:2000]
    if safe := _known(question) or _cell(question, lesson):  # authored: it gives nothing away
        return safe
    if kind := requests.request(question):
        return Reply(question, _no_solution(question, kind, lesson))
    if said := small_talk(question):
        return Reply(question, said, kind="talk")
    asked = in_english(question)
    reply = _follow_up(asked, before, lesson) if before else None
    reply = replace(reply or _answer(asked, lesson), planned=_about_planned(question))
    if llm and not reply.refused and reply.kind in ("", "authored", "defined"):
        from .llm import in_words, is_set_up

        if is_set_up():
            _, found = index().rank(reply.question, lesson)
            return in_words(reply, [one.section for one in found[:3]])
    return reply


def _answer(question: str, lesson: str | None) -> Reply:
    """Return what the first layer that knows says."""
    if planned := _named_planned(question):
        there = "; `gqa map` shows the lessons there are."
        return Reply(question, f"{_is_planned(planned)}, so I cannot answer from it{there}")
    if reply := _sum(question, read_amount(question)):
        return reply
    asked = index()
    terms, found = asked.rank(question, lesson)
    answers = matcher(asked).rank(question, found)
    if asked_of_cells(question) and (named_lesson(question) or lesson):
        return Reply(question, _WHICH_CELL, kind="talk")
    if reply := _definition(question, asked):
        return reply
    if confidence(asked, terms, found, answers) < 0:
        return _not_covered(question, asked, terms, found)
    if answers and answers[0].value >= ALIKE:
        return _in_our_words(question, answers, found)
    return _quoted(question, asked, terms, found)


def _known(question: str) -> Reply | None:
    """Return the answer to a question that stands in the bank, word for word or nearly so."""
    answers = matcher(index()).rank(question, [])
    if not answers or answers[0].asked < SURE:
        return None
    return _in_our_words(question, answers[:1], [])


def _quoted(question: str, asked: Index, terms: list[SearchTerm], found: list[Match]) -> Reply:
    chosen = [found[0], *(f for f in found[1:2] if _near(f, found[0]))]
    why = bool(_WHY.search(question))
    quotes = quotes_of(asked, chosen, terms, why)
    if sum(len(row) for _, row in quotes) < 2:  # a section of one sentence
        chosen = found[:2]
        quotes = quotes_of(asked, chosen, terms, why)
    also = _also(found[len(chosen) : 3], found[0])
    return Reply(question, "", quotes, also)


def _also(others: list[Match], first: Match) -> tuple[Section, ...]:
    near = (f.section for f in others if f.score >= ALSO * first.score)
    return tuple(section for section in near if not section.is_general)


def _in_our_words(question: str, answers: list[Candidate], found: list[Match]) -> Reply:
    """Return the best authored answer, with the other sections that fit about as well."""
    best = answers[0]
    also = [one.section for one in answers[1:] if one.value >= CLOSE * best.value]
    also += [one.section for one in found[:2]]
    others = {id(one): one for one in also if one is not best.section}.values()
    facts = best.answer.facts
    return Reply(
        question,
        best.answer.text,
        also=tuple(one for one in others if not one.is_general)[:2],
        kind="authored",
        stands_on=(best.section,),
        sourced=tuple(dict.fromkeys(sources()[fact] for fact in facts)),
    )


def _sum(question: str, asked: Asked) -> Reply | None:
    """Return the answer to a question about an amount, if it gives what that needs."""
    if not (done := worked(asked)):
        return None
    where = index().find(done.section)
    stands_on = (where,) if where else ()
    return Reply(question, done.text, kind="computed", stands_on=stands_on, amount=asked)


def _definition(question: str, asked: Index) -> Reply | None:
    meant = defined(question, asked.lexicon)
    if not meant:
        return None
    places = (asked.find(f"{one.lesson}#{one.section}") for one in meant)
    said = "\n\n".join(map(in_a_sentence, meant))
    return Reply(question, said, kind="defined", stands_on=tuple(p for p in places if p))


def _cell(question: str, lesson: str | None) -> Reply | None:
    lesson = named_lesson(question) or lesson
    if not asked_of_cells(question) or lesson is None:
        return None
    try:
        cell = find_cell(question, lesson)
    except ValueError:  # a lesson that there is not
        return None
    if cell is None:
        return None
    where = (cell.section,) if cell.section else ()
    return Reply(question, f"Code cell {cell.number}: {cell.does}", kind="cell", stands_on=where)


def _follow_up(question: str, before: Reply, lesson: str | None) -> Reply | None:
    """Return the answer to a question that leans on the last one, None if it stands alone."""
    if asks_why(question) or asks_more(question):
        return _further(question, before, lesson)
    whole = continued(question, before.question)
    if whole is None:
        return None
    given = read_amount(question)
    if before.amount and given != Asked():
        reply = _sum(before.question, before.amount.then(given))
        return reply and replace(reply, question=whole)
    leans = not re.match(r"\W*(?:and|und|what about|how about)\b", question, re.IGNORECASE)
    if leans and len(index().lexicon.terms(question)) > FEW:
        return None
    reply = _answer(whole, lesson)
    return None if reply.refused else reply


def _further(question: str, before: Reply, lesson: str | None) -> Reply:
    """Return what else there is to say on the last reply's sections, reasons first for a "why?"."""
    why = asks_why(question)
    whole = f"why: {before.question}" if why else before.question
    asked = index()
    terms, found = asked.rank(whole, lesson)
    there = [one for one in found if one.section in before.sources] or found[:1]
    if not there:
        return Reply(question, "Ask in a whole sentence, and I will look for it.")
    answers = matcher(asked).rank(whole, found)
    for one in (answer for answer in answers if answer.section in before.sources):
        reasons = any(_WHY.search(text) for text in one.answer.questions)
        if one.answer.text not in before.told and (reasons or not why):
            return replace(_in_our_words(whole, [one], []), earlier=before.told)
    quotes = quotes_of(asked, there[:1], terms, why)
    return Reply(whole, "", quotes, earlier=before.told)


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
