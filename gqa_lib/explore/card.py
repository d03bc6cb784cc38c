"""What one model keeps, in words and numbers: its layers by kind, its bytes by context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gqa_lib import cost
from gqa_lib.configs import LayerKV, ModelConfig
from gqa_lib.cost import Bytes

from .units import size

CONTEXTS = (1024, 8192, 32_768, 131_072, 1_048_576)


def kind_of(config: ModelConfig) -> str:
    """Return 'MHA', 'GQA', 'MQA' or 'MLA', and 'hybrid' where layers keep different things.

    Args:
        config: the model's shape.
    """
    kept = {(one.kind, one.elements, one.window) for one in config.kv_layers}
    return config.attention_type + (" hybrid" if len(kept) > 1 else "")


def layers_in_words(config: ModelConfig) -> str:
    """Return how many layers of which kind there are, in the order in which they first come.

    Args:
        config: the model's shape.
    """
    counted = Counter(_words(layer) for layer in config.kv_layers)
    return ", ".join(f"{number} {words}" for words, number in counted.items())


def _words(layer: LayerKV) -> str:
    newest, heads = f"of the newest {layer.window or 0:,}", f"{layer.num_kv_heads} x {layer.k_dim}"
    if layer.v_dim not in (layer.k_dim, 0):
        heads += f"/{layer.v_dim}"
    words = {
        "full": f"full ({heads})",
        "window": f"{newest} ({heads})",
        "chunk": f"in chunks of {layer.window or 0:,} ({heads})",
        "compressed": f"{newest} and an entry per {layer.ratio} ({heads})",
        "latent": f"latent ({layer.k_dim})",
        "none": "linear or state-space" if layer.state_bytes else "without a cache",
    }[layer.kind]
    if layer.kind == "none" and layer.cross_elements:
        words = "on an image or encoder alone"
    elif layer.shares is not None:
        words += ", sharing"
    elif layer.kind != "none" and layer.state_bytes:
        words += " beside a state"
    return words + (f", index {layer.index_dim}" if layer.index_dim else "")


def card(
    config: ModelConfig,
    bytes_per_element: Bytes = 2,
    contexts: Iterable[int] = CONTEXTS,
    *,
    ranks: int = 1,
) -> list[tuple[str, str]]:
    """Return what there is to say of a model, as names and texts.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        contexts: lengths of a sequence, in tokens.
        ranks: that the heads are divided over; of more than one, what each holds is said too.

    Raises:
        ValueError: heads cannot be divided so.
    """
    longest, part = config.max_context, cost.rank_config(config, ranks)
    rows = [
        ("model", config.name),
        ("kind", f"{kind_of(config)}, {config.num_heads} query heads, d_model {config.d_model:,}"),
        (f"{config.num_layers} layers", layers_in_words(config)),
        ("weights", _weights(config) + _each(part.weight_bytes, ranks)),
        ("longest context", f"{longest:,} tokens" if longest else "no limit, or not published"),
    ]
    if state := cost.state_bytes(config):
        rows.append(("constant state", f"{size(state)} per sequence, beside the cache"))
    if each := cost.cross_cache_bytes(config, [1], bytes_per_element):
        rows.append(("cross-attention", f"{size(each)} per token of the encoder or image"))
    for length in contexts:
        held = cost.kv_cache_bytes(config, [length], bytes_per_element)
        beyond = "  (beyond its longest)" if longest and length > longest else ""
        text = f"{size(held)}, {size(held / length)} per token{beyond}"
        text += _each(cost.kv_cache_bytes(part, [length], bytes_per_element), ranks)
        rows.append((f"{length:,} tokens", text))
    if ranks > 1:
        rows.append((f"{ranks} ranks", _on_ranks(config, ranks)))
    rows.append(("source", config.source + (f" ({config.checked})" if config.checked else "")))
    return rows + ([("notes", config.notes)] if config.notes else [])


def _each(rank_bytes: float | None, ranks: int) -> str:
    return f"; {size(rank_bytes)} in each of {ranks} ranks" if rank_bytes and ranks > 1 else ""


def _on_ranks(config: ModelConfig, ranks: int) -> str:
    sent = cost.tensor_parallel_bytes(config, ranks)
    return (
        f"{cost.sharing(config, ranks)} Each rank sends {size(sent)} per token and layer "
        "(bfloat16, two all-reduces in a ring)."
    )


def _weights(config: ModelConfig) -> str:
    if config.weights is None:
        known = config.weight_bytes and f"{config.weight_bytes / 2e9:,.4g} billion parameters"
        return known or "not known: no time and no capacity can be stated"
    total, active = config.weights.total / 1e9, config.weights.active / 1e9
    text = f"{total:,.4g} billion parameters"
    return text + (f", {active:,.4g} active per token" if config.weights.num_experts else "")
