"""The longest sequence that a model is made for."""

from __future__ import annotations

from .keys import Keys

_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "model_max_length",
    "max_target_positions",
    "max_sequence_length",
    "seq_length",
    "context_length",
)
_RELATIVE = ("t5", "mt5", "umt5", "longt5", "bloom")  # what they name bounds nothing


def longest_context(keys: Keys) -> int | None:
    """Return the longest sequence in tokens, None where it has no limit or the file has none.

    Rotations that are stretched (YaRN, linear, dynamic) reach as far as they are stretched, as in
    vLLM; what a class assumes is not taken for the model's own.

    Args:
        keys: the text model's keys.

    Raises:
        ValueError: a length that is none.
    """
    if not keys.has(*_NAMES) or keys.family in _RELATIVE:
        return None
    named = keys.size(*_NAMES) or 0
    if keys.family.startswith("cohere"):  # its positions are those of a shorter first training
        named = max(named, keys.size("model_max_length") or 0)
    scaling = keys.get("rope_scaling", "rope_parameters")
    if not isinstance(scaling, dict):
        return named
    kind = scaling.get("rope_type") or scaling.get("type")
    factor, trained = scaling.get("factor"), scaling.get("original_max_position_embeddings")
    if not isinstance(factor, int | float) or isinstance(factor, bool) or not 1 <= factor < 1e6:
        return named
    if kind == "yarn" and isinstance(trained, int):
        return max(named, int(factor * trained))
    if kind in ("linear", "dynamic") and not keys.has("original_max_position_embeddings"):
        return int(factor * (trained if isinstance(trained, int) else named))
    return named
