"""Reads what a question about an amount gives: the model, lengths, precision, memory."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import DATASHEET, Hardware

from .models import find_model, pieces

Quantity = Literal["cache", "per token", "sequences", "context", "flops", "shape"]

_K = 1024
_NUMBER = r"(\d+(?:[,_ ]\d{3})*|\d+(?:\.\d+)?)"
_LENGTH = re.compile(
    rf"\b{_NUMBER} ?(k|m)?(?:-| )?(?:tokens?|ctx|context|long|prompts?|worte?|words)\b|"
    rf"\b(?:context|length|ctx|seq\w*)(?: (?:length|of|is|size|window))* ?=? ?{_NUMBER} ?(k|m)?\b|"
    rf"\b{_NUMBER} ?(k)\b"
)
_BARE = re.compile(r"\b(?:at|bei|mit|with|for|of) (\d{3,7})\b|\b(\d{4,7})\b")
_BATCH = re.compile(
    r"\bbatch(?: size)?(?: of)? ?=? ?(\d+)\b|"
    r"\b(\d+) (?:concurrent |parallel )?(?:sequences|users|requests|streams|conversations|chats)\b"
)
_MEMORY = re.compile(r"\b(\d+(?:\.\d+)?) ?(gib|gb|g|tb)\b(?! ?/ ?s)")
_PRECISIONS = (
    (4.0, "fp32", r"(?:fp|float) ?-?32|32 ?-?bits?|single precision"),
    (2.0, "bf16", r"(?:b?fp?|b?float) ?-?16|16 ?-?bits?|half precision|\bhalf\b"),
    (1.0, "8 bits", r"(?:fp|float|int) ?-?8|8 ?-?bits?|e4m3|e5m2|q8"),
    (0.5, "4 bits", r"(?:nv)?(?:fp|int|mxfp) ?-?4|4 ?-?bits?|q4"),
)
_PRECISION_WORDS = [(size, re.compile(rf"\b(?:{words})\b")) for size, _, words in _PRECISIONS]
_AS = re.compile(
    r"\b(?:as|with|if it (?:were|was)|were it|was it|als|for|using|under|in) (?:an? )?"
    r"(mha|mqa|gqa ?-? ?\d+|\d+ kv[- ]heads?)\b|^(?:and )?(mha|mqa|gqa-?\d+)\b"
)
_SHAPE = {  # of a model that is not in the table
    "num_layers": r"\b(\d+) ?(?:layers|schichten)\b|\b(?:num_layers|layers) ?=? ?(\d+)\b",
    "num_kv_heads": r"\b(\d+) kv[- ]?(?:heads?|köpfen?)\b|\b(?:num_kv_heads|kv heads) ?=? ?(\d+)\b",
    "head_dim": (
        r"\bhead[-_ ]?(?:dim|size|dimension)s? ?(?:of|is|=|:)? ?(\d+)\b|"
        r"\b(\d+) head[-_ ]?(?:dim|size)\b|heads? of (?:size |dim(?:ension)? )?(\d+)\b"
    ),
}
_QUANTITIES: tuple[tuple[Quantity, str], ...] = (
    ("flops", r"\b(?:g|t|m)?flops?\b|how many (?:operations|multiplications|multiply)"),
    (
        "sequences",
        r"how many (?:\w+ ){0,3}(?:sequences|users|requests|streams|conversations|chats|people|"
        r"prompts|clients)|wie ?viele (?:\w+ ){0,2}(?:sequenzen|nutzer|anfragen|user)|"
        r"(?:concurrency|concurrent sequences)",
    ),
    (
        "context",
        r"how (?:long|large|big) (?:\w+ ){0,2}(?:context|prompt|sequence)|"
        r"(?:max(?:imum|imal)?|longest|largest) (?:possible )?(?:context|sequence|prompt)|"
        r"how many tokens (?:\w+ ){0,3}fit|wie lang",
    ),
    (
        "shape",
        r"how many (?:\w+ ){0,2}(?:heads|layers)|\b(?:q_per_kv|head[_ ]dim|head size|num_\w+)\b|"
        r"\b(?:is|does|has|have|use|uses|did)\b.*\b(?:gqa|mha|mqa|mla)\b|wie ?viele .*(?:heads|köpfe)|"
        r"what (?:kind of )?attention|query heads per|shape of",
    ),
    ("per token", r"\b(?:per|each|every|a|one|pro|je|single) token\b|\btoken cost"),
    (
        "cache",
        r"\b(?:kv|cache|caches|memory|vram|ram|speicher|footprint|gib|gb|mib|bytes?)\b",
    ),
)
_AMOUNT = re.compile(
    r"\bhow (?:big|much|many|large|long)\b|\bsize\b|\bwie ?(?:gro\w+|viel\w*|lang)\b|\bbytes?\b|"
    r"\b(?:gi?b|mi?b|ki?b)\b|\b(?:compute|calculate|estimate|need|needs|take|takes|braucht|fit)\b|"
    r"\bflops?\b|^(?:the )?kv|\bwhat(?:'s| is| are)? (?:the )?(?:kv|cache|max)|footprint|\bmax"
)


@dataclass(frozen=True)
class Asked:
    """What a question gives; None where it does not say."""

    quantity: Quantity | None = None
    model: ModelConfig | None = None
    context: int | None = None
    batch: int | None = None
    bytes_per_element: float | None = None
    memory: float | None = None  # bytes
    memory_named: str = ""
    kv_heads: int | Literal["mha"] | None = None  # instead of the model's own

    def then(self, follows: "Asked") -> "Asked":
        """Return this question with what a follow-up says in place of what it said."""
        said = {k: v for k, v in vars(follows).items() if v not in (None, "")}
        return replace(self, **said)

    @property
    def can_be_worked(self) -> bool:
        """Whether there is a model and an amount to compute of it."""
        return self.model is not None and self.quantity is not None


def read(question: str) -> Asked:
    """Return what a question about an amount gives.

    Args:
        question: as the learner wrote it.
    """
    text = " ".join(question.lower().replace("–", "-").split())
    quantity = _quantity(text)
    own, text = _own_shape(text)
    gpu, text = _gpu(text)
    text, memory = _take(_MEMORY, text)
    size, text = _precision(text)
    text, heads = _take(_AS, text)
    text, batch = _take(_BATCH, text)
    named, rest = _model(text)
    length = _length(rest)
    bytes_there, shown = gpu or _memory(memory)
    return Asked(
        quantity, named or own, length, int(batch[0]) if batch else None, size, bytes_there, shown,
        _heads(heads[0]) if heads else None,
    )  # fmt: skip


def _quantity(text: str) -> Quantity | None:
    if re.search(r"\b(?:why|warum|wieso|how come|explain)\b", text):
        return None
    found = (name for name, words in _QUANTITIES if re.search(words, text))
    quantity = next(found, None)
    if quantity in ("shape", None) or _AMOUNT.search(text):
        return quantity
    return None


def _own_shape(text: str) -> tuple[ModelConfig | None, str]:
    """Return the model whose layers, KV heads and head size a text gives, and the text without."""
    found = {name: re.search(words, text) for name, words in _SHAPE.items()}
    if not all(found.values()):
        return None, text
    sizes = {}
    for name, match in found.items():
        assert match is not None
        sizes[name] = int(next(group for group in match.groups() if group))
        text = text.replace(match[0], " , ")
    heads = sizes["num_kv_heads"]
    try:
        shape = ModelConfig("that shape", num_heads=heads, d_model=heads * sizes["head_dim"], **sizes)
    except ValueError:  # a size of 0
        return None, text
    return shape, text


def _take(pattern: re.Pattern, text: str) -> tuple[str, list[str]]:
    """Return a text without the first match, and that match's groups."""
    match = pattern.search(text)
    if not match:
        return text, []
    return text[: match.start()] + " , " + text[match.end() :], [g for g in match.groups() if g]


def _gpu(text: str) -> tuple[tuple[float, str] | None, str]:
    """Return the memory of the GPU that a text names, with its name, and the text without it."""
    said = pieces(text)
    fits = [one for one in DATASHEET.values() if _named(one, said)]
    if not fits:
        return None, text
    best = max(fits, key=lambda one: sum(p in said for p in pieces(one.name)))
    for piece in pieces(best.name):
        if len(piece) > 1:
            text = re.sub(rf"\b{piece}s?\b(?! ?gi?b)", " ", text)
    return (best.memory_bytes, best.name), text


def _named(one: Hardware, said: list[str]) -> bool:
    """Is a GPU's name there: its letters and its number, side by side?"""
    first, second = pieces(one.name.removeprefix("RTX "))[:2] + [""] * (
        len(pieces(one.name.removeprefix("RTX "))) < 2
    )
    if first.isdigit():
        return first in said
    return any(a == first and b == second for a, b in zip(said, said[1:], strict=False))


def _memory(found: list[str]) -> tuple[float | None, str]:
    if not found:
        return None, ""
    number, unit = float(found[0]), found[1]
    if unit == "tb":
        return number * 1e12, f"{number:g} TB"
    gib = unit == "gib"
    return number * (2**30 if gib else 1e9), f"{number:g} {'GiB' if gib else 'GB'}"


def _precision(text: str) -> tuple[float | None, str]:
    for size, words in _PRECISION_WORDS:
        if words.search(text):
            return size, words.sub(" , ", text, count=1)
    return None, text


def name_of_precision(size: float) -> str:
    """Return what numbers of so many bytes are called."""
    return next((name for one, name, _ in _PRECISIONS if one == size), f"{size:g} bytes")


def _model(text: str) -> tuple[ModelConfig | None, str]:
    without = _LENGTH.sub(lambda m: m[0] if "token" not in m[0] and "k" not in m[0] else " ", text)
    if found := find_model(without):
        return found[0], text
    if found := find_model(text):
        return found[0], found[1]
    return None, text


def _length(text: str) -> int | None:
    for match in _LENGTH.finditer(text):
        number, *unit = [g for g in match.groups() if g]
        return _whole(number, unit[0] if unit else "")
    if match := _BARE.search(text):
        return int(match[1] or match[2])
    return None


def _whole(number: str, unit: str) -> int:
    times = {"k": _K, "m": _K * _K}.get(unit, 1)
    return int(float(re.sub(r"[,_ ]", "", number)) * times)


def _heads(said: str) -> int | Literal["mha"]:
    digits = re.search(r"\d+", said)
    return "mha" if said == "mha" else int(digits[0]) if digits else 1
