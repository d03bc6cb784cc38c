"""What the tutor says."""

from dataclasses import dataclass

from .passages import Section
from .quoting import flow


@dataclass(frozen=True)
class Reply:
    """What the tutor says.

    `quotes` has the quoted sentences by section, `also` the sections named with them; if the
    question is refused both are empty and `said` says why; else `said` has a language model's
    words, if there are any, and `quotes` what they stand on.
    """

    question: str
    said: str = ""
    quotes: tuple[tuple[Section, tuple[str, ...]], ...] = ()
    also: tuple[Section, ...] = ()
    nearest: Section | None = None
    note: str = ""  # why a language model's words are not shown
    planned: str = ""  # which lesson is to treat this, where it is not written yet

    @property
    def refused(self) -> bool:
        """Whether the question is not answered."""
        return not self.quotes

    @property
    def quoted(self) -> list[Section]:
        """The sections quoted, best first."""
        return [section for section, _ in self.quotes]

    @property
    def sources(self) -> list[Section]:
        """The sections quoted and named, best first."""
        return [*self.quoted, *self.also]

    @property
    def text(self) -> str:
        """The answer alone, in Markdown, without its sources."""
        if self.refused or self.said:
            return self.said
        return " ".join(flow(sentences) for _, sentences in self.quotes)

    def as_dict(self) -> dict:
        """Return what `gqa ask --json` prints."""
        rows = [{"slug": s.lesson.slug, "section": s.heading} for s in self.sources]
        return {"refused": self.refused, "answer": self.text, "sources": rows}
