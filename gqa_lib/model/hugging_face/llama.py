"""A `LanguageModel` that was made here, as a checkpoint of Llama's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from gqa_lib.arguments import check_kind
from gqa_lib.course.files import replace_file

from ..language_model import LanguageModel
from ..variant import Variant
from .config import read_config
from .names import rows_of
from .shards import ONE
from .write import check_new, write_weights


def save_llama(
    model: LanguageModel, target: str | Path, dtype: torch.dtype = torch.bfloat16
) -> None:
    """Write a model as a checkpoint that transformers and `load` read as a Llama.

    Args:
        model: like Llama: RoPE(head_dim), no biases, no norms of queries and keys, no windows; a
            tied head is one.
        target: folder that is made; it must not be there.
        dtype: of the file's weights.

    Raises:
        ValueError: target is there, or the model is not like Llama.
    """
    check_kind(LanguageModel, "Give a LanguageModel.", model=model)
    target = Path(target)
    check_new(target)
    _check_like_llama(model)
    partial = target.with_name(f"{target.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    replace_file(partial / "config.json", json.dumps(_config(model, dtype), indent=2) + "\n")
    weights = dict(model.named_parameters())
    tensors = {
        name: weights[rows.parameter][rows.start : rows.end].detach().cpu().to(dtype).clone()
        for name, rows in rows_of(model, read_config(partial / "config.json"), "model.").items()
    }
    write_weights(tensors, partial / ONE, {"format": "pt"})
    os.rename(partial, target)


def _check_like_llama(model: LanguageModel) -> None:
    """Refuse a model whose checkpoint would be read as another model."""
    config, variant = model.config, model.variant
    windows = any(one.window for one in config.kv_layers)
    if variant not in (Variant(tied=True), Variant()) or windows:
        raise ValueError(
            f"{config.name} does something otherwise than Llama: {variant}. Its checkpoint would "
            "be read as another model. Save it with `save`, in the form of one of its own family."
        )


def _config(model: LanguageModel, dtype: torch.dtype) -> dict[str, Any]:
    """What config.json says of it."""
    config, variant = model.config, model.variant
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
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": variant.tied,
        "dtype": str(dtype).removeprefix("torch."),
    } | dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
