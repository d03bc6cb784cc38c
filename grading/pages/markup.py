"""Markdown to HTML that is safe to show to an instructor, with formulas as MathML.

Only listed elements and attributes come out, none of which acts, loads anything, or gives
itself an id, a style or a class that the page around it would act on. A browser shows MathML by
itself, so formulas need no script and no network.
"""

import html
import re
import secrets
from xml.etree.ElementTree import tostring

import bleach
from bs4 import BeautifulSoup
from latex2mathml.converter import convert_to_element
from mistune import import_plugin
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.token import STANDARD_TYPES

from .images import Room

MAX_MARKDOWN, MAX_FORMULA = 50_000, 2_000  # characters
MAX_PIXELS = 4_000_000  # of the images of one text

_PLUGINS = ("strikethrough", "table", "url", "def_list")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words("""
    a abbr b blockquote br caption code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd
    li ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr ul
""")
_COLOURED = frozenset(STANDARD_TYPES.values()) - {""}  # Pygments' classes
_LINK = re.compile(r"(https?://|mailto:|#)[^\s\"'<>]*")
_DATA_IMAGE = re.compile(r"data:(image/png|image/jpeg);base64,([A-Za-z0-9+/=]+)")

_MATH_TAGS = _words("""
    math menclose merror mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub
    msubsup msup mtable mtd mtext mtr munder munderover
""")
_MATH_ATTRIBUTES = _words("""
    accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form
    height linethickness lspace mathcolor mathvariant maxsize minsize movablelimits notation
    rowlines rowspacing rspace scriptlevel separator stretchy voffset width
""")


def markdown2html(source: str) -> str:
    """Return the HTML of a Markdown text; of one that cannot be read, the text itself."""
    try:
        if len(source) > MAX_MARKDOWN:
            raise ValueError("too long")
        renderer = _Renderer()
        plugins = [import_plugin(name) for name in _PLUGINS]
        rendered = MarkdownWithMath(renderer=renderer, plugins=plugins).render(source)
        return renderer.with_formulas(_cleaner().clean(rendered))
    except Exception:  # a text written to break the parser must not cost the page
        return f"<pre>{html.escape(source[:MAX_MARKDOWN])}</pre>"


def inline_code(text: str) -> str:
    """Return the HTML of plain text in which only `code` between backticks means something."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))


def formula(tex: str, *, block: bool) -> str:
    """Return a TeX formula as MathML; as its source, in a `code` element, if it is not known."""
    try:
        if len(tex) > MAX_FORMULA:
            raise ValueError("too long")
        known = tex.replace("{aligned}", "{split}")  # the same, and known to latex2mathml
        element = convert_to_element(known, display="block" if block else "inline")
        for node in element.iter():
            _check_math(node)
        return tostring(element, encoding="unicode")
    except Exception:  # latex2mathml raises many kinds, one per way to be wrong
        return f"<code>{html.escape(tex.strip()[:MAX_FORMULA])}</code>"


def _check_math(node) -> None:
    """Keep of a MathML element what is known to be harmless.

    Raises:
        ValueError: it is not a known element, or a command that was not understood.
    """
    if node.tag not in _MATH_TAGS:
        raise ValueError(f"{node.tag} is not known")
    for name, value in list(node.attrib.items()):
        if name not in _MATH_ATTRIBUTES or not re.fullmatch(r"[\w.%#+ -]*", value):
            del node.attrib[name]
    node.text = html.unescape(node.text) if node.text else node.text
    if node.text and re.match(r"\\[A-Za-z]|&$", node.text):
        raise ValueError(f"{node.text} is not known")


class _Renderer(IPythonRenderer):
    """Renders Markdown, with a mark in the place of each formula until the rest is cleaned."""

    def __init__(self):
        super().__init__(escape=False, exclude_anchor_links=True)
        self.formulas: list[str] = []
        self.mark = f"formula{secrets.token_hex(8)}n"

    def inline_math(self, body):
        return self._put(body, block=False)

    def block_math(self, body):
        return self._put(body, block=True)

    def latex_environment(self, name, body):
        return self._put(rf"\begin{{{name}}}{body}\end{{{name}}}", block=True)

    def block_mermaidjs(self, code):
        return f"<pre>{html.escape(code)}</pre>"

    def image(self, text, url, title=None):
        text = re.sub(rf"{self.mark}\d+x", "a formula", text)  # nothing but text goes in there
        shown = _DATA_IMAGE.fullmatch(url) and super().image(text, url, title)
        return shown or f"[{text or 'an image'}]"

    def _put(self, tex: str, *, block: bool) -> str:
        self.formulas.append(formula(tex, block=block))
        return f"{self.mark}{len(self.formulas) - 1}x"

    def with_formulas(self, cleaned: str) -> str:
        """Return clean HTML with the formulas in their places, where those are texts."""
        page = BeautifulSoup(cleaned, "html.parser")
        mark = re.compile(rf"{self.mark}(\d+)x")
        for text in page.find_all(string=mark):
            parts = mark.split(text)  # text, number, text, number, ... text
            nodes = [parts[0]]
            for number, after in zip(parts[1::2], parts[2::2], strict=True):
                nodes += [*BeautifulSoup(self.formulas[int(number)], "html.parser").contents, after]
            text.replace_with(*nodes)
        return str(page)


def _cleaner() -> bleach.Cleaner:
    room = Room(MAX_PIXELS)

    def of_image(_, name: str, value: str) -> bool:
        if name == "src":
            found = _DATA_IMAGE.fullmatch(value)
            return found is not None and room.takes(found[1], found[2])
        return name in ("alt", "title")

    attributes = {
        "a": lambda _, name, value: name == "href" and bool(_LINK.fullmatch(value)),
        "img": of_image,
        "div": lambda _, name, value: (name, value) == ("class", "highlight"),
        "span": lambda _, name, value: name == "class" and value in _COLOURED,
        "td": ["colspan", "rowspan"],
        "th": ["colspan", "rowspan"],
    }
    protocols = ["http", "https", "mailto", "data"]
    return bleach.Cleaner(tags=_TAGS, attributes=attributes, protocols=protocols)
