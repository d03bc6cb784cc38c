"""Computes what is asked with `gqa_lib.cost`, and shows the formula and what went into it."""

from dataclasses import dataclass, replace

from gqa_lib.configs import ModelConfig
from gqa_lib.cost import (
    decode_step_work,
    kv_bytes_per_token,
    kv_cache_bytes,
    max_concurrent_sequences,
    max_context_length,
    state_bytes,
)

from .asked import Asked, name_of_precision

_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_CONTEXT = 8192  # tokens, where a question gives none and an example helps
_BF16 = 2.0


@dataclass(frozen=True)
class Worked:
    """A sum: the answer in Markdown, the lesson and start of the section it is explained in."""

    text: str
    section: str


def worked(asked: Asked) -> Worked | None:
    """Return the answer to a question about an amount, None where something is missing.

    Args:
        asked: what the question gives.
    """
    if not asked.can_be_worked:
        return None
    try:
        config = _shaped(asked)
    except ValueError as error:
        return Worked(str(error), "04#Three ways to share")
    size = asked.bytes_per_element or _BF16
    told = replace(asked, bytes_per_element=size)
    if asked.quantity == "shape":
        return Worked(_shape(config), "05#Real models, side by side")
    if asked.quantity == "flops":
        return Worked(_flops(config, told), "06#")
    if asked.quantity in ("sequences", "context"):
        return _fitting(config, told)
    return Worked(_cache(config, told), "05#One token, by hand")


def _shaped(asked: Asked) -> ModelConfig:
    config = asked.model
    assert config is not None
    if asked.kv_heads is None:
        return config
    heads = config.num_heads if asked.kv_heads == "mha" else asked.kv_heads
    other = config.with_kv_heads(heads)
    return replace(other, name=f"{config.name} with {_count(heads, 'KV head')}")


def _cache(config: ModelConfig, asked: Asked) -> str:
    size = asked.bytes_per_element or _BF16
    each = kv_bytes_per_token(config, size)
    formula = f"{_formula(config, size)} = **{in_units(each)} per token**"
    if asked.quantity == "per token" and asked.context is None:
        return f"{config.name}: {formula}.{_remarks(config, asked)}"
    length, batch = asked.context or _CONTEXT, asked.batch or 1
    total = kv_cache_bytes(config, [length] * batch, size)
    held = f"{length:,} tokens" + (f" in each of {batch} sequences" if batch > 1 else "")
    plain = total == each * length * batch
    by = f"; times {held}" if plain else f"; summed over what each layer keeps of {held}"
    return (
        f"**{in_units(total)}** for {config.name} with {held}, in {name_of_precision(size)}: "
        f"{formula}{by}.{_remarks(config, asked)}"
    )


def _formula(config: ModelConfig, size: float) -> str:
    if config.kv_lora_rank and config.layers is None:
        return (
            f"{config.num_layers} layers × ({config.kv_lora_rank} + {config.rope_head_dim}) "
            f"numbers of the latent and the rotary key × {_bytes(size)}"
        )
    if config.layers is not None:
        return f"what each of {config.num_layers} layers keeps × {_bytes(size)}"
    return (
        f"2 (K and V) × {config.num_layers} layers × {_count(config.num_kv_heads, 'KV head')} × "
        f"{config.head_dim} × {_bytes(size)}"
    )


def _fitting(config: ModelConfig, asked: Asked) -> Worked | None:
    if asked.memory is None:
        return Worked(
            "That needs the memory as well: say how many GB there are, or name the GPU, as in "
            f"“how many sequences of 8k fit with {config.name} on an H100”.",
            "05#Exercise 4",
        )
    size = asked.bytes_per_element or _BF16
    weights = config.weight_bytes
    if weights is None:
        return Worked(f"The course's table has no weights for {config.name}.", "05#Exercise 4")
    free = asked.memory - weights
    room = (
        f"{asked.memory_named} ({in_units(asked.memory)}) less {in_units(weights)} of weights at "
        f"2 bytes leave {in_units(max(free, 0))}"
    )
    if asked.quantity == "context":
        batch = asked.batch or 1
        longest = max_context_length(config, asked.memory, batch, weights, size)
        shown = "any length" if longest is None else f"{longest:,} tokens"
        said = f"**{shown}** for {_count(batch, 'sequence')} of {config.name}"
    else:
        length = asked.context or _CONTEXT
        number = max_concurrent_sequences(config, asked.memory, length, weights, size)
        each = kv_cache_bytes(config, [length], size)
        said = f"**{_count(number, 'sequence')}** of {length:,} tokens for {config.name}"
        room += f", and one sequence takes {in_units(each)}"
    spare = "Activations and the engine's own memory come on top, so fewer fit in practice."
    return Worked(f"{said}: {room}. {spare}{_remarks(config, asked)}", "05#Exercise 4")


def _flops(config: ModelConfig, asked: Asked) -> str:
    length, batch = asked.context or _CONTEXT, asked.batch or 1
    size = asked.bytes_per_element or _BF16
    attention, _ = decode_step_work(config, batch, length, size, 0)
    said = (
        f"**{_rate(attention)}** for the attention of one decode step of {config.name} over "
        f"{length:,} tokens: 4 × {config.num_layers} layers × {config.num_heads} query heads × "
        f"{config.head_dim} × {length:,} (a multiply-add is two)"
    )
    if batch > 1:
        said += f", times {batch} sequences"
    if config.weights is not None or config.weight_bytes:
        parameters = config.weights.active if config.weights else config.weight_bytes / 2
        said += f". The weights add 2 × {parameters / 1e9:.3g} billion = {_rate(2 * parameters)} "
        said += "per sequence"
    return f"{said}. The number of KV heads changes the bytes, not these FLOPs.{_taken(asked)}"


def _shape(config: ModelConfig) -> str:
    said = (
        f"{config.name} is **{config.attention_type}**: {config.num_heads} query heads, "
        f"{_count(config.num_kv_heads, 'KV head')} of {config.head_dim}, in {config.num_layers} "
        f"layers"
    )
    if config.attention_type == "MLA":
        return f"{said}; what it caches is a latent of {config.kv_lora_rank} per layer."
    return f"{said}; {config.num_heads} // {config.num_kv_heads} = {config.q_per_kv} per KV head."


def _remarks(config: ModelConfig, asked: Asked) -> str:
    said = ""
    if config.layers is not None or config.windows or config.shared_kv_layers:
        said += (
            " Not every layer keeps every token: ask with a length for what a sequence takes."
            if asked.quantity == "per token" and asked.context is None
            else " Not every layer keeps every token; the sum counts what each one keeps."
        )
    if state := state_bytes(config):
        said += f" Its constant state adds {in_units(state)} per sequence."
    if (asked.bytes_per_element or _BF16) < _BF16:
        said += " The scales of a quantised cache come on top."
    return said + _taken(asked)


def _taken(asked: Asked) -> str:
    length, said = asked.context, ""
    if length is None and asked.quantity in ("cache", "sequences", "flops"):
        said = f" You gave no length, so this takes {_CONTEXT:,} tokens."
    elif length and length % 1024 == 0 and length >= 2048:
        said = f" (1k is 1,024 tokens here: {length // 1024}k = {length:,}.)"
    return said


def in_units(size: float) -> str:
    """Return bytes in the largest binary unit of which there is at least one."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{_digits(size / unit)} {name}"
    return f"{_digits(size)} bytes"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:.4g}"


def _rate(flops: float) -> str:
    for unit, name in ((1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP")):
        if flops >= unit:
            return f"{flops / unit:.4g} {name}"
    return f"{flops:,.0f} FLOP"


def _bytes(size: float) -> str:
    return f"{size:g} byte{'s' if size != 1 else ''} ({name_of_precision(size)})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
