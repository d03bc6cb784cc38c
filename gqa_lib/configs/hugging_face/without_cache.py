"""Models that keep no KV cache, and are told so: encoders, and models without attention."""

from __future__ import annotations

from collections.abc import Mapping

from .keys import Keys

_PARTS = ("MaskedLM", "EncoderModel", "Image", "Vision", "EncoderForC")
_FAMILIES = (
    *("bert", "roberta", "xlm-roberta", "distilbert", "deberta", "deberta-v2", "electra"),
    *("albert", "mpnet", "nomic_bert", "modernbert", "camembert", "ernie", "clip", "siglip"),
    *("clip_vision_model", "clip_text_model", "siglip_text_model", "siglip_vision_model"),
    *("siglip2", "siglip2_text_model", "align", "altclip", "chinese_clip", "clipseg", "clap"),
    *("groupvit", "owlvit", "owlv2", "flava", "xclip", "metaclip_2", "bridgetower", "tipsv2"),
    *("rembert", "megatron-bert", "roberta-prelayernorm", "xmod", "xlm-roberta-xl", "roc_bert"),
    *("roformer", "data2vec-text", "convbert", "nystromformer", "luke", "big_bird"),
    *("aimv2", "vit", "dinov2", "swin", "wav2vec2", "hubert"),
)
_WITHOUT_ATTENTION = (
    *("mamba", "mamba2", "falcon_mamba", "xlstm", "retnet"),
    *("rwkv", "rwkv5", "rwkv6", "rwkv7"),
)
# Classes whose layers differ in ways that the reader does not know.
_NOT_READ = ("dots3_note", "dots3_note_text", "reformer", "xlnet", "big_bird", "bigbird_pegasus")


def refuse_what_keeps_no_cache(outer: Mapping, keys: Keys) -> None:
    """Make sure that a file belongs to a model that keeps a KV cache.

    Args:
        outer: the whole file.
        keys: those of its text part.

    Raises:
        ValueError: it is an encoder's, a model's without attention, or of a class that is not read.
    """
    names = outer.get("architectures") or ()
    if not isinstance(names, list | tuple):
        raise keys.wrong("architectures", names, "a list of names")
    decoding = any("CausalLM" in str(name) or "Generation" in str(name) for name in names)
    encoders = [str(name) for name in names if any(part in str(name) for part in _PARTS)]
    family = {keys.family, outer.get("model_type")} & set(_FAMILIES)
    decoding = decoding or keys.flag("is_decoder")
    both_ways = keys.get("use_bidirectional_attention") is True or keys.get("is_causal") is False
    if both_ways or ((encoders or family) and not decoding):
        what = encoders[0] if encoders else str(names[0]) if names else keys.family
        raise ValueError(
            f"{keys.origin} belongs to {what}, an encoder: it reads its whole input at once and "
            "keeps no KV cache. Give the config.json of a text generation model."
        )
    if keys.family in _NOT_READ:
        raise ValueError(
            f"{keys.origin} is of type {keys.family}, whose layers differ in ways that are not "
            "understood here. Build a ModelConfig by hand."
        )
    if keys.family in _WITHOUT_ATTENTION:
        raise ValueError(
            f"{keys.origin} is of type {keys.family}, which has no attention: its layers keep a "
            "state of constant size, and no KV cache."
        )
