"""An answer as the tokens that matter, and the fingerprints of it that are compared."""

import builtins
import io
import keyword
import token
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

LENGTH = 8  # tokens in a fingerprint
_SKIPPED = {
    *(token.COMMENT, token.NL, token.NEWLINE, token.INDENT, token.DEDENT, token.ENDMARKER),
    token.ENCODING,
}
_KNOWN = frozenset(dir(builtins)) | set(keyword.kwlist) | set(keyword.softkwlist)
MAX_TOKENS = 20_000  # of one answer


@dataclass(frozen=True)
class Token:
    """A token as it is compared, and the line it stands on, from 1."""

    text: str
    line: int


def tokens_of(source: str) -> list[Token]:
    """Return an answer's tokens; of one that does not parse, those up to there.

    What is easily changed in a copy is left out: comments, blanks, one's own names, texts and the
    values of numbers. Names of Python stay, and those after a dot, but for those after `self.`.
    """
    found: list[Token] = []
    before, owner = "", ""
    for kind, text, line in _raw(source):
        if len(found) == MAX_TOKENS:
            break
        shown = text
        if kind == token.STRING:
            shown = "S"
        elif kind == token.NUMBER:
            shown = "0"
        elif kind == token.NAME and text not in _KNOWN:
            shown = text if before == "." and owner != "self" else "v"
        found.append(Token(shown, line))
        if text != ".":
            owner = text
        before = text
    return found


def _raw(source: str) -> Iterator[tuple[int, str, int]]:
    try:
        for one in tokenize.generate_tokens(io.StringIO(source).readline):
            if one.type not in _SKIPPED:
                yield one.type, one.string, one.start[0]
    except (tokenize.TokenError, SyntaxError):
        return


def fingerprints(tokens: list[Token]) -> dict[int, set[int]]:
    """Return each run of `LENGTH` tokens, as a number, with the lines it stands on."""
    found: dict[int, set[int]] = {}
    for start in range(len(tokens) - LENGTH + 1):
        run = tokens[start : start + LENGTH]
        number = crc32("\0".join(one.text for one in run).encode("utf-8", "replace"))
        found.setdefault(number, set()).update(one.line for one in run)
    return found
