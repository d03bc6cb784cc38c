"""The shape of a model: what its KV cache and its attention cost depend on."""

from dataclasses import dataclass

from gqa_lib.heads import check_heads


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
        check_heads(self.num_heads, self.num_kv_heads, where=self.name)
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
