"""A memo as one HTML page that loads nothing: Markdown by mistune, plots as inline SVG."""

from __future__ import annotations

import html
import re

import mistune

from gqa_lib.course.extras import require

from .blocks import Memo, Plot
from .markdown import markdown

_ANCHOR = re.compile(r'<a id="source-\d+">|</a>')
_KIND = re.compile(r"[a-z]+")
_PROLOGUE = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>", re.DOTALL)
_SPACES = re.compile(r'\sxmlns(:\w+)?="[^"]*"')
_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --soft: #5b6570; --page: #fff; --box: #f4f6f8;
  --line: #d5dae0; --measured: #0a6b4b; --modelled: #8a4b00; --given: #4a5560; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e7ea; --soft: #a3adb8; --page: #14181c; --box: #1e242a; --line: #39424c;
    --measured: #5fd0a5; --modelled: #f0b060; --given: #b4bec9; }
  .plot svg { filter: invert(0.93) hue-rotate(180deg); }
}
body { margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 0.6rem; padding-top: 0.8rem;
  border-top: 1px solid var(--line); }
blockquote { margin: 0; padding: 0.4rem 1.1rem; background: var(--box);
  border-left: 4px solid var(--modelled); border-radius: 4px; }
blockquote p { margin: 0.6rem 0; }
blockquote p:first-child { font-size: 1.1rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; min-width: 100%; font-size: 0.93rem; }
th, td { padding: 0.4rem 0.6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  text-align: right; font-variant-numeric: tabular-nums; }
th { vertical-align: bottom; color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { min-width: 6rem; max-width: 14rem; text-align: left;
  position: sticky; left: 0; background: var(--page); }
a.label { font-size: 0.75em; text-decoration: none; white-space: nowrap; }
td:not(:first-child) { white-space: nowrap; }
td a.label { display: block; line-height: 1.3; }
a.label:hover, a.label:focus { text-decoration: underline; }
.measured { color: var(--measured); } .modelled { color: var(--modelled); }
.given { color: var(--given); }
.plot { display: block; overflow-x: auto; }
.plot svg { display: block; width: 34rem; max-width: 100%; height: auto; }
pre { background: var(--box); padding: 0.7rem 0.9rem; border-radius: 4px; overflow-x: auto;
  font-size: 0.85rem; }
ol { padding-left: 1.8rem; } ol li { margin: 0.3rem 0; font-size: 0.9rem; }
li:target { background: var(--box); }
"""


class _Renderer(mistune.HTMLRenderer):
    """Links to sources become labels, images inline SVG; no other HTML passes."""

    def __init__(self, plots: dict[str, str]):
        super().__init__(escape=False)  # of the text; what may be HTML is below
        self._plots = plots

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Return a label; a memo links to nothing but its own sources."""
        if not url.startswith("#source-"):
            return text
        kind = _KIND.match(text)
        return f'<a class="label {kind[0] if kind else ""}" href="{html.escape(url)}">{text}</a>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Return a plot, with its text alternative."""
        alt = html.escape(html.unescape(re.sub(r"<[^>]*>", "", text)))
        return f'<span class="plot" role="img" aria-label="{alt}">{self._plots[url]}</span>'

    def inline_html(self, html: str) -> str:
        """Return an anchor of a source as it is, anything else as text."""
        return html if _ANCHOR.fullmatch(html) else mistune.escape(html)

    def block_html(self, html: str) -> str:
        """Return HTML as text."""
        return mistune.escape(html)


def page(memo: Memo) -> str:
    """Return a memo as an HTML page of its own.

    Args:
        memo: the memo.

    Raises:
        ModuleNotFoundError: mistune is not installed; the message says how to install it.
    """
    require("mistune")
    plots = {f"{b.name}.svg": _inline(b.svg) for b in memo.blocks if isinstance(b, Plot)}
    convert = mistune.Markdown(_Renderer(plots), plugins=[mistune.import_plugin("table")])
    body = str(convert(markdown(memo)))
    body = body.replace("<table>", '<div class="table" role="region" tabindex="0"><table>')
    body = body.replace("</table>", "</table></div>")
    title = re.sub(r"<[^>]*>", "", body.partition("</h1>")[0]).strip()
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n"
        "</body>\n</html>\n"
    )


def _inline(svg: str) -> str:
    """An SVG without what only a file needs, and without names of other places."""
    return _SPACES.sub("", _PROLOGUE.sub("", svg)).strip()
