"""Whether two names are of one device or one model, however each is spelled."""

from __future__ import annotations

import re

from gqa_lib.configs import list_models

_WORD = re.compile(r"[a-z0-9.]+")
_VENDORS = {"nvidia", "geforce", "tesla", "amd", "instinct", "gpu", "oam"}
_EDITIONS = {"blackwell", "server", "workstation", "edition"}  # of one chip, at one clock or so
_FORMS = {"sxm": "sxm", "hbm3": "sxm", "hbm3e": "sxm", "pcie": "pcie", "nvl": "nvl"}
_SAME_SHAPE = {"meta", "instruct", "chat", "it", "hf", "base"}  # of one model, trained otherwise
_NO_FAMILIES = {"step", "command"}  # as folders of checkpoints are called, too
_SIZE = re.compile(r"\d+(?:\.\d+)?[bm]")


def same_machine(one: str, other: str) -> bool:
    """Return whether two names are of one device, however it is spelled.

    Whole words are compared, but for vendors. Memory, and whether it is an SXM or a PCIe card,
    must agree where both say it; NVL is a card of its own.

    Args:
        one, other: such as "RTX 4090" and "NVIDIA GeForce RTX 4090".
    """
    if one.strip() and one.strip().lower() == other.strip().lower():
        return True
    (a, a_forms, a_memory), (b, b_forms, b_memory) = map(_parts, (one, other))
    if not a or a != b or "nvl" in a_forms ^ b_forms:
        return False
    forms = not (a_forms and b_forms) or a_forms == b_forms
    memory = not (a_memory and b_memory) or a_memory == b_memory or "gh200" in a
    return forms and memory


def _parts(name: str) -> tuple[list[str], set[str], set[str]]:
    """What a device is called, its form and its memory."""
    text = re.sub(r"\b(rtx|gtx)(?=\d)", r"\1 ", name.lower().replace("(tm)", " "))
    text = re.sub(r"^\s*1\s*x\s+", "", text)
    words = [re.sub(r"^sxm\d$", "sxm", word) for word in _WORD.findall(text)]
    memory = {word for word in words if re.fullmatch(r"\d+gb", word)}
    forms = {_FORMS[word] for word in words if word in _FORMS}
    dropped = {*_VENDORS, *_EDITIONS, *_FORMS, *memory}
    return [word for word in words if word not in dropped], forms, memory


def same_model(one: str, other: str) -> bool:
    """Return whether two names are of models of one shape, as "Llama-3.1-8B-Instruct" has it too.

    Args:
        one, other: such as "Llama-3.1-8B" and "meta-llama/Llama-3.1-8B".
    """
    a, b = _plain(one), _plain(other)
    return (bool(a) and a == b) or bool(one.strip() and one == other)


def other_model(name: str, model: str) -> bool:
    """Return whether a name says that it is of another model: another family, or another size.

    Args:
        name: that somebody gave, such as a folder's.
        model: such as "Llama-3.1-8B".
    """
    if same_model(name, model):
        return False
    if any(same_model(name, known) for known in list_models()):
        return True
    mine, theirs = (set(_words(one)) for one in (name, model))
    sizes = [{word for word in words if _SIZE.fullmatch(word)} for words in (mine, theirs)]
    if all(sizes) and sizes[0] != sizes[1]:
        return True
    families = {_family(known) for known in list_models()} - _NO_FAMILIES
    said = {_family(word) for word in mine} & families
    return bool(said) and _family(model) in families and _family(model) not in said


def _words(name: str) -> list[str]:
    return _WORD.findall(name.rstrip("/").rsplit("/", 1)[-1].lower())


def _plain(name: str) -> str:
    return "".join(word for word in _words(name) if word not in _SAME_SHAPE)


def _family(name: str) -> str:
    found = re.match(r"[a-z]+", name.lower())
    return found[0] if found else ""
