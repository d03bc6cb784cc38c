"""What a step computes, and how long that takes by two ceilings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isclose
from typing import NamedTuple

from gqa_lib.arguments import check_number
from gqa_lib.configs import ModelConfig
from gqa_lib.cost import Bytes, decode_step_work, state_bytes
from gqa_lib.cost.positive import require_hardware
from gqa_lib.hardware import Hardware


class Work(NamedTuple):
    """What a step computes.

    Args:
        num_decodes: sequences that decode a token each.
        decode_context: cached tokens of all of these, the new ones included.
        longest_decode: cached tokens of the longest of these.
        prefills: of each prompt, (new tokens, tokens cached before).
        num_chosen: sequences whose next token is chosen: rows of logits.
    """

    num_decodes: int
    decode_context: int
    longest_decode: int
    prefills: Sequence[tuple[int, int]]
    num_chosen: int


StepTime = Callable[[Work], float]  # seconds of a step


class RooflineStepTime:
    """The longer of a step's bytes and its FLOPs, each over a ceiling, and a constant.

    Bytes are the weights, without the input embedding, of which a step only looks up rows, the keys
    and values of every sequence, and its constant states, which are read and written. FLOPs are 2
    for each parameter and token, those of the output head only for tokens that are chosen, and
    4 x head_dim for each query head and pair of tokens; those of state-space layers are left out.

    MLA decodes in absorbed form, where every head scores against the latent and sums latents. The
    prompts' keys and values are expanded from it: 2 x (head_dim + rope_head_dim) FLOPs for a score
    and 2 x head_dim for a value, which is taken to be as large as a key without RoPE; what an
    earlier chunk has cached is expanded again.

    With ceilings off a data sheet it is a bound; give measured ones to predict.

    Args:
        config: the model's shape, with `weights`, `vocab_size`, and layers that read all tokens.
        hardware: the ceilings.
        bytes_per_element: bytes of one cached number.
        overhead_s: seconds of each step in which neither works.
        weight_bytes: bytes of one parameter; None for as many as of a cached number, 2 if those of
            K and of V differ.

    Raises:
        ValueError: the number of parameters is not known, or a layer reads less than all tokens.
    """

    def __init__(
        self,
        config: ModelConfig,
        hardware: Hardware,
        bytes_per_element: Bytes = 2,
        overhead_s: float = 0.0,
        weight_bytes: float | None = None,
    ):
        require_hardware(hardware)
        check_number(0, overhead_s=overhead_s)
        if config.weights is None or config.vocab_size is None:
            raise ValueError(
                f"{config.name}: weights={config.weights}, vocab_size={config.vocab_size}: a step "
                "reads all weights but the input embedding, which must be known apart. "
                "Give a config.json, which says both, or Weights(dense=..., embedding=...) and "
                "vocab_size."
            )
        self.kv_bytes_per_token, self._decode_flops = _per_cached_token(config, bytes_per_element)
        self._state_bytes = 2 * state_bytes(config)
        self._weights, self._head = config.weights, config.vocab_size * config.d_model
        self._dense, self._body = config.weights.dense, config.weights.active - self._head
        if weight_bytes is None:
            weight_bytes = 2 if isinstance(bytes_per_element, tuple) else bytes_per_element
        check_number(above=0, weight_bytes=weight_bytes)
        self._element = weight_bytes
        self._prompt_flops, self._expand_flops = _per_pair(config)
        self._bandwidth, self._flops = hardware.bandwidth_bytes_per_s, hardware.flops_per_s
        self._overhead_s = overhead_s

    def __call__(self, work: Work) -> float:
        """Return the seconds of a step.

        Args:
            work: what it computes.
        """
        tokens, context, sequences = work.num_decodes, work.decode_context, work.num_decodes
        attention = float(self._decode_flops * context)
        for new, before in work.prefills:
            tokens += new
            context += before + new
            sequences += 1
            pairs = new * (before + (new + 1) / 2)  # of a query's token and a key's
            attention += self._prompt_flops * pairs + self._expand_flops * before
        touched = self._weights.touched(tokens) if self._weights.num_experts else self._dense
        read = touched * self._element + context * self.kv_bytes_per_token
        read += sequences * self._state_bytes
        multiplied = self._body * tokens + self._head * work.num_chosen
        flops = 2 * multiplied + attention
        return max(read / self._bandwidth, flops / self._flops) + self._overhead_s


def _per_cached_token(config: ModelConfig, bytes_per_element: Bytes) -> tuple[float, float]:
    """Bytes and FLOPs of decoding's attention for each cached token."""

    def work(tokens: int) -> tuple[float, float]:
        flops, moved = decode_step_work(
            config, 1, tokens, bytes_per_element, 0, active_parameters=0
        )
        return moved - 2 * state_bytes(config), flops

    most = config.max_context or 1 << 20
    each = work(1)
    if any(not isclose(many, most * one) for many, one in zip(work(most), each, strict=True)):
        raise ValueError(
            f"{config.name} has layers that read less than all of {most} tokens (a window, or an "
            "indexer that chooses), so that what a step reads is not a multiple of its context. "
            "Use gqa_lib.cost.decode_step_time for one length, or a measured table of step times."
        )
    return each


def _per_pair(config: ModelConfig) -> tuple[float, float]:
    """FLOPs of a prompt's attention for each pair of tokens, and of expanding a cached token."""
    pair = expanded = 0
    for layer in config.kv_layers:
        if layer.kind != "latent":
            pair += 2 * (layer.k_dim + layer.value_dim)
            continue
        pair += 2 * (2 * config.head_dim + layer.rope_dim)
        expanded += 2 * (layer.k_dim - layer.rope_dim) * 2 * config.head_dim
    return config.num_heads * pair, config.num_heads * expanded
