"""What the tutor says."""

from dataclasses import dataclass
from typing import Literal

from .amounts.asked import Asked
from .passages import Section
from .quoting import flow

Kind = Literal["", "authored", "defined", "computed", "cell", "talk"]


@dataclass(frozen=True)
class Reply:
    """What the tutor says.

    `quotes` has the quoted sentences by section, `also` the sections named with them. `kind` is
    "" for what is quoted or refused; else `said` has the answer, and `stands_on` its sections. If
    the question is refused there are no quotes and `said` says why; if there are quotes and `said`
    has words, they are a language model's, and `quotes` what they stand on.
    """

    question: str
    said: str = ""
    quotes: tuple[tuple[Section, tuple[str, ...]], ...] = ()
    also: tuple[Section, ...] = ()
    nearest: Section | None = None
    note: str = ""  # why a language model's words are not shown
    planned: str = ""  # which lesson is to treat this, where it is not written yet
    kind: Kind = ""
    stands_on: tuple[Section, ...] = ()
    sourced: tuple[str, ...] = ()  # where figures in the answer were read
    amount: Asked | None = None  # what a sum was made of, for "and in fp8?"
    earlier: tuple[str, ...] = ()  # what was said before on the same question

    @property
    def refused(self) -> bool:
        """Whether the question is not answered."""
        return not self.quotes and not self.kind

    @property
    def leads_on(self) -> bool:
        """Whether a follow-up can lean on it: it answers a question."""
        return not self.refused and self.kind != "talk"

    @property
    def told(self) -> tuple[str, ...]:
        """This answer and those before it on the same question."""
        return (*self.earlier, self.text)

    @property
    def quoted(self) -> list[Section]:
        """The sections quoted, best first."""
        return [section for section, _ in self.quotes]

    @property
    def sources(self) -> list[Section]:
        """The sections that the answer stands on, and those named, best first."""
        return [*self.stands_on, *self.quoted, *self.also]

    @property
    def text(self) -> str:
        """The answer alone, in Markdown, without its sources."""
        if self.said:
            return self.said
        return " ".join(flow(sentences) for _, sentences in self.quotes)

    def as_dict(self) -> dict:
        """Return what `gqa ask --json` prints."""
        rows = [{"slug": s.lesson.slug, "section": s.heading} for s in self.sources]
        return {"refused": self.refused, "answer": self.text, "sources": rows}
