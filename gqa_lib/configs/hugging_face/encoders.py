"""Parameters of models with an encoder: T5."""

from __future__ import annotations

from collections.abc import Sequence

from ..layer import LayerKV
from ..weights import Weights
from .mixers import Model

T5 = ("t5",)


def t5_weights(model: Model, layers: Sequence[LayerKV]) -> Weights:
    """Return T5's parameters; what only the encoder's pass reads is counted with the embedding.

    Args:
        model: the keys, heads and hidden size.
        layers: what each layer of the decoder keeps.

    Raises:
        ValueError: a size is missing.
    """
    keys, d, width = model.keys, model.d_model, model.need("d_ff")
    if keys.has("num_hidden_layers"):
        raise keys.wrong("num_hidden_layers", keys.get("num_hidden_layers"), "said as num_layers")
    act = keys.get("feed_forward_proj") or "relu"
    matrices = 3 if str(act).startswith("gated") else 2
    projection = d * model.num_heads * layers[0].k_dim
    block = matrices * d * width + d
    attention = 4 * projection + d
    biases = model.need("relative_attention_num_buckets") * model.num_heads
    encoder = model.need("num_layers") * (attention + block) + biases + d
    cross = len(layers) * 2 * projection  # keys and values of the encoder's output, made once
    decoder = len(layers) * (2 * attention + block) + biases + d - cross
    table = model.need("vocab_size") * d
    embedding = 0 if keys.flag("tie_word_embeddings", default=True) else table
    return Weights(decoder + table, embedding + encoder + cross)
