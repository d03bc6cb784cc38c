"""The site's first page, and the page on running the course: from README and docs/anywhere.md."""

import re

from gqa_lib import bench
from gqa_lib.configs import all_models
from gqa_lib.course.manifest import lessons
from gqa_lib.course.places import course_root
from gqa_lib.learn.exercises import all_exercises
from gqa_lib.plots import moving_html

from ..quiz.bank import load_bank

_PICTURE = re.compile(r"!\[[^\]]*\]\(docs/heads\.svg\)")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#]*)(#[^)]*)?\)")
PICTURES = ("jupyterlab.png",)  # of docs/, which the site shows


def first_page(course_map: str, contents: str) -> str:
    """Return the first page: what README says first, what a learner gets, and the map.

    Args:
        course_map: the lessons, as HTML.
        contents: the tables of contents, which show in the sidebar.
    """
    intro = _readme().partition("## The lessons")[0]
    before, _, after = intro.partition("**Who it is for:**")
    who = f"**Who it is for:**{after}" if after else ""
    what, start, how = who.partition("## Start")
    first = lessons()[0]
    begin = (
        f"**[Read lesson 0](lessons/{first.slug}/{first.slug}.ipynb)** here, or "
        "[set the course up](#start)."
    )
    parts = [
        _moving(before),
        begin,
        what.strip(),
        f"## What you get\n\n{_what_you_get()}",
        f"## The map\n\n{course_map}",
        f"{start}{how}".strip(),
        contents,
    ]
    return _on_the_site("\n\n".join(parts)) + "\n"


def _moving(text: str) -> str:
    """Return the first words with the picture that moves in place of README's, which cannot."""
    said, about = _PICTURE.split(text)
    return (
        f"{said.strip().removesuffix(':')}. Press **Play**, then change the number of KV heads:\n\n"
        f"```{{raw}} html\n{moving_html()}\n```\n\n{about.strip()}"
    )


def _what_you_get() -> str:
    """Return a list whose numbers are counted, not written down."""
    hours = sum(one.minutes for one in lessons()) / 60
    given = {
        f"{len(lessons())} lessons, about {hours:.0f} hours": "each tests a claim by measuring it "
        "on your machine; the pages here show what came out on ours",
        f"{len(all_exercises())} exercises with a check right below": "a wrong answer is told "
        "which mistake it is; three hints lead on, and your work is never overwritten",
        "grading, automatic and offline": "`gqa submit` gives points per exercise and a feedback "
        "page at once; a class is graded in a sandbox",
        f"[{len(load_bank())} questions](questions.md)": "three close each lesson, fifteen are "
        "drawn for each learner's quiz, and feedback explains every option",
        "a tutor without a network": "it defines, works out sizes, answers from the lessons and "
        "says where that stands, or that the course does not cover the question",
        "[a library](reference/index.md)": "attention, caches, kernels, a serving engine and a "
        f"simulator, {len(all_models())} models' shapes: usable without the course",
        f"[{len(bench.benchmarks())} benchmarks](benchmarks.md)": "for your model, hardware and "
        "traffic, each with its prediction first and every raw sample kept",
    }
    return "\n".join(f"- **{what}**: {more}." for what, more in given.items())


def anywhere_page() -> str:
    """Return docs/anywhere.md as a page of the site."""
    text = (course_root() / "docs" / "anywhere.md").read_text(encoding="utf-8")
    return _on_the_site(text)


def _readme() -> str:
    return (course_root() / "README.md").read_text(encoding="utf-8")


def _on_the_site(text: str) -> str:
    """Return a text with its links to files of the repository as the site has them, or without."""
    text = text.replace("](docs/", "](")

    def followed(found: re.Match) -> str:
        shown, path, anchor = found[1], found[2], found[3] or ""
        there = not path or path.startswith(("https://", "lessons/", "reference/"))
        there = there or path in ("anywhere.md", "benchmarks.md", "questions.md", *PICTURES)
        return f"[{shown}]({path}{anchor})" if there else shown

    return _LINK.sub(followed, text)
