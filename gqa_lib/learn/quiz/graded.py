"""What feedback pages said about a learner's questions: the only place where they learn the key."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gqa_lib.course.manifest import lessons
from gqa_lib.course.places import work

from .questions import LETTERS

_MOST_PAGES, _LARGEST = 10, 10_000_000  # the newest of a lesson, and bytes of one
_QUESTION = re.compile(r'<h3 ((?:data-\w+="\w*" ?){3})>(.*?)</article>', re.DOTALL)
_ABOUT = re.compile(r'data-(\w+)="(\w*)"')
_WHY = re.compile(r'<p class="why">(.*?)</p>', re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Graded:
    """A question that was graded for this learner.

    Attributes:
        answer: the right letter.
        whys: letter -> why that option is right or wrong.
        missed: whether it was ever answered wrong.
    """

    answer: str
    whys: dict[str, str]
    missed: bool


def graded_questions() -> dict[str, Graded]:
    """Return question id -> what the learner's feedback pages say about it."""
    found: dict[str, Graded] = {}
    for about, text in _on_pages():
        name, answer, chosen = (about.get(key, "") for key in ("question", "answer", "chosen"))
        whys = [_plain(why) for why in _WHY.findall(text)]
        if answer not in tuple(LETTERS) or len(whys) != len(LETTERS):
            continue
        now = Graded(answer, dict(zip(LETTERS, whys, strict=True)), chosen not in ("", answer))
        before = found.get(name)
        found[name] = replace(now, missed=True) if before and before.missed else now
    return found


def _on_pages() -> Iterator[tuple[dict[str, str], str]]:
    """Yield what a page's heading and text say of each question, oldest page first."""
    for lesson in lessons():
        pages = sorted((work() / lesson.slug).glob("feedback/*/*.html"))  # named by time
        for page in pages[-_MOST_PAGES:]:
            for heading, text in _QUESTION.findall(_text(page)):
                yield dict(_ABOUT.findall(heading)), text


def _text(page: Path) -> str:
    try:
        if page.stat().st_size > _LARGEST:
            return ""
        return page.read_text(encoding="utf-8", errors="replace")
    except OSError:  # one page less to know of
        return ""


def _plain(markup: str) -> str:
    """Return a page's markup as the panel takes text: `code` between backticks, and no tags."""
    return html.unescape(_TAG.sub("", re.sub(r"</?code[^>]*>", "`", markup))).strip()
