"""`gqa class --html`: one page that loads nothing, on which what students wrote is text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from gqa_lib.learn.quiz.questions import LETTERS
from grading.classroom.due import class_zone
from grading.nb.texts import clean, printable, sentence
from grading.pages.markup import inline_code
from grading.pages.template import environment
from grading.quiz.bank import BankQuestion, load_bank

from .counting import FEWEST, Bar, counted, histogram_of_marks, percent, times_of_hand_ins
from .needs import Need, lateness, not_on_roster
from .standing import ClassStanding, Standing
from .terminal import counts_of, shown_mistakes

_MOST = 5  # mistakes of an exercise


def page_of_class(
    found: ClassStanding, needs: Mapping[str, list[Need]], at: datetime, *, names: bool
) -> str:
    """Return the page of a class as HTML.

    Args:
        found: where the class stands.
        needs: lesson's name -> what needs a person.
        at: when it was asked.
        names: whether to say who, and to give counts below 3.
    """
    people = {one: _person(one, name) for one, name in found.students.items()}
    page = _template().render(
        lessons=[
            _lesson(one, people, names) | {"needs": _needs(needs[one.lesson.slug], names)}
            for one in found.lessons
        ],
        at=_local(at),
        students=max((one.expected for one in found.lessons), default=0),
        names=names,
        fewest=FEWEST,
        counted=partial(counted, names=names),
        percent=percent,
    )
    return clean(page)


@cache
def _template():
    made = environment(Path(__file__).parent / "templates")
    made.filters["inline_code"] = inline_code
    return made.get_template("class.html.j2")


def _person(student: str, name: str) -> str:
    return f"{printable(student)} ({sentence(name, 80)})" if name else printable(student)


def _local(at: datetime) -> str:
    """Return a time of the gradebook, which is in UTC, in the class's time zone."""
    shown = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(class_zone())
    return f"{shown.day} {shown:%b %Y, %H:%M %Z}"


def _needs(needs: Sequence[Need], names: bool) -> list[dict]:
    return [
        {
            "line": need.line(names=names).partition(": ")[0],
            "do": need.line(names=names).partition(": ")[2],
            "who": [(printable(one), sentence(why)) for one, why in need.who.items()],
        }
        for need in needs
    ]


def _lesson(one: Standing, people: Mapping[str, str], names: bool) -> dict:
    """Return what the page shows of a lesson, as plain data."""
    return {
        "slug": one.lesson.slug,
        "name": one.lesson.name,
        "due": _local(one.due) if one.due else "",
        "points": one.points,
        "expected": one.expected,
        "handed_in": len(one.came),
        "counts": counts_of(one),
        "mean": percent(sum(one.marks.values()), one.points * len(one.marks)),
        "exercises": [
            {
                "name": exercise.name,
                "points": exercise.points,
                "attempted": exercise.attempted,
                "right": exercise.right,
                "mistakes": shown_mistakes(exercise.mistakes, names)[:_MOST],
                "others": len(exercise.mistakes[_MOST:]),
            }
            for exercise in one.exercises
        ],
        "charts": [
            _chart(
                "Marks, by share of the points",
                "share",
                histogram_of_marks(one.marks.values(), one.points),
            ),
            _chart("Hand-ins, by time", "when", times_of_hand_ins(one.came, one.due, one.late)),
        ],
        "lists": _lists(one, people),
        "quiz": list(_quiz(one.chosen)),
    }


def _chart(title: str, label: str, bars: list[Bar]) -> dict:
    highest = max((bar.count for bar in bars), default=0)
    return {"title": title, "label": label, "bars": bars, "highest": max(1, highest)}


def _lists(one: Standing, people: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the lists of a lesson: a heading, and who is in it and why."""

    def listed(found: Mapping[str, str]) -> list[tuple[str, str]]:
        return [
            (people.get(student) or _person(student, ""), sentence(why))
            for student, why in found.items()
        ]

    human = {student: f"to mark: {', '.join(cells)}" for student, cells in one.waiting.items()}
    human |= {s: f"0 points: {why}" for s, why in one.technical.items()}
    human |= {s: f"not graded: {why}" for s, why in one.troubles.failed.items()}
    found = [
        ("Has not handed in", dict.fromkeys(one.missing, "")),
        ("Refused", one.troubles.not_collected),
        ("Late", lateness(one)),
        ("Not on the roster", not_on_roster(one)),
        ("Needs a person", human),
        ("Not graded yet", dict.fromkeys(one.not_graded, "")),
        ("Feedback missing or old", one.feedback),
    ]
    return [(title, listed(who)) for title, who in found if who]


def _quiz(chosen: Mapping[str, Counter[str]]) -> Iterator[dict]:
    """Yield the questions that were asked, those that most had wrong first."""
    if not chosen:
        return
    bank = {one.id: one for one in load_bank()}
    known = [(bank[name], letters) for name, letters in chosen.items() if name in bank]
    for question, letters in sorted(known, key=_wrong_share, reverse=True):
        asked = letters.total()
        yield {
            "id": question.id,
            "stem": question.stem,
            "asked": asked,
            "right": letters[question.answer],
            "none": asked - sum(letters[letter] for letter in LETTERS),
            "options": [
                {
                    "letter": letter,
                    "text": option.text,
                    "why": option.why,
                    "is_right": letter == question.answer,
                    "count": letters[letter],
                }
                for letter, option in zip(LETTERS, question.options, strict=True)
            ],
        }


def _wrong_share(found: tuple[BankQuestion, Counter[str]]) -> float:
    question, letters = found
    return 1 - letters[question.answer] / letters.total()
