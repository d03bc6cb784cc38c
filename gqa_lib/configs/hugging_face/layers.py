"""What each layer keeps: its kind, with the heads and sizes that its kind has in this file."""

from __future__ import annotations

from dataclasses import replace

from ..layer import Kind, LayerKV
from .indexers import indexers, is_deepseek_v4
from .keys import Keys
from .kinds import WINDOW_KEYS, layer_kinds
from .states import state_bytes

KV_HEADS = (
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "multi_query_group_num",
    "num_query_groups",
)
HEAD_DIMS = ("head_dim", "attention_head_dim", "kv_channels", "d_kv", "dim_head", "d_head")
_COMPRESSED = {
    "csa": ("compressed_sparse_attention", 4),
    "hca": ("heavily_compressed_attention", 128),
}
_ATTN_CONFIG = (
    *("attn_type", "kv_n_heads", "attn_pdrop", "attn_impl", "clip_qkv", "qk_ln", "qk_gn"),
    *("softmax_scale", "prefix_lm", "attn_uses_sequence_id", "alibi", "alibi_bias_max", "rope"),
    *("rope_theta", "rope_impl", "rope_dail_config", "rope_hf_config", "fused_qkv", "model_type"),
)
_PER_LAYER = {
    *("head_dim", "num_key_value_heads", "kv_lora_rank", "num_attention_heads"),
    *("qk_nope_head_dim", "v_head_dim", "q_lora_rank", "intermediate_size", "num_experts"),
}
_FALCON = ("falcon", "RefinedWeb", "RefinedWebModel")


def layers_of(keys: Keys, num_layers: int, num_heads: int, d_model: int) -> list[LayerKV]:
    """Return what each layer keeps.

    Args:
        keys: the text model's keys.
        num_layers: how many layers it has.
        num_heads: its query heads.
        d_model: its hidden size.

    Raises:
        ValueError: a key says something else than it should, or nothing where it must.
    """
    if keys.get("use_mla") is False:
        raise keys.wrong("use_mla", False, "true or left out: heads without latents are not known")
    keys.skip("use_mla")
    if keys.has("block_configs"):
        return _searched(keys, num_layers, num_heads, d_model)
    kinds = layer_kinds(keys, num_layers)
    heads = _kv_heads(keys, num_layers, num_heads)
    indexed = indexers(keys, num_layers)
    overrides = keys.keys_of("per_layer_config")
    for number, own in overrides.items():
        odd = set(own) - _PER_LAYER
        if odd:
            raise keys.wrong(f"per_layer_config[{number!r}]", own, f"without {min(odd)}")
    layers = []
    for number, kind in enumerate(kinds):
        attention, _, state = kind.partition("+")
        own = overrides.get(f"{number:02}") or overrides.get(str(number)) or {}
        layer = LayerKV("none")
        if attention not in ("state", "nothing"):
            layer = _attention(keys, attention, heads[number], num_heads, d_model, own)
            if (index := indexed[number]) is not None:
                layer = replace(layer, index_dim=index[0], index_topk=index[1])
        if "state" in (attention, state):
            layer = replace(layer, state_bytes=state_bytes(keys, d_model, num_heads))
        layers.append(layer)
    return _with_cross_attention(keys, _with_sharing(keys, layers))


def _attention(
    keys: Keys, kind: str, kv_heads: int, num_heads: int, d_model: int, own: dict
) -> LayerKV:
    """What a layer with attention keeps, without an indexer."""
    if keys.get("kv_lora_rank") is not None:
        return _latent(keys, kind, own)
    head_dim = own.get("head_dim") or _head_dim(keys, num_heads, d_model)
    v_dim = keys.size("v_head_dim") or head_dim
    window = None if kind in ("full", "cross") else _window(keys, kind)
    if kind in ("csa", "hca"):
        index = keys.size("index_head_dim") if kind == "csa" else None
        name, usual = _COMPRESSED[kind]
        ratio = keys.whole(keys.keys_of("compress_rates").get(name, usual), name, 1)
        return LayerKV(
            "compressed",
            1,
            head_dim,
            window=window,
            ratio=ratio,
            index_dim=index or 0,
            index_topk=keys.size("index_topk") if index else None,
        )
    if is_deepseek_v4(keys):  # its keys are its values, in the layers without entries too
        return LayerKV("window", 1, head_dim, window=window)
    if kind in ("window", "window+state"):
        usual = 8 if keys.family == "mimo_v2_flash" and kv_heads == 4 else kv_heads
        kv_heads = keys.size("swa_num_key_value_heads") or usual
        head_dim = keys.size("swa_head_dim") or head_dim
        v_dim = keys.size("swa_v_head_dim") or (v_dim if keys.get("v_head_dim") else head_dim)
    elif keys.family.startswith("gemma4") and not keys.has("per_layer_config"):
        v_dim = head_dim = keys.size("global_head_dim") or 512
        if keys.flag("attention_k_eq_v"):
            kv_heads = keys.size("num_global_key_value_heads") or kv_heads
    kv_heads = own.get("num_key_value_heads") or kv_heads
    if kind == "cross":
        return LayerKV("none", cross_elements=kv_heads * (head_dim + v_dim))
    named: Kind = "full" if window is None else "chunk" if kind == "chunk" else "window"
    return LayerKV(named, kv_heads, head_dim, own.get("head_dim") or v_dim, window=window)


def _latent(keys: Keys, kind: str, own: dict) -> LayerKV:
    rope_dim = keys.size("qk_rope_head_dim")
    rank = own.get("kv_lora_rank") or keys.size("kv_lora_rank")
    if rank is None or rope_dim is None or keys.size("qk_nope_head_dim") is None:
        missing = "qk_rope_head_dim" if rope_dim is None else "qk_nope_head_dim"
        raise ValueError(
            f"{keys.origin}: kv_lora_rank={rank} without {missing}: a latent is cached with its "
            "RoPE key, so one size alone says nothing. Give the model's whole config.json."
        )
    keys.skip("v_head_dim", "head_dim", *KV_HEADS)  # heads are made from the latent
    window = None if kind == "full" else _window(keys, kind)
    return LayerKV("latent", 1, rank + rope_dim, rope_dim=rope_dim, window=window)


def _head_dim(keys: Keys, num_heads: int, d_model: int) -> int:
    keys.skip("attention_hidden_size")
    wide = 2 if keys.family in ("zamba", "zamba2") else 1
    return keys.size(*HEAD_DIMS) or wide * d_model // num_heads


def _window(keys: Keys, kind: str) -> int:
    names = ("attention_chunk_size",) if kind == "chunk" else WINDOW_KEYS
    window = keys.size(*names)
    if keys.family == "modernbert-decoder":
        window = (keys.size("local_attention") or 2) // 2
    if window is None:
        raise ValueError(
            f"{keys.origin}: it has layers with a {kind} and does not say of how many tokens "
            f"({' or '.join(names)})."
        )
    return window


def _kv_heads(keys: Keys, num_layers: int, num_heads: int) -> list[int]:
    """KV heads that each layer really has; the flags of multi-query models overrule the count."""
    listed = keys.get("num_key_value_heads_per_layer", *KV_HEADS)
    if isinstance(listed, list):
        found = keys.sizes(num_layers, "num_key_value_heads_per_layer", *KV_HEADS, least=1)
        return found or []
    if keys.family in _FALCON:
        return [_of_falcon(keys, num_heads)] * num_layers
    nested = keys.keys_of("attn_config", _ATTN_CONFIG)  # DBRX and MPT
    if keys.family == "dbrx" and nested.get("kv_n_heads") is None:
        return [1] * num_layers  # as its class has it
    if nested.get("attn_type") == "multiquery_attention":
        return [1] * num_layers
    if (
        nested.get("attn_type") in ("multihead_attention", "multihead", None)
        and "attn_type" in nested
    ):
        return [num_heads] * num_layers
    if nested.get("kv_n_heads") is not None:
        return [keys.whole(nested["kv_n_heads"], "attn_config.kv_n_heads", 1)] * num_layers
    multi_query = keys.get("multi_query", "multi_query_attention")
    if multi_query is not None and not isinstance(multi_query, bool):
        raise keys.wrong("multi_query", multi_query, "true or false")
    counted = keys.agreed(*KV_HEADS)
    if keys.family in ("chatglm", "glm"):
        return [counted if counted and (multi_query is not False) else num_heads] * num_layers
    if keys.get("attention_head_type") == "multiquery":  # SantaCoder, as it was first published
        return [1] * num_layers
    if multi_query and not keys.has(*KV_HEADS):
        return [1] * num_layers  # GPT-BigCode
    if counted is None and not keys.known_family and not _says_heads_are_alike(keys):
        raise ValueError(
            f"{keys.origin}: it does not say how many KV heads there are, and a model of type "
            f"{keys.family!r} is not known here: they could be as many as query heads, or one. "
            "Add num_key_value_heads, or build a ModelConfig by hand."
        )
    return [counted or num_heads] * num_layers


def _says_heads_are_alike(keys: Keys) -> bool:
    """Whether a latent, or the list of another kind of layer, makes the count unneeded."""
    return keys.get("kv_lora_rank") is not None or keys.family in _OLD_MHA


# Without a class in transformers; their files have no count because each head has its own.
_OLD_MHA = (
    "baichuan",
    "qwen",
    "internlm",
    "krutrim",
    "aquila",
    "xverse",
    "phi-msft",
    "mixformer-sequential",
)


def _of_falcon(keys: Keys, num_heads: int) -> int:
    """A count in a file of Falcon-7B (71) is ignored by the model."""
    counted = keys.size("num_kv_heads", "n_head_kv")
    multi_query = keys.flag("multi_query", default=True)
    if keys.flag("new_decoder_architecture") or keys.has("n_head_kv"):
        return counted or num_heads
    return 1 if multi_query else num_heads


def _searched(keys: Keys, num_layers: int, num_heads: int, d_model: int) -> list[LayerKV]:
    """Nemotron-NAS: for each layer how many query heads share a KV head, or no attention at all."""
    head_dim = _head_dim(keys, num_heads, d_model)
    keys.skip(*KV_HEADS)
    layers = []
    for block in keys.per_layer(keys.get("block_configs"), num_layers, ("block_configs",)):
        attention = block.get("attention") or {}
        odd = [
            k
            for k in (
                "replace_with_linear",
                "sparsify",
                "window_length",
                "num_sink_tokens",
                "unshifted_sink",
            )
            if attention.get(k)
        ]
        if odd and not attention.get("no_op"):
            if odd[0] == "replace_with_linear":
                layers.append(LayerKV("none"))
                continue
            raise keys.wrong(f"block_configs' {odd[0]}", attention[odd[0]], "off")
        if attention.get("no_op"):
            layers.append(LayerKV("none"))
            continue
        group = keys.whole(attention.get("n_heads_in_group"), "n_heads_in_group", 1)
        if num_heads % group:
            raise keys.wrong("n_heads_in_group", group, f"a divisor of the {num_heads} query heads")
        layers.append(LayerKV("full", num_heads // group, head_dim, head_dim))
    return layers


def _with_sharing(keys: Keys, layers: list[LayerKV]) -> list[LayerKV]:
    """Layers that read an earlier layer's cache, and keep none."""
    if keys.flag("use_cla"):  # Hunyuan: the first of so many layers owns
        share = keys.size("cla_share_factor") or 1
        return [
            layer if i % share == 0 else replace(layer, shares=i - i % share)
            for i, layer in enumerate(layers)
        ]
    keys.skip("cla_share_factor")
    if keys.family == "phi4flash":
        owner = len(layers) // 2 + 1
        return [
            replace(layer, shares=owner) if i > owner and layer.kind != "none" else layer
            for i, layer in enumerate(layers)
        ]
    shared = keys.count("num_kv_shared_layers")
    if not shared:
        return layers
    if shared >= len(layers):
        raise keys.wrong("num_kv_shared_layers", shared, f"less than the {len(layers)} layers")
    owners = layers[: len(layers) - shared]
    newest = {layer: number for number, layer in enumerate(owners)}
    later = layers[len(owners) :]
    if any(layer not in newest for layer in later):
        raise keys.wrong("num_kv_shared_layers", shared, "layers of a kind that an earlier one has")
    return owners + [replace(layer, shares=newest[layer]) for layer in later]


def _with_cross_attention(keys: Keys, layers: list[LayerKV]) -> list[LayerKV]:
    """The decoder of an encoder-decoder keeps K and V of the encoder's output too."""
    if not keys.flag("is_encoder_decoder"):
        return layers
    return [replace(layer, cross_elements=layer.elements) for layer in layers]
