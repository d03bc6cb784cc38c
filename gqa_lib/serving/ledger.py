"""Where a device's memory goes while it serves a model: weights, cache, activations, reserve.

    card = datasheet("RTX 4090").memory_bytes
    budget = ledger(load_model("Llama-3.1-8B"), card, activation_bytes=1.24e9)
    print(budget)

All of it is arithmetic on sizes; what activations take has to be measured. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gqa_lib.arguments import check_number, check_whole
from gqa_lib.configs import ModelConfig
from gqa_lib.cost import Bytes, kv_bytes_per_token, kv_memory, reserved_bytes, sharing
from gqa_lib.cost.memory import Engine
from gqa_lib.cost.positive import require_model

from .concurrency import Concurrency, concurrency, safe_concurrency

__all__ = [
    "Concurrency",
    "Ledger",
    "at_num_kv_heads",
    "concurrency",
    "ledger",
    "safe_concurrency",
]

FRACTION_NAMES = {
    "vllm": "gpu_memory_utilization",
    "tensorrt-llm": "free_gpu_memory_fraction",
    "sglang": "mem_fraction_static",
}


@dataclass(frozen=True)
class Ledger:
    """The memory of one tensor-parallel rank; the four parts add up to `memory_bytes`.

    Args:
        engine: whose rules these are.
        memory_fraction: of the engine, by its own meaning.
        tensor_parallel: ranks; each holds the same tokens, of its own heads.
        memory_bytes: of the device.
        weight_bytes: what the rank holds of the weights.
        activation_bytes: what activations, graphs and the like take.
        reserve_bytes: what the fraction leaves unused.
        kv_bytes: left for the cache.
        block_bytes: of one block, all layers of a group.
        block_size: tokens of a block.
        num_blocks: whole blocks in `kv_bytes`.
        num_groups: tables of blocks that a sequence has; 1 where all layers keep the same tokens.
        ideal_tokens: tokens in `kv_bytes` of all ranks without blocks or copies: what a formula
            for the cache alone promises.
        sharing: what more ranks would do to the cache of each, in a sentence.
    """

    engine: str
    memory_fraction: float
    tensor_parallel: int
    memory_bytes: float
    weight_bytes: float
    activation_bytes: float
    reserve_bytes: float
    kv_bytes: float
    block_bytes: float
    block_size: int
    num_blocks: int
    num_groups: int
    ideal_tokens: int
    sharing: str

    @property
    def tokens(self) -> int:
        """Tokens of the blocks; where sequences have several tables, as vLLM reports it."""
        return self.num_blocks // self.num_groups * self.block_size

    @property
    def usable_blocks(self) -> int:
        """Blocks that sequences can have: vLLM keeps one empty. The simulator's `num_blocks`."""
        return self.num_blocks - (self.engine == "vllm")

    def __str__(self) -> str:
        name = FRACTION_NAMES[self.engine]
        rank = f", each of {self.tensor_parallel} ranks" if self.tensor_parallel > 1 else ""
        lines = [f"{self.engine}, {name}={self.memory_fraction:g}{rank}"]
        for part in ("memory", "weight", "activation", "reserve", "kv"):
            held = getattr(self, f"{part}_bytes")
            share = f"{held / self.memory_bytes:7.1%}"
            lines.append(f"{part + '_bytes':>16} {held / 1e9:9.2f} GB {share}")
        lines.append(
            f"{self.num_blocks:,} blocks of {self.block_size} tokens, {self.block_bytes:,.0f} bytes"
            f" each: {self.tokens:,} tokens reserved, {self.ideal_tokens:,} ideally"
        )
        if self.tensor_parallel > 1:
            lines.append(self.sharing)
        return "\n".join(lines)


def ledger(
    config: ModelConfig,
    memory_bytes: float,
    *,
    engine: Engine = "vllm",
    memory_fraction: float = 0.9,
    block_size: int = 16,
    bytes_per_element: Bytes = 2,
    weight_bytes: float | None = None,
    activation_bytes: float = 0,
    tensor_parallel: int = 1,
) -> Ledger:
    """Divide a device's memory as an engine does, and count the blocks that are left.

    Of the three engines, whose fractions mean three things, see `gqa_lib.cost.kv_memory`. Blocks
    are laid out by vLLM's rules for all of them, see `gqa_lib.cost.reserved_bytes`. Weights are
    divided evenly over ranks, but for the projections of KV heads that several ranks hold; what
    MLA's ranks hold twice is not known here and not counted.

    Args:
        config: the model's shape.
        memory_bytes: of one device; for SGLang, what of it is free before loading.
        engine: "vllm", "tensorrt-llm" or "sglang".
        memory_fraction: as the engine defines it.
        block_size: tokens of a block.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        weight_bytes: of the whole model; None is `config.weight_bytes`, 2 for each parameter.
        activation_bytes: peak of activations, graphs and the like in one rank. 0 is optimistic:
            vLLM 0.19 with Llama-3.1-8B, 2,048 tokens a step and 256 sequences on an RTX 4090 took
            1.24e9, by its number of blocks.
        tensor_parallel: ranks.

    Returns:
        The Ledger of one rank.

    Raises:
        ValueError: the weights are not known, no block fits, activations do not fit into what
            SGLang's fraction leaves, or a size is out of range.

    Source: derived; see `gqa_lib.cost.kv_memory` and `gqa_lib.cost.reserved_bytes`.
    """
    require_model(config)
    check_whole(tensor_parallel=tensor_parallel)
    block = reserved_bytes(
        config, [1], bytes_per_element, block_size=block_size, tensor_parallel=tensor_parallel
    )
    weights = _rank_weights(config, weight_bytes, tensor_parallel)
    kv_bytes = kv_memory(memory_bytes, weights, memory_fraction, engine, activation_bytes)
    groups = [group.block_tokens for group in block.groups if group.block_tokens]
    ideal = tensor_parallel * kv_bytes // kv_bytes_per_token(config, bytes_per_element)
    result = Ledger(
        engine=engine,
        memory_fraction=memory_fraction,
        tensor_parallel=tensor_parallel,
        memory_bytes=memory_bytes,
        weight_bytes=weights,
        activation_bytes=activation_bytes,
        reserve_bytes=memory_bytes - weights - activation_bytes - kv_bytes,
        kv_bytes=kv_bytes,
        block_bytes=block.block_bytes,
        block_size=min(groups, default=block_size),
        num_blocks=int(kv_bytes // block.block_bytes),
        num_groups=len(block.groups),
        ideal_tokens=int(ideal),
        sharing=sharing(config, tensor_parallel),
    )
    _check_fits(config, result)
    return result


def at_num_kv_heads(config: ModelConfig, num_kv_heads: int) -> ModelConfig:
    """The same model with so many KV heads, and the weights that its projections then have.

    `ModelConfig.with_kv_heads` keeps the number of weights, for comparisons at equal size; here the
    projections of K and V grow or shrink with the heads, d_model x head_dim parameters for each
    head and matrix, without biases. Quality is another matter.

    Args:
        config: the model's shape.
        num_kv_heads: KV heads of each layer, a divisor of num_heads.

    Returns:
        The ModelConfig.

    Raises:
        ValueError: num_kv_heads does not divide num_heads, or the model caches latents.

    Source: derived; `gqa_lib.cost.kv_projection_params` counts the same for one layer.
    """
    require_model(config)
    if num_kv_heads == config.num_kv_heads:
        return config
    if any(layer.kind == "latent" for layer in config.kv_layers):
        raise ValueError(
            f"{config.name} caches a latent, not heads: with num_kv_heads={num_kv_heads} it would "
            "be another model, whose weights are not known. Compare it with a model that has them."
        )
    changed = config.with_kv_heads(num_kv_heads)
    more = _projected(changed) - _projected(config)
    if config.weights is not None:
        weights = replace(config.weights, dense=config.weights.dense + more)
        return replace(changed, weights=weights, weight_bytes=2 * weights.total)
    if config.weight_bytes is not None:
        return replace(changed, weight_bytes=config.weight_bytes + 2 * more)
    return changed


def _projected(config: ModelConfig) -> int:
    """Parameters of all projections of K and V."""
    return config.d_model * sum(
        (0 if layer.shares is not None else layer.elements) + layer.cross_elements
        for layer in config.kv_layers
    )


def _rank_weights(config: ModelConfig, weight_bytes: float | None, ranks: int) -> float:
    """Bytes of the weights in each rank."""
    if weight_bytes is None:
        if config.weight_bytes is None:
            raise ValueError(
                f"{config.name}: weight_bytes is not known, so neither is what is left for the "
                "cache. In Python, give weight_bytes, such as the size of the checkpoint's files; "
                "the commands have no flag for it: give a model whose parameters can be counted, a "
                "name of `gqa models` or a config.json of such a one."
            )
        weight_bytes = config.weight_bytes
    check_number(above=0, weight_bytes=weight_bytes)
    if config.num_kv_heads >= ranks or config.kv_lora_rank is not None:
        return weight_bytes / ranks
    copies = ranks / config.num_kv_heads - 1
    each = weight_bytes / (config.weight_bytes / 2) if config.weight_bytes else 2  # a parameter's
    return (weight_bytes + copies * _projected(config) * each) / ranks


def _check_fits(config: ModelConfig, held: Ledger) -> None:
    """Refuse a ledger without a block, or with activations over what they are left."""
    name, fraction = FRACTION_NAMES[held.engine], held.memory_fraction
    each = "each rank" if held.tensor_parallel > 1 else "the device"
    parts = (
        f"{config.name}: {held.weight_bytes / 1e9:.2f} GB of weights and "
        f"{held.activation_bytes / 1e9:.2f} GB of activations in {each}, of "
        f"{held.memory_bytes / 1e9:.2f} GB with {name}={fraction:g}"
    )
    remedy = (
        f"Give a device with more memory, more ranks than tensor_parallel={held.tensor_parallel}, "
        "weights of fewer bits (weight_bytes; of a command, --bytes-per-parameter)"
    )
    if held.usable_blocks < 1:
        blocks = 2 * held.block_bytes  # one may have to stay empty
        least = {
            "vllm": (held.weight_bytes + held.activation_bytes + blocks) / fraction,
            "tensorrt-llm": held.weight_bytes + held.activation_bytes + blocks / fraction,
            "sglang": (held.weight_bytes + blocks) / fraction,
        }[held.engine]
        raise ValueError(
            f"{parts}, leave no block for a sequence's cache, so that nothing could be served: "
            f"that takes {least / 1e9:.2f} GB of memory or more. {remedy}, or a larger {name}."
        )
    if held.reserve_bytes < 0:
        raise ValueError(
            f"{parts}: weights and cache leave {(1 - fraction) * held.memory_bytes / 1e9:.2f} GB, "
            "into which the activations do not fit, so that the engine would stop. "
            f"{remedy}, or a smaller {name}."
        )
