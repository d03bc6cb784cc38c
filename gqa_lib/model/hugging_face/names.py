"""Which tensors of a checkpoint are which rows of which parameter of a `LanguageModel`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from gqa_lib.configs import ModelConfig

from ..language_model import LanguageModel
from .config import Description

_QKV, _GATE_UP = ("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")
_AROUND = {"embedding": "embed_tokens", "norm": "norm"}
_NORMS = {  # by Variant.norms, the norms of a layer
    "before": {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"},
    "after": {
        "attention_out_norm": "post_attention_layernorm",
        "mlp_out_norm": "post_feedforward_layernorm",
    },
    "both": {
        "attention_norm": "input_layernorm",
        "attention_out_norm": "post_attention_layernorm",
        "mlp_norm": "pre_feedforward_layernorm",
        "mlp_out_norm": "post_feedforward_layernorm",
    },
}


@dataclass(frozen=True)
class Rows:
    """Rows of a parameter, and what is stored of them: (weight + offset) * scale is what counts.

    Args:
        parameter: its name in the `LanguageModel`.
        start, end: the first row, and the one after the last.
        shape: of all of them, as they are stored.
        offset, scale: as above.
    """

    parameter: str
    start: int
    end: int
    shape: tuple[int, ...]
    offset: float = 0.0
    scale: float = 1.0


def rows_of(model: LanguageModel, description: Description, prefix: str) -> dict[str, Rows]:
    """Return the tensors that a model is made of, by their names in a checkpoint.

    Args:
        model: a tied head has no tensor of its own.
        description: what its config.json says.
        prefix: of the names of all but the head, "model." or none.
    """
    rows = {}
    for name, parameter in model.named_parameters():
        start = 0
        for tensor, size in _tensors(name, parameter, description, prefix):
            offset = description.family.norm_offset if _is_norm(name) else 0.0
            scale = description.query_scale if _scales_queries(tensor, description) else 1.0
            shape = (size, *parameter.shape[1:])
            rows[tensor] = Rows(name, start, start + size, shape, offset, scale)
            start += size
    return rows


def _tensors(
    name: str, parameter: Tensor, description: Description, prefix: str
) -> Iterator[tuple[str, int]]:
    """The tensors that a parameter is made of, first rows first, and how many rows each has."""
    module, _, kind = name.rpartition(".")
    if module == "head":
        yield f"lm_head.{kind}", len(parameter)
    elif module in _AROUND:
        yield f"{prefix}{_AROUND[module]}.{kind}", len(parameter)
    else:
        _, number, inner = module.split(".", 2)
        layer = f"{prefix}layers.{number}"
        inner = inner.replace("attention.", "self_attn.")
        inner = _NORMS[description.variant.norms].get(inner, inner)
        parent, _, projection = inner.rpartition(".")
        sizes = {
            "qkv_proj": dict(zip(_QKV, _widths(description.config), strict=True)),
            "gate_up_proj": dict.fromkeys(_GATE_UP, len(parameter) // 2),
        }
        if projection not in sizes or description.family.fused:
            yield f"{layer}.{inner}.{kind}", len(parameter)
            return
        for part, size in sizes[projection].items():
            yield f"{layer}.{parent}.{part}.{kind}", size


def _widths(config: ModelConfig) -> tuple[int, int, int]:
    kv_width = config.num_kv_heads * config.head_dim
    return config.num_heads * config.head_dim, kv_width, kv_width


def _is_norm(name: str) -> bool:
    return name.removesuffix(".weight").endswith("norm")


def _scales_queries(tensor: str, description: Description) -> bool:
    """Whether this is what queries are last multiplied by before they are turned."""
    return f".{'q_norm' if description.variant.qk_norm else 'q_proj'}." in tensor
