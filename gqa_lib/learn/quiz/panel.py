"""The panel: native radio buttons in the browser, the file next to the notebook here."""

import os
from pathlib import Path

import anywidget
import traitlets

from . import saved
from .questions import LETTERS, Question
from .recall import Recall
from .sitting import Sitting

_HERE = Path(__file__).parent


class QuizPanel(anywidget.AnyWidget):
    """Questions to choose answers to; each choice is written to the file in `folder`."""

    _esm = _HERE / "panel.js"
    _css = _HERE / "panel.css"
    label = traitlets.Unicode("Quiz").tag(sync=True)  # by which a screen reader tells panels apart
    heading = traitlets.Unicode().tag(sync=True)
    questions: traitlets.List[dict] = traitlets.List().tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    kept = traitlets.Dict().tag(sync=True)  # of `chosen`, what is written by now
    told = traitlets.Dict().tag(sync=True)  # of a question, below it
    saves = traitlets.Int().tag(sync=True)  # so that the same status twice is news, too

    @classmethod
    def of(
        cls, questions: list[Question], heading: str, sitting: Sitting, folder: Path
    ) -> "QuizPanel":
        """Return the panel of some questions, with the choices made before."""
        ids = [one.id for one in questions]
        panel = cls(
            heading=heading,
            questions=[
                {"id": one.id, "stem": one.stem, "options": list(one.options)} for one in questions
            ],
            chosen={name: sitting.saved[name] for name in ids if name in sitting.saved},
        )
        panel._attempt, panel._folder = sitting.attempt, folder
        panel.status = panel._counted()
        if sitting.trouble:
            aside = _set_aside(folder)
            panel.status = (
                f"Your saved choices cannot be read ({sitting.trouble}). "
                f"{f'That file is now {aside}; your' if aside else 'Your'} choices start over."
            )
        panel.observe(panel._save, "chosen")
        return panel

    def _save(self, _) -> None:
        """Write the choices, of questions asked here only; say whether that went well."""
        ids = {one["id"] for one in self.questions}
        answers = {
            name: letter
            for name, letter in self.chosen.items()
            if name in ids and letter in tuple(LETTERS)
        }
        with self.hold_sync():
            try:
                saved.write(self._folder, saved.Saved(self._attempt, answers))
                self.kept, self.status = answers, f"Saved. {self._counted()}"
            except OSError as error:
                self.status = (
                    f"Not saved: {error}. Free some space or fix the folder, then choose again."
                )
            self.saves += 1

    def _counted(self) -> str:
        return f"{len(self.chosen)} of {len(self.questions)} answered."


class RecallPanel(QuizPanel):
    """Questions that are not graded: an answer goes into the record, and is told about at once."""

    @classmethod
    def asking(cls, asked: Recall, heading: str) -> "RecallPanel":
        """Return the panel of some questions, with the choices made today.

        Args:
            asked: what is asked.
            heading: the line above it.
        """
        rows = [
            {"id": one.id, "stem": one.stem, "options": list(one.options)}
            for one in asked.questions
        ]
        label = "Questions from before"
        panel = cls(label=label, heading=heading, questions=rows, chosen=dict(asked.chosen))
        panel._asked = asked
        panel.told = {name: asked.told(name, letter) for name, letter in asked.chosen.items()}
        panel.status = panel._counted()
        panel.observe(panel._take, "chosen")
        return panel

    def _take(self, change: dict) -> None:
        ids = {one["id"] for one in self.questions}
        new = {
            name: letter
            for name, letter in change["new"].items()
            if name in ids and letter in tuple(LETTERS) and change["old"].get(name) != letter
        }
        with self.hold_sync():
            self.told = self.told | {n: self._asked.answer(n, letter) for n, letter in new.items()}
            self.kept, self.status = dict(self.chosen), f"Saved. {self._counted()}"
            self.saves += 1


def _set_aside(folder: Path) -> str:
    """Rename a damaged file out of the way; return its new name, or "" if that cannot be done."""
    name = saved.FILE.replace(".json", ".damaged.json")
    try:
        os.replace(folder / saved.FILE, folder / name)
    except OSError:
        return ""
    return name
