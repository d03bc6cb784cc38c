"""Measures the tutor on kept questions: `python -m gqa_lib.learn.tutor.evaluate tests/data`.

`tutor_questions.toml` was written before the tutor was tuned; a hash of each question puts it in
the tuning or the test half. `tutor_tuning.toml` came later and served tuning alone;
`tutor_practice.toml`, of which the authored answers' matching was fitted, too; `tutor_fresh.toml`
and `tutor_last.toml` were written after the tuning and only judge. With `--fit` the
refusal's rule is fitted to what serves tuning, and printed.
"""

import argparse
import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .answer import ask
from .confidence import SIGNS, signs
from .lexicon import in_english
from .matching import matcher
from .passages import Section
from .requests import request
from .search import index

KINDS = ("inside", "outside", "requests")


@dataclass(frozen=True)
class KeptQuestion:
    """A kept question: its kind, and the sections (lesson#start of the heading) that answer it."""

    text: str
    kind: str
    right: tuple[str, ...] = ()

    @property
    def in_test_half(self) -> bool:
        """Whether it is kept for testing: by its text, so half of them and always the same."""
        return bool(hashlib.sha256(self.text.encode()).digest()[0] % 2)


def read(path: Path) -> list[KeptQuestion]:
    """Return the questions of one file."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        KeptQuestion(text, kind, tuple(name.split("|")) if kind == "inside" else ())
        for kind in KINDS
        for name, texts in tables.get(kind, {}).items()
        for text in texts
    ]


def kept(folder: Path) -> dict[str, list[KeptQuestion]]:
    """Return the questions for tuning, of the test half, and those written after the tuning."""
    first = read(folder / "tutor_questions.toml")
    later = read(folder / "tutor_tuning.toml")
    later += read(folder / "tutor_practice.toml")
    judging = {name: folder / f"tutor_{name}.toml" for name in ("fresh", "last")}
    return {
        "tuning": [q for q in first if not q.in_test_half] + later,
        "test": [q for q in first if q.in_test_half],
        **{name: read(path) if path.exists() else [] for name, path in judging.items()},
    }


def is_right(section: Section, right: tuple[str, ...]) -> bool:
    """Is this one of the sections that answer a question?"""
    names = (wanted.partition("#") for wanted in right)
    return any(
        section.lesson.number == number and section.heading.startswith(heading)
        for number, _, heading in names
    )


def measure(questions: list[KeptQuestion], *, lesson_open: bool = False) -> dict[str, float]:
    """Return the shares that the table shows.

    Args:
        questions: what is asked.
        lesson_open: whether the lesson of the (first) right section is the open one.
    """
    inside = [q for q in questions if q.kind == "inside"]
    first = third = quoted = refused_inside = 0
    for question in inside:
        reply = ask(question.text, question.right[0][:2] if lesson_open else None, llm=False)
        hits = [is_right(section, question.right) for section in reply.sources]
        refused_inside += reply.refused
        first += hits[:1] == [True]
        third += any(hits[:3])
        quoted += any(is_right(section, question.right) for section in reply.quoted)
    outside = [ask(q.text, llm=False).refused for q in questions if q.kind == "outside"]
    asked_for = [request(q.text) is not None for q in questions if q.kind == "requests"]
    refused = refused_inside + sum(outside)
    answered = max(len(inside) - refused_inside, 1)
    return {
        "inside": len(inside),
        "answered": answered / len(inside),
        "top-1 of answered": first / answered,
        "top-3 of answered": third / answered,
        "quotes a right section": quoted / len(inside),
        "outside": len(outside),
        "refusal precision": sum(outside) / max(refused, 1),
        "refusal recall": sum(outside) / len(outside),
        "requests": len(asked_for),
        "requests refused": sum(asked_for) / len(asked_for) if asked_for else 1.0,
    }


def fit(questions: list[KeptQuestion], shrink: float = 0.02, steps: int = 4000) -> dict[str, float]:
    """Return the weights of the refusal's signs: logistic regression, both classes alike."""
    import numpy as np

    rows, labels = [], []
    for question in questions:
        asked = in_english(question.text)
        terms, found = index().rank(asked)
        if question.kind != "requests" and terms and found:
            answers = matcher(index()).rank(asked, found)
            rows.append(signs(index(), terms, found, answers))
            labels.append(question.kind == "inside")
    values, inside = np.array(rows), np.array(labels, dtype=float)
    mean, spread = values.mean(0), values.std(0) + 1e-9
    scaled = np.c_[(values - mean) / spread, np.ones(len(values))]
    balance = np.where(inside == 1, 0.5 / inside.mean(), 0.5 / (1 - inside.mean()))
    weights = np.zeros(scaled.shape[1])
    for _ in range(steps):
        wrong = (1 / (1 + np.exp(-scaled @ weights)) - inside) * balance
        weights -= 0.5 * (scaled.T @ wrong / len(inside) + shrink * np.r_[weights[:-1], 0])
    slopes = weights[:-1] / spread
    rule = dict(zip(SIGNS, slopes, strict=True)) | {"constant": weights[-1] - slopes @ mean}
    return {name: round(float(value), 2) for name, value in rule.items()}


def table(folder: Path) -> str:
    """Return the measures as a table, one column per set and way of asking."""
    columns = {}
    for name, questions in kept(folder).items():
        if questions:
            columns[name] = measure(questions)
            columns[f"{name}, lesson open"] = measure(questions, lesson_open=True)
    lines = [f"{'':24}" + "".join(f"{name:>22}" for name in columns)]
    for row in next(iter(columns.values())):
        cells = (
            f"{c[row]:>22.3f}" if isinstance(c[row], float) else f"{c[row]:>22}"
            for c in columns.values()
        )
        lines.append(f"{row:24}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    """Print the table, or the fitted rule."""
    parser = argparse.ArgumentParser(description="Measure the tutor on kept questions.")
    parser.add_argument("folder", type=Path, help="where the questions are: tests/data")
    parser.add_argument("--fit", action="store_true", help="fit the refusal's rule and print it")
    arguments = parser.parse_args()
    if arguments.fit:
        for name, value in fit(kept(arguments.folder)["tuning"]).items():
            print(f"{name} = {value}")
    else:
        print(table(arguments.folder))


if __name__ == "__main__":
    main()
