"""What a step computes, and how long that takes by two ceilings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gqa_lib.arguments import check_number
from gqa_lib.configs import ModelConfig
from gqa_lib.cost import Bytes, kv_cache_bytes
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

    Bytes are the weights, without the input embedding, of which a step only looks up rows, and the
    keys and values of every sequence. FLOPs are 2 for each parameter and token, those of the output
    head only for tokens that are chosen, and 4 x head_dim for each query head and pair of tokens.
    With ceilings off a data sheet it is a bound; give measured ones to predict.

    Args:
        config: the model's shape, with `weights`, `vocab_size`, and layers that keep all tokens.
        hardware: the ceilings.
        bytes_per_element: bytes of one cached number.
        overhead_s: seconds of each step in which neither works.
        weight_bytes: bytes of one parameter; None for as many as of a cached number, 2 if those of
            K and of V differ.

    Raises:
        ValueError: the number of parameters is not known, or a layer keeps less than all tokens.
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
        per_token = kv_cache_bytes(config, [1], bytes_per_element)
        if kv_cache_bytes(config, [1 << 20], bytes_per_element) != per_token * (1 << 20):
            raise ValueError(
                f"{config.name} has layers that keep less than all tokens, so that what a step "
                "reads is not a multiple of its context. Use gqa_lib.cost.decode_step_time for "
                "one length, or a measured table of step times."
            )
        self.kv_bytes_per_token = per_token
        self._weights, self._head = config.weights, config.vocab_size * config.d_model
        self._dense, self._body = config.weights.dense, config.weights.active - self._head
        if weight_bytes is None:
            weight_bytes = 2 if isinstance(bytes_per_element, tuple) else bytes_per_element
        check_number(above=0, weight_bytes=weight_bytes)
        self._element = weight_bytes
        pair = sum(2 * (layer.k_dim + layer.value_dim) for layer in config.kv_layers)
        self._pair_flops = config.num_heads * pair
        self._bandwidth, self._flops = hardware.bandwidth_bytes_per_s, hardware.flops_per_s
        self._overhead_s = overhead_s

    def __call__(self, work: Work) -> float:
        """Return the seconds of a step.

        Args:
            work: what it computes.
        """
        tokens, context = work.num_decodes, work.decode_context
        pairs = float(context)  # of a query's token and a key's
        for new, before in work.prefills:
            tokens += new
            context += before + new
            pairs += new * (before + (new + 1) / 2)
        touched = self._weights.touched(tokens) if self._weights.num_experts else self._dense
        read = touched * self._element + context * self.kv_bytes_per_token
        multiplied = self._body * tokens + self._head * work.num_chosen
        flops = 2 * multiplied + self._pair_flops * pairs
        return max(read / self._bandwidth, flops / self._flops) + self._overhead_s
