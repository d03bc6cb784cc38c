"""Shows a reply: as Markdown in notebooks and the chat, as plain text in a terminal."""

import textwrap
from collections.abc import Callable

from .passages import Section, plain
from .quoting import flow
from .reply import Reply


def link(section: Section, root: str = "..") -> str:
    """Return a section as a Markdown link; `root` is where the lessons' folders are."""
    slug = section.lesson.slug
    return f"[{name_of(section)}]({root}/{slug}/{slug}.ipynb#{section.fragment})"


def name_of(section: Section) -> str:
    """Return a section's name with that of its lesson."""
    return f"Lesson {section.lesson.number}, {section.title}"


def markdown(reply: Reply, link: Callable[[Section], str] = link) -> str:
    """Return a reply as Markdown: what is quoted, each with its section, and what else to read.

    Args:
        reply: what the tutor says.
        link: how a section is linked to; as from a notebook in its lesson's folder unless given.
    """
    if reply.refused:
        if reply.nearest is None:
            return reply.said
        return reply.said.replace(reply.nearest.place, link(reply.nearest))
    parts = [reply.said] if reply.said else []
    parts += map(link, reply.stands_on)
    for section, sentences in reply.quotes:
        parts += [f"> {flow(sentences, '> ')}", link(section)]
    if reply.sourced:
        parts.append("Figures: " + " ".join(reply.sourced))
    if reply.also:
        parts.append("See also: " + "; ".join(map(link, reply.also)))
    if reply.planned:
        parts.append(reply.planned)
    if reply.note:
        parts.append(f"*{reply.note}*")
    return "\n\n".join(parts)


def terminal(reply: Reply) -> str:
    """Return a reply as plain text."""
    if reply.refused:
        return textwrap.fill(plain(reply.said), 88)
    parts = [textwrap.fill(plain(line), 88) for line in reply.said.splitlines() if line]
    parts += [_where(section) for section in reply.stands_on]
    for section, sentences in reply.quotes:
        parts += [textwrap.fill(plain(line), 88) for line in flow(sentences).splitlines() if line]
        parts.append(_where(section))
    if reply.sourced:
        parts.append(textwrap.fill("Figures: " + " ".join(map(plain, reply.sourced)), 88))
    if reply.also:
        named = "; ".join(f"lesson {s.lesson.number}, {s.title}" for s in reply.also)
        parts.append(textwrap.fill(f"See also: {named}", 88, subsequent_indent="  "))
    if reply.planned:
        parts.append(textwrap.fill(reply.planned, 88))
    if reply.note:
        parts.append(f"({reply.note})")
    return "\n".join(parts)


def _where(section: Section) -> str:
    return f"  -- lesson {section.lesson.number}, {section.title}"
