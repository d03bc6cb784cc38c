"""The shapes of real models: a shipped table, and any Hugging Face config.json.

B batch, S cached tokens, Hq query heads, Hkv key/value heads, D head size. Nothing here needs
torch. The keys of a Hugging Face config are read in this file and nowhere else in the project.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from itertools import cycle, islice
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """The shape of one decoder: what its KV cache and its attention cost depend on.

    Args:
        name: what to call it.
        num_layers: decoder layers.
        num_heads: query heads per layer.
        num_kv_heads: key/value heads per layer. MLA: equal to num_heads; the cache is the latent.
        head_dim: elements per head, read and never derived: it need not be d_model / num_heads.
            MLA: the part of a query or key head without RoPE.
        d_model: hidden size.
        d_ff: hidden size of the feed-forward block, None where unknown.
        vocab_size: None where unknown.
        windows: for each layer the most tokens it keeps, or None for a layer that keeps all of
            them; None alone means that every layer keeps all.
        kv_lora_rank: MLA only, elements of the latent cached per token and layer.
        rope_head_dim: MLA only, elements of the RoPE key cached next to the latent.
        shared_kv_layers: the last layers, which reuse an earlier layer's K and V and cache none.
        max_context: longest context in tokens, None where it has no limit or was not verified.
        family: the series a model belongs to.
        weight_bytes: all parameters at 2 bytes each, however they are shipped; None where the
            number of parameters was not verified.
        source: where the shape was read.
        notes: what to watch out for.

    Raises:
        ValueError: sizes that cannot belong to one model.
    """

    name: str
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    d_model: int
    d_ff: int | None = None
    vocab_size: int | None = None
    windows: tuple[int | None, ...] | None = None
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    shared_kv_layers: int = 0
    max_context: int | None = None
    family: str = ""
    weight_bytes: int | None = None
    source: str = ""
    notes: str = ""

    def __post_init__(self):
        for field in ("num_layers", "num_heads", "num_kv_heads", "head_dim", "d_model"):
            _require_positive_int(self.name, field, getattr(self, field))
        for field in ("d_ff", "vocab_size", "kv_lora_rank", "rope_head_dim", "max_context"):
            if getattr(self, field) is not None:
                _require_positive_int(self.name, field, getattr(self, field))
        if self.num_heads % self.num_kv_heads:
            divisors = [n for n in range(1, self.num_heads + 1) if self.num_heads % n == 0]
            raise ValueError(
                f"{self.name}: num_heads={self.num_heads} is not divisible by "
                f"num_kv_heads={self.num_kv_heads}: each KV head must serve the same number of "
                f"query heads. Choose num_kv_heads from {', '.join(map(str, divisors))}."
            )
        if (self.kv_lora_rank is None) != (self.rope_head_dim is None):
            raise ValueError(
                f"{self.name}: kv_lora_rank={self.kv_lora_rank} with "
                f"rope_head_dim={self.rope_head_dim}: an MLA cache holds the latent and the RoPE "
                "key, so one size alone says nothing. Give both, or neither."
            )
        if not 0 <= self.shared_kv_layers < self.num_layers:
            raise ValueError(
                f"{self.name}: shared_kv_layers={self.shared_kv_layers} of "
                f"num_layers={self.num_layers}: at least one layer must own the KV that the "
                f"others reuse. Give 0 to {self.num_layers - 1}."
            )
        if self.windows is not None:
            object.__setattr__(self, "windows", tuple(self.windows))
            _require_windows(self)

    @property
    def q_per_kv(self) -> int:
        """Query heads that read one KV head: num_heads // num_kv_heads."""
        return self.num_heads // self.num_kv_heads

    @property
    def attention_type(self) -> str:
        """'MHA', 'GQA', 'MQA' or 'MLA'."""
        if self.kv_lora_rank is not None:
            return "MLA"
        if self.num_kv_heads == self.num_heads:
            return "MHA"
        return "MQA" if self.num_kv_heads == 1 else "GQA"


def _require_positive_int(name: str, field: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{name}: {field}={value!r} is not a size: it counts heads, layers or elements. "
            "Give a positive integer."
        )


def _require_windows(config: ModelConfig) -> None:
    windows = config.windows or ()
    if len(windows) != config.num_layers:
        raise ValueError(
            f"{config.name}: windows has {len(windows)} entries for "
            f"num_layers={config.num_layers}: each layer keeps its own number of tokens. "
            "Give one entry per layer, None where a layer keeps them all."
        )
    for window in windows:
        if window is not None:
            _require_positive_int(config.name, "windows entry", window)


# The shipped table


def list_models() -> list[str]:
    """Names of the models in the shipped table, in its order (oldest family first)."""
    return list(_table())


def all_models() -> list[ModelConfig]:
    """Every model of the shipped table, in its order."""
    return list(_table().values())


def load_model(name: str) -> ModelConfig:
    """The shipped model of that name; upper and lower case do not matter.

    Raises:
        ValueError: no such model; the message names the closest ones.
    """
    by_lower = {known.lower(): config for known, config in _table().items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = [by_lower[match].name for match in get_close_matches(name.lower(), by_lower, n=3)]
    hint = f"Did you mean {' or '.join(close)}?" if close else "See list_models()."
    raise ValueError(
        f"no model called {name!r} among the {len(by_lower)} shipped: a shape is read from its "
        f"source, never guessed. {hint} For any other model use from_hf_config(path)."
    )


@cache
def _table() -> dict[str, ModelConfig]:
    text = resources.files("gqa_lib").joinpath("data/models.csv").read_text(encoding="utf-8")
    configs = (_from_row(row) for row in csv.DictReader(text.splitlines()))
    return {config.name: config for config in configs}


_TEXT_COLUMNS = ("name", "family", "source", "notes")


def _from_row(row: dict[str, str]) -> ModelConfig:
    """A ModelConfig from one line of the table; an empty cell means the field's default."""
    fields: dict[str, Any] = {key: row[key] for key in _TEXT_COLUMNS}
    windows = row["windows"]
    fields |= {
        key: int(cell)
        for key, cell in row.items()
        if cell and key not in (*_TEXT_COLUMNS, "windows")
    }
    if windows:
        fields["windows"] = expand_windows(windows, fields["num_layers"])
    return ModelConfig(**fields)


def expand_windows(pattern: str, num_layers: int) -> tuple[int | None, ...]:
    """The window of each layer, written out from a repeating pattern.

    The pattern is repeated from the first layer on and cut after the last, so "5*1024,full" over
    26 layers gives 22 windows and 4 full layers. A stack that does not repeat is written in full,
    as in "30*4096,2*full".

    Args:
        pattern: comma-separated entries, each a window in tokens or "full", each optionally
            preceded by a count and "*".
        num_layers: how many layers to fill.

    Returns:
        A tuple of num_layers entries, None for a layer that keeps every token.

    Raises:
        ValueError: an entry that is neither a window nor "full".
    """
    unit = []
    for entry in pattern.split(","):
        count, _, window = entry.strip().rpartition("*")
        if not (window == "full" or window.isdecimal()) or not (count or "1").isdecimal():
            raise ValueError(
                f"window pattern {pattern!r}: cannot read {entry!r}: an entry is a window in "
                "tokens or 'full', with an optional count. Write for example '5*1024,full'."
            )
        unit += [None if window == "full" else int(window)] * int(count or 1)
    return tuple(islice(cycle(unit), num_layers))


# Hugging Face config.json

# What each size is called: the usual key first, then what older models call it.
_HF_KEYS = {
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "d_model": ("hidden_size", "n_embd", "d_model"),
    "d_ff": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
    "vocab_size": ("vocab_size",),
    "max_context": ("max_position_embeddings", "n_positions", "max_seq_len"),
}
_HF_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "multi_query_group_num")
# Local layers per full one, plus one, for families whose config.json may leave it to the class.
_HF_PATTERN = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3_text": 6,
    "gemma3n_text": 5,
    "cohere2": 4,
    "olmo3": 4,
    "gpt_oss": 2,
    "exaone4": 4,
    "llama4_text": 4,
}
# Keys of models in which only some layers keep a KV cache.
_HF_HYBRID = (
    "full_attention_interval",
    "attn_layer_period",
    "layers_block_type",
    "hybrid_override_pattern",
    "block_types",
)


def from_hf_config(source: str | Path | Mapping) -> ModelConfig:
    """The ModelConfig of a Hugging Face decoder, from its config.json.

    Written for what such files hold, which is not always what they say: a head size that is not
    hidden size over heads, a KV head count that the model ignores (Falcon-7B's 71), windows that
    are switched off, a text model inside a multimodal one.

    Args:
        source: path of a config.json or of the folder that holds it, or the parsed dictionary.

    Returns:
        The ModelConfig; its name is the file's own name for the model, else its type.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a decoder whose cache a ModelConfig can describe.
    """
    outer, origin = _read_hf(source)
    hf = {"model_type": outer.get("model_type", ""), **(outer.get("text_config") or outer)}
    sizes = {field: _first(hf, keys) for field, keys in _HF_KEYS.items()}
    missing = [field for field in ("num_layers", "num_heads", "d_model") if not sizes[field]]
    encoders = [a for a in outer.get("architectures") or () if "MaskedLM" in a or "Image" in a]
    if encoders:
        raise ValueError(
            f"{origin} belongs to {encoders[0]}, an encoder: it reads its whole input at once and "
            "keeps no KV cache. Give the config.json of a text generation model."
        )
    if missing:
        wanted = "; ".join(f"{field} (as {' or '.join(_HF_KEYS[field])})" for field in missing)
        raise ValueError(
            f"{origin} lacks {wanted}: without them this is not the config of a decoder (its keys "
            f"are {', '.join(sorted(outer)[:8]) or 'none'}). Give the config.json of a text "
            "generation model, or build a ModelConfig by hand."
        )
    _refuse_unequal_layers(hf, origin)
    if isinstance(sizes["d_ff"], list):  # Gemma 3n lists one width per layer
        sizes["d_ff"] = max(sizes["d_ff"])
    is_mla = hf.get("kv_lora_rank") is not None
    head_dim = hf.get("qk_nope_head_dim") if is_mla else _first(hf, ("head_dim", "d_kv"))
    return ModelConfig(
        name=str(outer.get("_name_or_path") or hf["model_type"] or "unnamed"),
        num_kv_heads=sizes["num_heads"] if is_mla else _hf_kv_heads(hf, sizes["num_heads"]),
        head_dim=head_dim or sizes["d_model"] // sizes["num_heads"],
        windows=_hf_windows(hf, sizes["num_layers"]),
        kv_lora_rank=hf.get("kv_lora_rank"),
        rope_head_dim=hf["qk_rope_head_dim"] if is_mla else None,
        shared_kv_layers=hf.get("num_kv_shared_layers") or 0,
        family=hf["model_type"],
        source=origin,
        **sizes,
    )


def _read_hf(source: str | Path | Mapping) -> tuple[Mapping, str]:
    """The parsed config and what to call it in a message."""
    if isinstance(source, Mapping):
        return source, "the given config"
    path = Path(source)
    path = path / "config.json" if path.is_dir() else path
    return json.loads(path.read_text(encoding="utf-8")), path.name


def _first(hf: Mapping, keys: tuple[str, ...]):
    return next((hf[key] for key in keys if hf.get(key) is not None), None)


def _hf_kv_heads(hf: Mapping, num_heads: int) -> int:
    """KV heads the model really has; the flags of multi-query models overrule the count."""
    if hf.get("n_head_kv") is not None:  # Falcon-40B before it was called falcon; no flag then
        return hf["n_head_kv"]
    if hf.get("model_type") in ("falcon", "RefinedWeb", "RefinedWebModel"):
        if not hf.get("new_decoder_architecture") and hf.get("multi_query", True):
            return 1  # num_kv_heads=71 in such a file is ignored by the model
    elif hf.get("multi_query") and "multi_query_group_num" not in hf:  # GPT-BigCode
        return 1
    nested = hf.get("attn_config") or {}  # DBRX and MPT
    return _first(hf, _HF_KV_HEADS) or nested.get("kv_n_heads") or num_heads


def _hf_windows(hf: Mapping, num_layers: int) -> tuple[int | None, ...] | None:
    """The window of each layer, None if every layer keeps all its tokens."""
    window = _first(hf, ("sliding_window", "attention_chunk_size"))
    if window is None or hf.get("use_sliding_window") is False:
        return None
    layer_types = hf.get("layer_types")
    if layer_types:
        is_full = [layer_type == "full_attention" for layer_type in layer_types]
    elif hf.get("use_sliding_window") and "max_window_layers" in hf:  # Qwen2: full ones first
        is_full = [layer < hf["max_window_layers"] for layer in range(num_layers)]
    else:
        is_full = _hf_pattern(hf, num_layers)
    return None if all(is_full) else tuple(None if full else window for full in is_full)


def _hf_pattern(hf: Mapping, num_layers: int) -> list[bool]:
    """For each layer whether it is full, from a repeating pattern; without one, none is."""
    pattern = _first(hf, ("sliding_window_pattern", "_sliding_window_pattern"))
    pattern = pattern or hf.get("no_rope_layer_interval") or _HF_PATTERN.get(hf["model_type"])
    if pattern is None:
        return [False] * num_layers
    if isinstance(pattern, str):  # EXAONE writes "LLLG"
        return [letter == "G" for letter in islice(cycle(pattern), num_layers)]
    return [(layer + 1) % pattern == 0 for layer in range(num_layers)]


def _refuse_unequal_layers(hf: Mapping, origin: str) -> None:
    """Raises where one shape cannot stand for every layer: a wrong figure would look right."""
    known = {"full_attention", "sliding_attention", "chunked_attention"}
    odd = [f"layer type {name!r}" for name in sorted(set(hf.get("layer_types") or ()) - known)]
    odd += [key for key in _HF_HYBRID if hf.get(key) is not None]
    if hf.get("global_head_dim") not in (None, hf.get("head_dim")):
        odd.append(f"global_head_dim={hf['global_head_dim']} next to head_dim={hf.get('head_dim')}")
    if odd:
        raise ValueError(
            f"{origin} has {', '.join(odd)}: its layers do not all cache K and V of one shape, so "
            "one num_kv_heads x head_dim would give a wrong cache size. Build one ModelConfig for "
            "each kind of layer and add their bytes."
        )
