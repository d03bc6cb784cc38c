"""A `LanguageModel` that was made here, as a checkpoint of Llama's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from gqa_lib.arguments import check_kind, place_for
from gqa_lib.course.files import replace_file

from ..checks import in_dtype
from ..language_model import LanguageModel, ropes_of_layers
from ..variant import Variant
from .config import read_config
from .names import rows_of
from .shards import DTYPES, ONE
from .write import new_folder, write_weights


def save_llama(
    model: LanguageModel, target: str | Path, dtype: torch.dtype = torch.bfloat16
) -> None:
    """Write a model as a checkpoint that transformers and `load` read as a Llama.

    Args:
        model: like Llama: one RoPE(head_dim, base) for all layers, no biases, no norms of queries
            and keys, no windows; a tied head is one.
        target: folder that is made; it must not be there.
        dtype: of the file's weights.

    Raises:
        OSError: a file cannot be written.
        ValueError: target or target.partial is there, the model is not like Llama, or a weight is
            not finite in dtype.
    """
    check_kind(LanguageModel, "Give a LanguageModel.", model=model)
    if dtype not in DTYPES.values():
        raise ValueError(
            f"dtype={dtype!r}: such weights cannot be loaded. Choose from "
            f"{', '.join(map(str, DTYPES.values()))}."
        )
    target = place_for(target, "target")
    _check_like_llama(model)
    with new_folder(target) as partial:
        replace_file(partial / "config.json", json.dumps(_config(model, dtype), indent=2) + "\n")
        weights = dict(model.named_parameters())
        rows_by_name = rows_of(model, read_config(partial / "config.json"), "model.")
        tensors = {}
        for name, rows in rows_by_name.items():
            value = weights[rows.parameter][rows.start : rows.end].detach().cpu()
            tensors[name] = in_dtype(name, value, dtype)
        write_weights(tensors, partial / ONE, {"format": "pt"})


def _check_like_llama(model: LanguageModel) -> None:
    """Refuse a model whose checkpoint would be read as another model."""
    config, variant, plain = model.config, model.variant, Variant()
    same_in_llama = ("rope", "norm_eps", "tied")  # read from its config.json
    odd = [
        f"{name}={value!r}"
        for name, value in vars(variant).items()
        if name not in same_in_llama and value != getattr(plain, name)
    ]
    ropes = ropes_of_layers(config, variant)
    if any(rope is None for rope in ropes):
        odd.append("layers without RoPE")
    turning = [rope for rope in ropes if rope is not None]
    if any(rope.scaling is not None for rope in turning):
        odd.append("a scaled RoPE")
    if any(rope.rotary_dim != config.head_dim for rope in turning):
        odd.append("a RoPE of a part of each head")
    if len({rope.base for rope in turning}) > 1:
        odd.append("RoPE of several bases")
    if any(one.window for one in config.kv_layers):
        odd.append("layers with a window")
    if odd:
        raise ValueError(
            f"{config.name} does something otherwise than Llama: {', '.join(odd)}. Its checkpoint "
            "would be read as another model. Save it with `save`, in the form of one of its own "
            "family."
        )


def _config(model: LanguageModel, dtype: torch.dtype) -> dict[str, Any]:
    """What config.json says of it."""
    config, variant = model.config, model.variant
    rope = ropes_of_layers(config, variant)[0]
    rope_theta = float(rope.base) if rope else 0.0  # each has one
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_context or 4096,
        "hidden_act": "silu",
        "rms_norm_eps": variant.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta},
        "tie_word_embeddings": variant.tied,
        "dtype": str(dtype).removeprefix("torch."),
    } | dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
