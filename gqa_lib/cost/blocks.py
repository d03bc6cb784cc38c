"""How an engine lays a model's layers out in blocks of one size; vLLM's rules, see `reserved`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from gqa_lib.configs import LayerKV, ModelConfig

from .bytes import Bytes, split_bytes


@dataclass(frozen=True)
class StoredLayer:
    """A layer as one rank stores it.

    Args:
        kind: "full", "window", "chunk" or "state".
        number: of the layer in the model.
        window: tokens of a window or chunk, else 0.
        shape: heads and sizes; layers of one kind and shape can share a table of blocks.
        token_bytes: of one token; of a state, all of it.
        block_tokens: tokens in a block, 0 for a state.
    """

    kind: str
    number: int
    window: int
    shape: tuple[int, ...]
    token_bytes: float
    block_tokens: int

    @property
    def page_bytes(self) -> float:
        """Bytes of one block."""
        return self.token_bytes * (self.block_tokens or 1)


def stored_layers(
    config: ModelConfig, bytes_per_element: Bytes, block_size: int, ranks: int
) -> list[StoredLayer]:
    """What one rank stores of each layer, a state as a layer of its own.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        block_size: tokens of a block before layers are made equal.
        ranks: ranks that the heads are divided over.

    Raises:
        ValueError: heads that cannot be divided so, or a layer whose layout is not known.
    """
    if config.num_heads % ranks:
        raise ValueError(
            f"{config.name}: num_heads={config.num_heads} cannot be divided over "
            f"tensor_parallel={ranks} ranks. Give a divisor of the heads."
        )
    k_bytes, v_bytes = split_bytes(bytes_per_element)
    stored = []
    for number, layer in enumerate(config.kv_layers):
        if layer.state_bytes:
            state = -(-layer.state_bytes // ranks)
            stored.append(StoredLayer("state", number, 0, (state,), state, 0))
        if layer.kind == "none" or layer.shares is not None:
            continue
        kind = "full" if layer.kind == "latent" else layer.kind
        if kind == "compressed" or (layer.window and (layer.index_dim or layer.kind == "latent")):
            raise ValueError(
                f"{config.name}, layer {number}: how an engine lays out "
                f"{'compressed entries' if kind == 'compressed' else 'a window of latents'} is not "
                "known here, so nothing is said about what it reserves. Use kv_cache_bytes."
            )
        heads, v_dim = _heads_per_rank(config, layer, ranks), stored_v_dim(layer)
        keys = heads * layer.k_dim + layer.index_dim
        row = keys * k_bytes + heads * v_dim * v_bytes
        shape = (heads, layer.k_dim, v_dim, layer.index_dim)
        stored.append(StoredLayer(kind, number, layer.window or 0, shape, row, block_size))
    return stored


def _heads_per_rank(config: ModelConfig, layer: LayerKV, ranks: int) -> int:
    """KV heads of a layer that each rank holds."""
    fewer, more = sorted((layer.num_kv_heads, ranks))
    if layer.kind != "latent" and more % fewer:
        raise ValueError(
            f"{config.name}: {layer.num_kv_heads} KV heads cannot be divided over, nor copied "
            f"equally to, tensor_parallel={ranks} ranks. Give a divisor or a multiple."
        )
    return heads_of_rank(layer.num_kv_heads, ranks)


def heads_of_rank(num_kv_heads: int, ranks: int) -> int:
    """Return how many KV heads a rank holds: an equal part, or a copy of one.

    Args:
        num_kv_heads: of a layer that keeps any.
        ranks: that they are divided over, or copied to.
    """
    return max(1, num_kv_heads // ranks)


def stored_v_dim(layer: LayerKV) -> int:
    """Elements of a value as an engine stores it, also where values are the keys.

    Args:
        layer: what it keeps.
    """
    return layer.v_dim or (0 if layer.kind == "latent" else layer.k_dim)


def windows_in_full(config: ModelConfig, stored: list[StoredLayer]) -> list[StoredLayer]:
    """The layers without a hybrid manager: windows next to full layers keep every token.

    Args:
        config: the model's shape.
        stored: its layers as one rank stores them.

    Raises:
        ValueError: they keep different tokens all the same.
    """
    if any(layer.kind == "full" for layer in stored):
        stored = [
            replace(layer, kind="full", window=0) if layer.kind in ("window", "chunk") else layer
            for layer in stored
        ]
    if not _alike(stored):
        raise ValueError(
            f"{config.name}: without the hybrid manager all layers must keep the same tokens, and "
            "states or several windows cannot. The engine refuses such a model, too."
        )
    return stored


def _alike(stored: list[StoredLayer]) -> bool:
    """Whether all layers keep the same tokens, so that one table of blocks serves them."""
    return len({(layer.kind, layer.window) for layer in stored}) == 1


def group_layers(
    config: ModelConfig, stored: list[StoredLayer], block_size: int
) -> list[list[StoredLayer]]:
    """The layers in groups of equally many, each of one kind, with blocks of one size in bytes.

    Args:
        config: the model's shape.
        stored: its layers as one rank stores them.
        block_size: tokens of a block before layers are made equal.

    Returns:
        The groups; one alone where all layers keep the same tokens.

    Raises:
        ValueError: blocks that cannot be made equal.
    """
    if _alike(stored):
        return [stored]
    attending = [layer for layer in stored if layer.kind != "state"]
    states = [layer.page_bytes for layer in stored if layer.kind == "state"]
    if states:
        step = block_size * max(layer.token_bytes for layer in attending)
        block_size *= max(1, ceil(max(states) / step))
    largest = max(layer.token_bytes for layer in attending)
    kinds: dict[StoredLayer, list[StoredLayer]] = {}
    for layer in stored:
        ratio = largest / layer.token_bytes
        if layer.kind == "state":
            layer = replace(layer, token_bytes=block_size * largest)
        elif abs(ratio - round(ratio)) > 1e-9:
            raise ValueError(
                f"{config.name}: a token takes {largest:g} bytes in one layer and "
                f"{layer.token_bytes:g} in another, which does not divide it. The engine cannot "
                "give their blocks one size either."
            )
        else:
            layer = replace(layer, block_tokens=block_size * round(ratio))
        kinds.setdefault(replace(layer, number=0), []).append(layer)
    counts = [len(members) for members in kinds.values()]
    size = max(counts) if max(counts) < 1.5 * min(counts) else min(counts)
    split = ((members, ceil(len(members) / size)) for members in kinds.values())
    return [members[i::parts] for members, parts in split for i in range(parts)]


def count_blocks(layer: StoredLayer, length: int, prefill_tokens: int, state_copies: int) -> int:
    """Blocks that one sequence takes of a layer.

    Args:
        layer: as it is stored.
        length: tokens of the sequence.
        prefill_tokens: most tokens of one step.
        state_copies: blocks that its state takes.
    """
    if layer.kind == "state":
        return state_copies
    if layer.kind == "window":
        tokens = min(layer.window - 1 + prefill_tokens, length)
        return ceil(tokens / layer.block_tokens) + 1
    if layer.kind == "chunk":
        length = min(layer.window + prefill_tokens, length)
    return ceil(length / layer.block_tokens)
