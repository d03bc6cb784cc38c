"""What a decoder does otherwise than Llama."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gqa_lib.attention import Rope

Norms = Literal["before", "after", "both"]
QKNorm = Literal["head", "projection"]
Activation = Literal["silu", "gelu_tanh"]


@dataclass(frozen=True)
class Variant:
    """What a decoder does otherwise than Llama; as it stands, nothing.

    Args:
        rope: how queries and keys are turned by their positions: one `Rope` for all layers, or one
            for each, None for a layer that does not turn them (NoPE); None alone is
            Rope(head_dim). Layers that turn alike should share one: it is worked out once for them.
        qkv_bias: whether the projections to queries, keys and values have one (Qwen2).
        out_bias: whether the projection from the heads back to d_model has one.
        mlp_bias: whether the feed-forward block's projections have one.
        qk_norm: how queries and keys are normalised before they are turned: each "head" (Qwen3,
            Gemma 3), or all heads of the "projection" together (OLMo 2); None is not at all.
        norms: whether a block's input is normalised "before" it (Llama), its output "after" it
            (OLMo 2), or "both" (Gemma).
        norm_eps: what every norm adds to the mean square.
        activation: of the feed-forward block's gate.
        embedding_scale: what embedded tokens are multiplied by (Gemma).
        tied: whether the output head is the input embedding.

    Raises:
        ValueError: qk_norm, norms or activation is none of those, norm_eps or embedding_scale is
            not a number above 0, or rope is something else.

    Source: Touvron et al. 2023 (arXiv 2302.13971), section 2.2, for what Llama does.
    """

    rope: Rope | Sequence[Rope | None] | None = None
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: QKNorm | None = None
    norms: Norms = "before"
    norm_eps: float = 1e-5
    activation: Activation = "silu"
    embedding_scale: float = 1.0
    tied: bool = False

    def __post_init__(self):
        for field, value, known in (
            ("qk_norm", self.qk_norm, (None, *get_args(QKNorm))),
            ("norms", self.norms, get_args(Norms)),
            ("activation", self.activation, get_args(Activation)),
        ):
            if value not in known:
                raise ValueError(
                    f"{field}={value!r} is nothing that a layer does. "
                    f"Choose from {', '.join(map(str, known))}."
                )
        for field, number in (
            ("norm_eps", self.norm_eps),
            ("embedding_scale", self.embedding_scale),
        ):
            if isinstance(number, bool | str) or not 0 < (number or 0) < float("inf"):
                raise ValueError(
                    f"{field}={number!r}: what a layer computes would not be numbers, or would all "
                    "be 0. Give a number above 0."
                )
        if isinstance(self.rope, str) or not isinstance(self.rope, Rope | Sequence | None):
            raise ValueError(
                f"rope={self.rope!r} turns nothing. Give a Rope for all layers, a list with one or "
                "None for each, or None for Rope(head_dim)."
            )
