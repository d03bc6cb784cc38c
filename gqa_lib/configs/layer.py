"""What one layer of a model keeps of a sequence."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from gqa_lib.arguments import check_choice

Kind = Literal["full", "window", "chunk", "compressed", "latent", "none"]
_HEADS, _INDEX = ("num_kv_heads", "k_dim"), ("index_dim", "index_topk", "shares")
_NEEDED: dict[Kind, tuple[str, ...]] = {
    "full": _HEADS,
    "window": (*_HEADS, "window"),
    "chunk": (*_HEADS, "window"),
    "compressed": (*_HEADS, "window", "ratio"),
    "latent": _HEADS,
    "none": (),
}
_OPTIONAL: dict[Kind, tuple[str, ...]] = {
    "full": ("v_dim", *_INDEX),
    "window": ("v_dim", *_INDEX),
    "chunk": ("v_dim", *_INDEX),
    "compressed": ("v_dim", *_INDEX),
    "latent": ("rope_dim", "window", *_INDEX),
    "none": (),
}


@dataclass(frozen=True)
class LayerKV:
    """What one layer keeps of a sequence; sizes count elements, or tokens where it says so.

    Args:
        kind: "full" keeps K and V of every token; "window" and "chunk" (attention within blocks of
            tokens) those of the newest `window` tokens; "compressed" the newest `window` tokens and
            one entry for every `ratio` tokens; "latent" (MLA) one latent for all heads in place of
            K and V; "none" nothing that grows with the sequence.
        num_kv_heads: KV heads; 1 for a latent, 0 for "none".
        k_dim: elements of a key; for a latent those of the latent and of the RoPE key next to it.
        v_dim: elements of a value; 0 where only the keys are kept: a latent, or values that are
            the keys.
        rope_dim: of k_dim, the elements that serve scores and no values: a latent's RoPE key.
        window: tokens kept at most.
        ratio: tokens that are compressed into one entry.
        index_dim: elements that a sparse indexer keeps for each token, or for each entry.
        index_topk: tokens, or entries, that the indexer lets a new token read at most.
        state_bytes: constant state of a linear or state-space layer, per sequence, in bytes.
        shares: number of the earlier layer whose cache this one reads; it keeps none of its own.
        cross_elements: elements kept for each token of an encoder's output, or of an image.

    Raises:
        ValueError: sizes that do not belong to that kind.
    """

    kind: Kind = "full"
    num_kv_heads: int = 0
    k_dim: int = 0
    v_dim: int = 0
    rope_dim: int = 0
    window: int | None = None
    ratio: int | None = None
    index_dim: int = 0
    index_topk: int | None = None
    state_bytes: int = 0
    shares: int | None = None
    cross_elements: int = 0

    def __post_init__(self):
        check_choice(get_args(Kind), kind=self.kind)
        for field in fields(self)[1:]:
            value, needed = getattr(self, field.name), field.name in _NEEDED[self.kind]
            if value is None and field.default is None and not needed:
                continue
            least = 1 if needed or field.name in ("index_topk", "window", "ratio") else 0
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{field.name}={value!r} in a layer of kind {self.kind!r}: it counts elements, "
                    f"tokens or bytes. Give a whole number, {least} or more."
                )
            if value != field.default and field.name not in (
                *_NEEDED[self.kind],
                *_OPTIONAL[self.kind],
                "state_bytes",
                "cross_elements",
            ):
                raise ValueError(
                    f"{field.name}={value} says nothing in a layer of kind {self.kind!r}: leave it "
                    "out, or give the layer the kind that has it."
                )
        if self.index_topk is not None and not self.index_dim:
            raise ValueError(
                f"index_topk={self.index_topk} without index_dim: there is no indexer to choose. "
                "Give both, or neither."
            )

    @property
    def elements(self) -> int:
        """Elements of one token, or of one entry: num_kv_heads x (k_dim + v_dim)."""
        return self.num_kv_heads * (self.k_dim + self.v_dim)

    @property
    def value_dim(self) -> int:
        """Elements of a value as attention reads it, wherever it is kept."""
        return self.v_dim or self.k_dim - self.rope_dim
