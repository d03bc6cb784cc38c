"""Markdown and code as HTML, made in a process that may take so much; beyond that, plain text.

Parsers of both have texts on which they need minutes. A page of a student's submission is made
where others wait for it, so each text has its bounds, and all texts of a page have one together.
"""

import html
import json
import time
from collections.abc import Iterable

from nbconvert.filters.highlight import Highlight2HTML

from grading.limited.call import Bounds, Exceeded, Raised, call

from . import markup

MARKDOWN, CODE = "markdown", "code"
BOUNDS = Bounds(memory_mb=1024, cpu_s=5, answer_bytes=4 << 20)
PAGE_S = 30.0  # for all texts of a page that are not known yet
_MAX_KEPT = 100 << 20  # characters of HTML

_kept: dict[tuple[str, str], str] = {}  # (kind, text) -> HTML, the newest last
_hurried: set[tuple[str, str]] = set()  # those kept as plain text for want of time only


def prepare(texts: Iterable[tuple[str, str]]) -> None:
    """Format the texts of one page, given as (kind, text); what takes too long stays plain."""
    end = time.monotonic() + PAGE_S
    for key in dict.fromkeys(texts):
        if key not in _kept or key in _hurried:
            if time.monotonic() < end:
                _format(key)
            else:
                _keep(key, _plain(key, "what comes before it on this page took too long"))
                _hurried.add(key)


def markdown2html(source: str) -> str:
    """Return the HTML of a Markdown text: the filter of the pages' templates."""
    return _html_of((MARKDOWN, source))


def highlight_code(source: str, language: str | None = None, metadata: dict | None = None) -> str:
    """Return the HTML of Python code: the filter of the pages' templates."""
    return _html_of((CODE, source))


def _html_of(key: tuple[str, str]) -> str:
    if key not in _kept:
        _format(key)
    return _kept[key]


def _format(key: tuple[str, str]) -> None:
    _hurried.discard(key)
    try:
        made = call(formatted, json.dumps(key).encode(), BOUNDS).decode("utf-8", "replace")
    except Exceeded:
        made = _plain(key, f"that takes more than {BOUNDS}")
    except Raised as error:
        made = _plain(key, str(error))
    except OSError as error:
        made = _plain(key, str(error))
        _hurried.add(key)
    _keep(key, made)


def _keep(key: tuple[str, str], made: str) -> None:
    _kept.pop(key, None)
    _kept[key] = made
    size = sum(map(len, _kept.values()))
    while size > _MAX_KEPT and len(_kept) > 1:
        oldest = next(iter(_kept))
        size -= len(_kept.pop(oldest))
        _hurried.discard(oldest)


def _plain(key: tuple[str, str], why: str) -> str:
    said = f"<p><i>Shown without formatting: {html.escape(why)}.</i></p>"
    return f'{said}<div class="highlight"><pre>{html.escape(key[1])}</pre></div>'


# In the child


def warm() -> None:
    """Format a text of each kind, so that what is imported late is there."""
    for kind in (MARKDOWN, CODE):
        formatted(json.dumps([kind, "`x` $x$"]).encode())


def formatted(data: bytes) -> bytes:
    """Return the HTML of a text; both as bytes, with its kind."""
    kind, text = json.loads(data)
    if kind == MARKDOWN:
        return markup.markdown2html(text).encode("utf-8", "replace")
    return Highlight2HTML(pygments_lexer="python")(text).encode("utf-8", "replace")
