"""Checks a built site: every local address leads somewhere, and nothing is loaded from outside."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from bs4 import BeautifulSoup

_LOADS = {  # elements that load what an attribute names; a link that is followed does not
    "src": ("img", "script", "iframe", "source", "audio", "video", "embed", "track", "input"),
    "data": ("object",),
    "poster": ("video",),
    "href": ("link", "use", "image"),
}
_NOT_LOADED = {"canonical", "next", "prev", "search", "index", "help", "author", "license"}
_CSS_LOADS = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


def broken(site: Path) -> list[str]:
    """Return what is wrong with a built site's addresses, each with its page."""
    pages = {path: BeautifulSoup(path.read_text("utf-8"), "html.parser") for path in pages_of(site)}
    anchors = {path: _anchors(page) for path, page in pages.items()}
    found = [
        f"{path.relative_to(site)}: {problem}"
        for path, page in pages.items()
        for problem in _of_page(path, page, site, anchors)
    ]
    for path in site.rglob("*.css"):
        found += [
            f"{path.relative_to(site)} loads {address}"
            for address in _of_css(path.read_text("utf-8"))
            if _is_outside(address) or not (path.parent / _file_of(address)).exists()
        ]
    return sorted(found)


def pages_of(site: Path) -> list[Path]:
    """Return the pages of a built site; `_static` holds pieces of the theme's."""
    return sorted(path for path in site.rglob("*.html") if site / "_static" not in path.parents)


def _anchors(page: BeautifulSoup) -> set[str]:
    return {str(tag[name]) for name in ("id", "name") for tag in page.select(f"[{name}]")}


def _of_page(path: Path, page: BeautifulSoup, site: Path, anchors) -> Iterator[str]:
    for tag, attribute, address in _addresses(page):
        if _is_outside(address):
            if tag.name in _LOADS[attribute] and not _NOT_LOADED & set(tag.get("rel", [])):
                yield f"<{tag.name}> loads {address}"
            continue
        target = path
        if _file_of(address):
            target = (path.parent / _file_of(address)).resolve()
            if target.is_dir():
                target /= "index.html"
        anchor = unquote(urldefrag(address).fragment)
        if site.resolve() not in target.resolve().parents or not target.exists():
            yield f"{address} leads nowhere"
        elif anchor and target in anchors and anchor not in anchors[target]:
            yield f"{address}: {target.name} has no {anchor!r}"
    for style in page.find_all("style"):
        yield from (f"a style loads {found}" for found in _of_css(style.text))


def _addresses(page: BeautifulSoup):
    """Yield (element, attribute, address) of all that is linked or loaded."""
    for attribute in (*_LOADS, "srcset"):
        for tag in page.select(f"[{attribute}]"):
            value = str(tag[attribute])
            if attribute == "srcset":
                for part in value.split(","):
                    yield tag, "src", part.split()[0]
            elif tag.name in ("a", "area", *_LOADS[attribute]) and not _is_inline(value):
                yield tag, attribute, value


def _of_css(text: str) -> list[str]:
    found = ["".join(pair).strip() for pair in _CSS_LOADS.findall(text)]
    return [address for address in found if not _is_inline(address)]


def _is_inline(address: str) -> bool:
    return address.startswith("data:")


def _is_outside(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.scheme or parts.netloc)


def _file_of(address: str) -> str:
    return unquote(urlsplit(address).path)
