"""PNG and JPEG images of strangers, looked at by their headers: what a page shows is bounded.

A browser needs four bytes for each pixel that a header names, however small the file is. So the
size is read before any page has the image; one whose structure is not sound is none.
"""

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterator

MAX_IMAGE = 3 * 2**20  # bytes
MAX_PIXELS = 16_000_000  # of one image
PAGE_PIXELS = 64_000_000  # of all images of a page
_MAX_CHUNKS, _MAX_SCANS = 10_000, 64
_PNG, _DEPTHS = b"\x89PNG\r\n\x1a\n", {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8)}
_DEPTHS |= {4: (8, 16), 6: (8, 16)}  # colour type -> bits that it may have
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers of a frame's header
_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]")  # one of these
_SCAN, _END = 0xDA, 0xD9


class Room:
    """How many pixels the images of a page may have that are still to come."""

    def __init__(self, pixels: int = PAGE_PIXELS):
        self._left = pixels

    def takes(self, mimetype: str, content: str) -> bool:
        """Return whether base64 text is an image that there is room for, and give it the room."""
        pixels = pixels_of(mimetype, content)
        if not 0 < pixels <= self._left:
            return False
        self._left -= pixels
        return True


def pixels_of(mimetype: str, content: str) -> int:
    """Return how many pixels an image has in base64 text; 0 if it is none, or larger than allowed.

    Args:
        mimetype: image/png or image/jpeg.
        content: the text.
    """
    if len(content) > 2 * MAX_IMAGE:
        return 0
    try:
        raw = base64.b64decode("".join(content.split()), validate=True)
        width, height = {"image/png": _png, "image/jpeg": _jpeg}[mimetype](raw)
    except (binascii.Error, ValueError, KeyError, struct.error):
        return 0
    return width * height if width * height <= MAX_PIXELS and len(raw) <= MAX_IMAGE else 0


def _png(raw: bytes) -> tuple[int, int]:
    """Return the width and height of a PNG image.

    Raises:
        ValueError: it is none, or an animation.
    """
    chunks = _chunks(raw)
    kind, header = next(chunks)
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", header)
    sound = kind == b"IHDR" and depth in _DEPTHS.get(colour, ()) and rest[:2] == [0, 0]
    kinds = [kind for kind, _ in chunks]
    if not sound or b"acTL" in kinds or b"IDAT" not in kinds or kinds[-1] != b"IEND":
        raise ValueError("not a PNG image that stands still")
    return width, height


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind of each chunk of a PNG file, with the data of its header, up to the end."""
    if not raw.startswith(_PNG):
        raise ValueError("no PNG image")
    at = len(_PNG)
    for number in range(_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", raw, at)
        end = at + 8 + length
        (check,) = struct.unpack_from(">I", raw, end)  # there is no less than the chunk says
        if number == 0 and (length != 13 or check != zlib.crc32(raw[at + 4 : end])):
            raise ValueError("a header that is not sound")
        yield kind, raw[at + 8 : end] if number == 0 else b""
        if kind == b"IEND":
            return
        at = end + 4
    raise ValueError("too many parts")


def _jpeg(raw: bytes) -> tuple[int, int]:
    """Return the width and height of a JPEG image.

    Raises:
        ValueError: it is none, or says its size twice, or is to be drawn very many times.
    """
    if not raw.startswith(b"\xff\xd8\xff") or b"\xff\xd9" not in raw[-64:]:
        raise ValueError("no JPEG image")
    if raw.count(bytes([0xFF, _SCAN])) > _MAX_SCANS:
        raise ValueError("too many scans")
    size, at = None, 2
    for _ in range(_MAX_CHUNKS):
        mark, kind, length = struct.unpack_from(">BBH", raw, at)
        if mark != 0xFF or length < 2:
            raise ValueError("a part that is none")
        if kind in (_SCAN, _END):
            break
        if kind in _FRAMES and size is not None:
            raise ValueError("two headers")
        if kind in _FRAMES:
            height, width = struct.unpack_from(">HH", raw, at + 5)
            size = width, height
        at += 2 + length
    if size is None or _FRAME.search(raw, at):
        raise ValueError("no header, or two")
    return size
