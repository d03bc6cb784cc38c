"""How many parameters a model has, worked out exactly from its config, or not at all.

Counted are those of the text model: layers that predict further tokens (MTP), pictures' and sounds'
encoders, and constants that are stored next to the parameters are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ..layer import LayerKV
from ..weights import Weights
from .encoders import T5, t5_weights
from .families import FAMILIES
from .files import resource
from .keys import Keys
from .mixers import Model, mixer
from .parts import Experts, Family, Switch
from .sparse import sparse_layers

_LAYER_KEYS = {"head_dim", "num_key_value_heads"}  # what `layers` knows of a single layer
_HEADS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def weights_of(
    keys: Keys, layers: Sequence[LayerKV], num_heads: int, d_model: int
) -> Weights | None:
    """Return a model's parameters, None where its family, or a key of it, is not known exactly.

    Args:
        keys: the text model's keys; asking them here makes none of them understood elsewhere.
        layers: what each layer keeps.
        num_heads: its query heads.
        d_model: its hidden size.
    """
    family = Family() if keys.family in T5 else FAMILIES.get(keys.family)
    if family is None:
        return None
    keys = keys.afresh()
    count = t5_weights if keys.family in T5 else _count
    try:
        _refuse_what_is_built_otherwise(keys, family, d_model)
        weights = count(Model(keys, family, num_heads, d_model), layers)
    except ValueError:
        return None
    return None if any(name not in _weightless() for name in keys.not_asked_for()) else weights


@cache
def _weightless() -> frozenset[str]:
    """Keys that leave the number of parameters alone, or that `layers` has told already."""
    lines = (line.partition("#")[0] for line in resource("weightless.txt").splitlines())
    return frozenset(word for line in lines for word in line.split())


def _refuse_what_is_built_otherwise(keys: Keys, family: Family, d_model: int) -> None:
    if family.needs and not keys.has(*family.needs):
        raise keys.wrong(family.needs[0], None, "said")
    for name, wanted in family.only.items():
        value, wanted = keys.get(name), d_model if wanted == "d_model" else wanted
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        if value is not None and value not in allowed:
            raise keys.wrong(name, value, str(wanted))
    names = keys.get("architectures") or []
    if names and not any(str(name).endswith(_HEADS) for name in names):
        raise keys.wrong("architectures", names, "a model with an output head")
    own = keys.keys_of("per_layer_config").values()
    if not all(isinstance(one, dict) and set(one) <= _LAYER_KEYS for one in own):
        raise keys.wrong("per_layer_config", list(own), "head_dim and num_key_value_heads alone")
    inner = keys.keys_of("attn_config")
    if keys.family == "mpt" and (inner.get("alibi") is not True or inner.get("qk_ln")):
        raise keys.wrong("attn_config", dict(inner), "ALiBi without norms")


def _count(model: Model, layers: Sequence[LayerKV]) -> Weights:
    keys, family, d = model.keys, model.family, model.d_model
    vocab = model.need("vocab_size", "padded_vocab_size")
    embedding = 0 if _tied(model) else vocab * d
    if family.positions:
        embedding += (model.need(*family.positions) + family.more_positions) * d
    dense = vocab * d + family.final_norms * family.norm_size * d
    dense += vocab if model.on(family.head_bias) else 0
    rule = family.experts.where if family.experts else ""
    sparse = sparse_layers(keys, rule, len(layers)) if rule else [False] * len(layers)
    for layer, routed in zip(layers, sparse, strict=True):
        dense += mixer(model, layer) + _norms(model) * family.norm_size * d
        if not family.one_block or (layer.kind == "none" and not layer.state_bytes):
            dense += _dense_part(model, layer, routed)
    if family.layer_inputs:
        looked_up, read = _layer_inputs(model, len(layers))
        embedding, dense = embedding + looked_up, dense + read
    if not family.experts or not any(sparse):
        return Weights(dense, embedding)
    expert, number, chosen = _routed(model, family.experts)
    return Weights(dense, embedding, expert, number, chosen, sum(sparse) if number else 0)


def _tied(model: Model) -> bool:
    """Whether the output head is the input embedding; a null says that it is not known."""
    keys = model.keys
    said = keys.has("tie_word_embeddings")
    if not said and (model.family.must_say_tied or keys.is_null("tie_word_embeddings")):
        raise keys.wrong("tie_word_embeddings", None, "true or false")
    return keys.flag("tie_word_embeddings")


def _norms(model: Model) -> int:
    """Norms of a layer."""
    keys, rule = model.keys, model.family.norms
    if isinstance(rule, int):
        return rule
    if rule == "stablelm":
        return 1 if keys.flag("use_parallel_residual") else 2
    parallel = keys.flag("parallel_attn")
    if not keys.flag("new_decoder_architecture"):
        return 1 if parallel else 2
    return (keys.size("num_ln_in_parallel_attn") or 2) + (not parallel)


def _ffn(model: Model, width: int, d: int, bias: Switch) -> int:
    """Parameters of a feed-forward block of that width."""
    matrices = 2 if model.family.gated else 1
    return matrices * model.linear(d, width, bias) + model.linear(width, d, bias)


def _block(model: Model, layer: LayerKV) -> int:
    """Parameters of a layer's own feed-forward block."""
    names, d = model.family.width, model.d_model
    width = model.keys.size(*names) if names else None
    width = width or model.family.times * d or model.need(*names)
    if layer.shares is not None and model.keys.flag("use_double_wide_mlp"):
        width *= 2
    return _ffn(model, width, d, model.family.ffn_bias)


def _dense_part(model: Model, layer: LayerKV, routed: bool) -> int:
    """Of a layer's feed-forward block, what every token passes."""
    experts, d = model.family.experts, model.d_model
    if not routed or experts is None:
        return _block(model, layer)
    keys, (_, number, _) = _inside(model, experts), _routed(model, experts)
    count = 0
    if number:
        count += (
            number * d + (number if experts.bias else 0) + (number if experts.correction else 0)
        )
    if experts.beside:  # a scale of each channel and expert, three norms, and the block itself
        count += d + number + 3 * d + _block(model, layer)
    latent = keys.size(experts.latent) if experts.latent else None
    if latent:
        count += 2 * d * latent
    if experts.shared:
        count += _shared(model, keys.count(*experts.shared) * (keys.size(*experts.width) or 0))
    if experts.shared_width:
        count += _shared(model, keys.count(*experts.shared_width))
        count += d if experts.shared_gate else 0
    return count


def _shared(model: Model, width: int) -> int:
    return _ffn(model, width, model.d_model, model.family.ffn_bias) if width else 0


def _routed(model: Model, experts: Experts) -> tuple[int, int, int]:
    """Parameters of one routed expert, how many there are, and how many a token passes."""
    keys = _inside(model, experts)
    if keys.get(*experts.count) == 0:
        return 0, 0, 0
    number = keys.size(*experts.count)
    chosen = keys.size(*experts.chosen)
    width, d = keys.size(*experts.width), model.d_model
    if number is None or chosen is None or width is None:
        raise keys.wrong(experts.count[0], number, "said, with the width and choice of experts")
    latent = keys.size(experts.latent) if experts.latent else None
    bias = experts.bias or model.family.ffn_bias
    return _ffn(model, width, latent or d, bias), number, chosen


def _inside(model: Model, experts: Experts) -> Keys:
    if not experts.inside:
        return model.keys
    return Keys(model.keys.keys_of(experts.inside), model.keys.origin)


def _layer_inputs(model: Model, num_layers: int) -> tuple[int, int]:
    """Gemma 4: what is looked up, and what is read, of an embedding per layer."""
    keys, d = model.keys, model.d_model
    size = keys.count("hidden_size_per_layer_input")
    if not size:
        return 0, 0
    looked_up = model.need("vocab_size_per_layer_input") * num_layers * size
    read = num_layers * size * d + size + num_layers * (2 * size * d + d)
    return looked_up, read
