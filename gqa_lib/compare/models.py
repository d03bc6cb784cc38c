"""Decode steps of whole models: ours, its parts, and transformers' with the same weights.

An arm is a function of a call's number, as `gqa_lib.measure.time_arms` takes them. A step decodes
one new token for each sequence and returns the likeliest next tokens, (B,), and the logits, (B, V).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, cast

import torch
from torch import Tensor

from gqa_lib.arguments import check_whole
from gqa_lib.cache import ModelCache
from gqa_lib.configs import ModelConfig, Weights
from gqa_lib.heads import check_heads
from gqa_lib.model import LanguageModel

Arm = Callable[[int], Any]
SPARE = 64  # tokens that a cache grows by before it is cut back: far below a percent of a context
IMPLEMENTATIONS = ("sdpa", "eager")
CACHES = ("static", "dynamic")


def llama_like(
    num_kv_heads: int,
    *,
    num_layers: int,
    num_heads: int,
    head_dim: int,
    d_model: int,
    d_ff: int,
    vocab_size: int,
    name: str = "Llama-like",
) -> ModelConfig:
    """Return the shape of a Llama with an output head of its own, its weights counted.

    Args:
        num_kv_heads: KV heads of every layer.
        num_layers, num_heads, head_dim, d_model, d_ff, vocab_size: as in `ModelConfig`.
        name: what to call it.
    """
    check_whole(d_model=d_model, d_ff=d_ff, vocab_size=vocab_size, head_dim=head_dim)
    check_whole(num_layers=num_layers)
    check_heads(num_heads, num_kv_heads)
    attention = (2 * num_heads + 2 * num_kv_heads) * head_dim * d_model
    layer = attention + 3 * d_model * d_ff + 2 * d_model
    dense = num_layers * layer + d_model + vocab_size * d_model
    return ModelConfig(
        name,
        num_layers,
        num_heads,
        num_kv_heads,
        head_dim,
        d_model,
        d_ff,
        vocab_size,
        weights=Weights(dense, embedding=vocab_size * d_model),
    )


def random_kv(model: LanguageModel, lengths: Sequence[int]) -> Tensor:
    """Return random keys and values of one layer, (2, B, Hkv, S, D); S is the longest length.

    Args:
        model: whose layer it is.
        lengths: tokens of each row.
    """
    config, weight = model.config, model.head.weight
    size = 2, len(lengths), config.num_kv_heads, max(lengths), config.head_dim
    drawn = torch.randn(size, dtype=weight.dtype, device=weight.device)
    drawn[1] *= max(lengths) ** 0.5  # a mean over so many is then not too small to be compared
    return drawn


def layer_kv(drawn: Tensor, index: int) -> Tensor:
    """Return the keys and values of a layer, which differ from those of the layers next to it.

    Args:
        drawn: as from `random_kv`.
        index: of the layer.
    """
    return drawn.roll(index, -1)


def filled_cache(
    model: LanguageModel, lengths: Sequence[int], drawn: Tensor | None = None
) -> ModelCache:
    """Return a cache with random keys and values, and memory for SPARE tokens more.

    Args:
        model: whose cache it is.
        lengths: tokens of each row.
        drawn: as from `random_kv`; None: drawn now.
    """
    drawn = random_kv(model, lengths) if drawn is None else drawn
    cache = model.new_cache(len(lengths), max(lengths) + SPARE)
    ragged = min(lengths) < max(lengths)
    for index, layer in enumerate(cache.layers):
        k, v = layer_kv(drawn, index)
        layer.append(k, v, lengths if ragged else None)
    cache.truncate(list(lengths))  # what is attended to next is not the padding of this append
    return cache


def first_tokens(model: LanguageModel, batch_size: int) -> Tensor:
    """Return the token that each sequence decodes from, (B, 1): another one for each.

    Args:
        model: whose tokens they are.
        batch_size: B.
    """
    tokens = torch.arange(batch_size, device=model.head.weight.device)
    return (tokens % model.embedding.num_embeddings)[:, None]


def step_arm(model: LanguageModel, cache: ModelCache) -> Arm:
    """Return an arm that decodes a token for each row, over what the cache holds now.

    Args:
        model: whose step it is.
        cache: as from `filled_cache`; it grows by SPARE tokens at most.
    """
    lengths = cache.lengths.tolist()
    tokens = first_tokens(model, len(lengths))
    calls = count(1)

    @torch.inference_mode()
    def step(call: int) -> tuple[Tensor, Tensor]:
        logits = model(tokens, cache)[:, -1]
        if next(calls) % SPARE == 0:
            cache.truncate(lengths)
        return logits.argmax(-1), logits

    return step


def part_arms(model: LanguageModel, cache: ModelCache) -> dict[str, Arm]:
    """Return arms for parts of a step: "products" (the linear layers) and "attention".

    What they leave of a step is norms, rotations, appending, and the way there through Python.

    Args:
        model: whose step it is.
        cache: as from `filled_cache`; it stays as it is.
    """
    B, weight, config = len(cache.lengths), model.head.weight, model.config
    like: dict[str, Any] = {"dtype": weight.dtype, "device": weight.device}
    layers: Any = model.layers
    linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    inputs = {n: torch.randn(B, 1, n, **like) for n in {m.in_features for m in linears}}
    q = torch.randn(B, config.num_heads, 1, config.head_dim, **like)

    @torch.inference_mode()
    def products(call: int) -> None:
        for linear in linears:
            linear(inputs[linear.in_features])

    @torch.inference_mode()
    def attention(call: int) -> None:
        for layer, past in zip(layers, cache.layers, strict=True):
            past.attend(q, window=layer.attention.window)

    return {"products": products, "attention": attention}


def transformers_arms(model: LanguageModel, drawn: Tensor) -> dict[str, Arm]:
    """Return steps of transformers' Llama over the same weights, which are not copied.

    Its attention implementations and caches all take turns; which is the fastest differs by shape.

    Args:
        model: plain Llama, as `LanguageModel` is without a `Variant`.
        drawn: what its caches are filled with, as from `random_kv`; all rows are of one length.

    Returns:
        Name ("sdpa, static cache", ...) to arm.

    Raises:
        ImportError: transformers is not installed.
    """
    batch_size, context = drawn.shape[1], drawn.shape[3]
    tokens = first_tokens(model, batch_size)
    arms: dict[str, Arm] = {}
    for implementation in IMPLEMENTATIONS:
        llama = _their_llama(model, context, implementation)
        for kind in CACHES:
            past = _their_cache(llama.config, drawn, kind)
            arms[f"{implementation}, {kind} cache"] = _their_step(llama, past, tokens, context)
    return arms


def _their_llama(model: LanguageModel, context: int, implementation: str):
    from transformers import LlamaConfig, LlamaForCausalLM

    config, make_config = model.config, cast(Any, LlamaConfig)  # its types are too narrow
    theirs = make_config(
        hidden_size=config.d_model,
        intermediate_size=config.d_ff,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        vocab_size=config.vocab_size,
        rms_norm_eps=model.variant.norm_eps,
        max_position_embeddings=context + 2 * SPARE,
        attn_implementation=implementation,
    )
    with torch.device("meta"):
        llama = LlamaForCausalLM(theirs)
    llama.load_state_dict(llama_weights(model), assign=True)
    rotary = type(llama.model.rotary_emb)  # its tables are no weights, and still on "meta"
    llama.model.rotary_emb = rotary(theirs).to(model.head.weight.device)
    return llama.eval()


def _their_cache(config, drawn: Tensor, kind: str):
    from transformers import DynamicCache, StaticCache

    length: dict[str, Any] = {"max_cache_len": drawn.shape[3] + SPARE} if kind == "static" else {}
    make_cache: Any = StaticCache if kind == "static" else DynamicCache
    past = make_cache(config=config, **length)
    for index in range(config.num_hidden_layers):
        past.update(*layer_kv(drawn, index), index)
    return past


def llama_weights(model: LanguageModel) -> dict[str, Tensor]:
    """Return a plain Llama's weights by the names that transformers gives them, as views.

    Args:
        model: as `LanguageModel` is without a `Variant`.
    """
    config = model.config
    q, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    named: dict[str, Tensor] = {
        "model.embed_tokens.weight": model.embedding.weight,
        "model.norm.weight": model.norm.weight,
        "lm_head.weight": model.head.weight,
    }
    layers: Any = model.layers  # mypy takes what is in a ModuleList for any module
    for index, layer in enumerate(layers):
        attention, mlp, at = layer.attention, layer.mlp, f"model.layers.{index}"
        rows = attention.qkv_proj.weight.split((q, kv, kv))
        for name, part in zip(("q_proj", "k_proj", "v_proj"), rows, strict=True):
            named[f"{at}.self_attn.{name}.weight"] = part
        named[f"{at}.self_attn.o_proj.weight"] = attention.o_proj.weight
        halves = mlp.gate_up_proj.weight.chunk(2)
        for name, part in zip(("gate_proj", "up_proj"), halves, strict=True):
            named[f"{at}.mlp.{name}.weight"] = part
        named[f"{at}.mlp.down_proj.weight"] = mlp.down_proj.weight
        named[f"{at}.input_layernorm.weight"] = layer.attention_norm.weight
        named[f"{at}.post_attention_layernorm.weight"] = layer.mlp_norm.weight
    return {name: weight.detach() for name, weight in named.items()}


def _their_step(llama, past, tokens: Tensor, context: int) -> Arm:
    calls = count(1)

    @torch.inference_mode()
    def step(call: int) -> tuple[Tensor, Tensor]:
        logits = llama(tokens, past_key_values=past, use_cache=True).logits[:, -1]
        if next(calls) % SPARE == 0:
            _cut(past, context)
        return logits.argmax(-1), logits

    return step


def _cut(past, length: int) -> None:
    """Forget what was appended since: a static cache has no method for that."""
    for layer in past.layers:
        if hasattr(layer, "cumulative_length"):
            layer.cumulative_length.fill_(length)
        else:
            layer.crop(length - layer.get_seq_length())  # below 0: so many are removed
