"""The families of models that load, and what the files of each say in their own way.

Defaults are those of the family's configuration class in Hugging Face transformers: what a file
leaves out, its class fills in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..variant import Norms, QKNorm

_ALL_ROPES = ("default", "linear", "dynamic", "llama3", "yarn")
_WINDOWS = ("use_sliding_window", "sliding_window", "layer_types")


@dataclass(frozen=True)
class Family:
    """What the files of one family say in their own way; as it stands, Llama's.

    Args:
        qkv_bias, out_bias, mlp_bias: whether those projections have a bias, or the key that says.
        qk_norm, norms: as in `Variant`.
        norm_eps: where the file has no rms_norm_eps.
        norm_offset: what is added to each norm's weight before it multiplies: 1 for Gemma.
        activation: where the file does not name one.
        activation_keys: what it is called; the first is the one that counts.
        theta: the base of the rotations, where the file has no rope_theta.
        local_theta: that of the layers with a window, where they have their own (Gemma 3).
        rope_types: the ways of scaling the rotations that its files may name.
        partial_rotary: whether its files may let a part of each head turn.
        without_rope: whether its files may name layers that do not turn (SmolLM3).
        window_keys: the keys that say which layers have a window, and of how many tokens.
        off: keys that must be null or false, with what holds where one is left out.
        scores_key: the key of the number whose square root divides the scores; None is head_dim.
        scaled_embedding: whether embedded tokens are multiplied by the root of d_model (Gemma).
        fused: whether a file has one tensor for queries, keys and values, and one for gate and up.
        tied: where the file has no tie_word_embeddings.
        unused: keys in its files that its class reads for nothing that loads here.
    """

    qkv_bias: bool | str = False
    out_bias: bool | str = False
    mlp_bias: bool | str = False
    qk_norm: QKNorm | None = None
    norms: Norms = "before"
    norm_eps: float = 1e-6
    norm_offset: float = 0.0
    activation: str = "silu"
    activation_keys: tuple[str, ...] = ("hidden_act",)
    theta: float = 10_000.0
    local_theta: float | None = None
    rope_types: tuple[str, ...] = _ALL_ROPES
    partial_rotary: bool = False
    without_rope: bool = False
    window_keys: tuple[str, ...] = ()
    off: tuple[tuple[str, float | None], ...] = ()
    scores_key: str | None = None
    scaled_embedding: bool = False
    fused: bool = False
    tied: bool = False
    unused: tuple[str, ...] = ()


_ATTENTION_BIAS = Family(qkv_bias="attention_bias", out_bias="attention_bias")
_GEMMA2 = replace(
    _ATTENTION_BIAS,
    norms="both",
    norm_offset=1.0,
    activation="gelu_pytorch_tanh",
    activation_keys=("hidden_activation", "hidden_act"),
    window_keys=("sliding_window", "layer_types"),
    off=(
        ("attn_logit_softcapping", 50.0),
        ("final_logit_softcapping", 30.0),
        ("use_bidirectional_attention", None),
    ),
    scores_key="query_pre_attn_scalar",
    scaled_embedding=True,
    tied=True,
)

FAMILIES: dict[str, Family] = {
    "llama": replace(_ATTENTION_BIAS, mlp_bias="mlp_bias"),
    "mistral": Family(window_keys=("sliding_window",)),
    "qwen2": Family(qkv_bias=True, window_keys=(*_WINDOWS, "max_window_layers")),
    "qwen3": replace(_ATTENTION_BIAS, qk_norm="head", window_keys=(*_WINDOWS, "max_window_layers")),
    "olmo2": replace(_ATTENTION_BIAS, qk_norm="projection", norms="after", norm_eps=1e-5),
    "smollm3": replace(
        _ATTENTION_BIAS,
        mlp_bias="mlp_bias",
        theta=2_000_000.0,
        without_rope=True,
        window_keys=_WINDOWS,
        tied=True,
        unused=("max_window_layers",),
    ),
    "phi3": Family(
        norm_eps=1e-5,
        rope_types=("default",),
        partial_rotary=True,
        window_keys=("sliding_window",),
        fused=True,
        unused=("original_max_position_embeddings",),  # longrope's
    ),
    "gemma2": _GEMMA2,
    "gemma3_text": replace(
        _GEMMA2,
        qk_norm="head",
        theta=1_000_000.0,
        local_theta=10_000.0,
        rope_types=("default", "linear"),
        window_keys=("sliding_window", "layer_types", "sliding_window_pattern"),
        off=tuple((name, None) for name, _ in _GEMMA2.off),
    ),
}

# Keys without effect on what a trained model computes, whatever they hold.
HARMLESS = frozenset(
    (
        *("architectures", "auto_map", "_name_or_path", "name_or_path", "transformers_version"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id"),
        *("use_cache", "cache_implementation", "pretraining_tp", "initializer_range"),
        *("attention_dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop"),
        *("return_dict", "output_hidden_states", "output_attentions", "attn_implementation"),
        *("_attn_implementation", "_attn_implementation_autoset", "id2label", "label2id"),
        *("num_labels", "problem_type", "is_llama_config", "transformers.js_config"),
        *("context_window_size", "prefill_chunk_size", "unsloth_fixed", "unsloth_version"),
        *("temperature", "top_k", "top_p", "do_sample", "max_length", "max_new_tokens"),
        "gqa_conversion",  # how its KV heads came to be fewer, by `convert_checkpoint`
        "gqa_uptraining",  # how it was trained on, by `uptrain`
    )
)
# Others that change nothing while they hold this.
NEUTRAL = {"chunk_size_feed_forward": 0, "full_attn_mod": 1, "interpolate_factor": 1}
