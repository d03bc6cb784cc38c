"""PNG and JPEG files made of parts that say what a test wants them to say."""

import base64
import struct
import zlib


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, depth: int = 1, colour: int = 0, last: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, last))


DOTS = chunk(b"IDAT", zlib.compress(b"\0\0"))


def png(*chunks: bytes, end: bytes | None = None) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + (chunk(b"IEND") if end is None else end)


def jpeg(width: int, height: int, before: bytes = b"", after: bytes = b"") -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + before + frame + b"\xff\xda\x00\x02" + after + b"\xff\xd9"


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
