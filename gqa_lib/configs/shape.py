"""The shape of a model: what its KV cache and its attention cost depend on."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from gqa_lib.arguments import check_kind, check_number, check_whole, several
from gqa_lib.heads import check_heads

from .layer import LayerKV
from .weights import Weights


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
        layers: what each layer keeps, for models whose layers differ in more than the window; the
            fields above then say what most of the layers that attend have.
        max_context: longest context in tokens, None where it has no limit or was not verified.
        family: the series a model belongs to.
        weight_bytes: all parameters at 2 bytes each, however they are shipped; that of `weights`
            unless given, None where the number of parameters was not verified.
        weights: the parameters apart by how often a step reads them, None where not known.
        source: where the shape was read.
        checked: how the shape was checked, in the shipped table.
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
    layers: tuple[LayerKV, ...] | None = None
    max_context: int | None = None
    family: str = ""
    weight_bytes: int | None = None
    weights: Weights | None = None
    source: str = ""
    checked: str = ""
    notes: str = ""

    def __post_init__(self):
        check_kind(str, "Give a name to call the model by.", name=self.name)
        for field in ("num_layers", "num_heads", "num_kv_heads", "head_dim", "d_model"):
            _require_positive_int(self.name, field, getattr(self, field))
        for field in ("d_ff", "vocab_size", "kv_lora_rank", "rope_head_dim", "max_context"):
            if getattr(self, field) is not None:
                _require_positive_int(self.name, field, getattr(self, field))
        check_heads(self.num_heads, self.num_kv_heads, where=self.name)
        if (self.kv_lora_rank is None) != (self.rope_head_dim is None):
            raise ValueError(
                f"{self.name}: kv_lora_rank={self.kv_lora_rank} with "
                f"rope_head_dim={self.rope_head_dim}: an MLA cache holds the latent and the RoPE "
                "key, so one size alone says nothing. Give both, or neither."
            )
        check_whole(None, where=self.name, shared_kv_layers=self.shared_kv_layers)
        if not 0 <= self.shared_kv_layers < self.num_layers:
            raise ValueError(
                f"{self.name}: shared_kv_layers={self.shared_kv_layers} of "
                f"num_layers={self.num_layers}: at least one layer must own the KV that the "
                f"others reuse. Give 0 to {self.num_layers - 1}."
            )
        if self.windows is not None:
            windows = several(self.windows, "windows", "windows, one per layer,")
            object.__setattr__(self, "windows", tuple(windows))
            _require_windows(self)
        if self.layers is not None:
            layers = several(self.layers, "layers", "layers")
            object.__setattr__(self, "layers", tuple(layers))
            _require_layers(self)
        _require_weights(self)
        if self.weight_bytes is None and self.weights is not None:
            object.__setattr__(self, "weight_bytes", 2 * self.weights.total)

    @cached_property
    def kv_layers(self) -> tuple[LayerKV, ...]:
        """What each layer keeps, first layer first, however the model was described."""
        return self.layers or tuple(_layers_of(self))

    def with_kv_heads(self, num_kv_heads: int) -> "ModelConfig":
        """The same model with so many KV heads in every layer that attends; no latent is left.

        Args:
            num_kv_heads: KV heads per layer, a divisor of num_heads.

        Returns:
            The ModelConfig. Its weights stay as many: what smaller projections of K and V save is
            usually spent elsewhere, and a comparison at equal size is the one asked for.

        Raises:
            ValueError: num_kv_heads does not divide num_heads.
        """
        layers = self.layers and tuple(
            _with_kv_heads(self, one, num_kv_heads) for one in self.layers
        )
        return replace(
            self,
            num_kv_heads=num_kv_heads,
            layers=layers,
            kv_lora_rank=None,
            rope_head_dim=None,
        )

    @property
    def q_per_kv(self) -> int:
        """Query heads that read one KV head: num_heads // num_kv_heads."""
        return self.num_heads // self.num_kv_heads

    @property
    def attention_type(self) -> str:
        """'MHA', 'GQA', 'MQA' or 'MLA', of hybrids that of their layers that attend."""
        if any(layer.kind == "latent" for layer in self.kv_layers):
            return "MLA"
        if self.num_kv_heads == self.num_heads:
            return "MHA"
        return "MQA" if self.num_kv_heads == 1 else "GQA"


def _require_weights(config: ModelConfig) -> None:
    if config.weights is not None:
        check_kind(Weights, "Give Weights(...), or None.", weights=config.weights)
    if config.weight_bytes is not None:
        check_number(0, where=config.name, weight_bytes=config.weight_bytes)


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


def _require_layers(config: ModelConfig) -> None:
    layers = config.layers or ()
    for number, layer in enumerate(layers):
        check_kind(LayerKV, "Give LayerKV(...) for each layer.", **{f"layers[{number}]": layer})
    if len(layers) != config.num_layers:
        raise ValueError(
            f"{config.name}: layers has {len(layers)} entries for num_layers={config.num_layers}: "
            "each layer keeps something of its own, or nothing. Give one entry per layer."
        )
    if config.windows or config.shared_kv_layers or config.kv_lora_rank:
        raise ValueError(
            f"{config.name}: layers next to windows, shared_kv_layers or kv_lora_rank says the "
            "same thing twice. Say it in layers alone."
        )
    if all(layer.kind == "none" for layer in layers):
        raise ValueError(f"{config.name}: no layer attends, so there is no KV cache to describe.")
    for number, layer in enumerate(layers):
        if layer.kind not in ("none", "latent"):
            check_heads(
                config.num_heads, layer.num_kv_heads, where=f"{config.name}, layer {number}"
            )
        if layer.shares is not None and not (
            layer.shares < number and layers[layer.shares].shares is None
        ):
            raise ValueError(
                f"{config.name}: layer {number} shares the cache of layer {layer.shares}, which is "
                "not an earlier layer with a cache of its own. Give the number of one."
            )


def _layers_of(config: ModelConfig) -> Iterable[LayerKV]:
    """The layers of a model that is described by one number of heads, windows and shared layers."""
    if config.kv_lora_rank is not None and config.rope_head_dim is not None:
        k_dim, rope_dim = config.kv_lora_rank + config.rope_head_dim, config.rope_head_dim
        full = local = LayerKV("latent", 1, k_dim, rope_dim=rope_dim)
    else:
        full = LayerKV("full", config.num_kv_heads, config.head_dim, config.head_dim)
        local = replace(full, kind="window", window=1)
    windows = config.windows or (None,) * config.num_layers
    owners = config.num_layers - config.shared_kv_layers
    newest = {window: number for number, window in enumerate(windows[:owners])}
    for number, window in enumerate(windows):
        layer = full if window is None else replace(local, window=window)
        yield layer if number < owners else replace(layer, shares=newest.get(window, owners - 1))


def _with_kv_heads(config: ModelConfig, layer: LayerKV, num_kv_heads: int) -> LayerKV:
    if layer.kind == "latent":
        return replace(
            layer,
            kind="full",
            num_kv_heads=num_kv_heads,
            k_dim=config.head_dim,
            v_dim=config.head_dim,
            rope_dim=0,
        )
    before = layer.num_kv_heads or config.num_kv_heads
    layer = replace(layer, cross_elements=layer.cross_elements // before * num_kv_heads)
    return layer if layer.kind == "none" else replace(layer, num_kv_heads=num_kv_heads)
