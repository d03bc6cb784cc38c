"""Rotary position embedding: pairs of a head's elements turned by their token's position."""

import math
from typing import Any, get_args

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind, check_whole, is_number, shown
from gqa_lib.kernels import turn
from gqa_lib.kernels.checks import check_tensor
from gqa_lib.kernels.traced import is_traced

from .rope_scaling import DynamicScaling, Scaling, magnitude, plain_frequencies

WHOLE = (torch.int64, torch.int32)
FEWEST_POSITIONS = 1024  # in a table
EASY_POSITIONS = 2**14  # a table of as many is made for any call: milliseconds, 8 MiB for Rope(128)
PER_POSITION = 16  # a larger one for at least a position in so many, or to double the last one


class Rope:
    """Rotary position embedding with tables of cosines and sines, made once and grown if needed.

    A few positions far from the start get their cosines and sines without a table up to there.

    Args:
        head_dim: D.
        base: the slowest pair turns by about 1 / base per position.
        scaling: how longer contexts than in training are reached; None is not at all.
        rotary_dim: how many elements of a head turn, its first ones, an even number; None is all.

    Raises:
        ValueError: rotary_dim is odd or larger than the head, base is not positive, or the scaling
            cannot stretch them.

    Source: Su et al. 2021 (arXiv 2104.09864), section 3.2.2; see `rope_scaling` for the scalings.
    """

    def __init__(
        self,
        head_dim: int,
        base: float = 10000.0,
        scaling: Scaling | None = None,
        rotary_dim: int | None = None,
    ):
        self.head_dim, self.base, self.scaling = head_dim, base, scaling
        self.rotary_dim = head_dim if rotary_dim is None else rotary_dim
        check_whole(None, head_dim=head_dim, rotary_dim=self.rotary_dim)
        if scaling is not None:
            how = "Pass LinearScaling(2.0) or another of gqa_lib.attention, or None."
            check_kind(get_args(Scaling), how, scaling=scaling)
        _check_even(self.rotary_dim, "head_dim" if rotary_dim is None else "rotary_dim")
        if not 2 <= self.rotary_dim <= head_dim:
            raise ValueError(
                f"rotary_dim={self.rotary_dim} of head_dim={head_dim}: only elements that a head "
                f"has can turn. Choose an even number from 2 to {head_dim}."
            )
        _check_base(base)
        frequencies_of = scaling.frequencies if scaling else plain_frequencies
        self._frequencies = frequencies_of(base, self.rotary_dim)  # (rotary_dim / 2,)
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def rotate(self, positions: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys or both, turned.

        Args:
            positions: whole numbers from 0, (T,) or (B, T), cached tokens counted. On a GPU they
                are waited for; a cache gives them on the CPU.
            tensors: each (B, H, T, D), on one device.

        Returns:
            The tensors turned, in their own shapes and dtypes.

        Raises:
            ValueError: a tensor's heads are not of head_dim, there is not one position for each of
                its tokens, or one is negative or not a whole number.
        """
        if not tensors:
            raise ValueError("no tensor to rotate: pass queries, keys or both after positions.")
        for x in tensors:
            check_tensor(x, "tensor")
            if x.shape[-1] != self.head_dim:
                raise self._other_head(x)
            _check_positions(x, positions)
        cos, sin = self.cos_sin(positions, tensors[0])
        return tuple(turn(x, cos, sin) for x in tensors)

    def cos_sin(self, positions: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines of some positions, for `turn`: once for all layers.

        Args:
            positions: as in `rotate`.
            like: a tensor on the device and of the dtype that is to be turned.

        Returns:
            Two of (T, rotary_dim / 2) or (B, T, rotary_dim / 2), in float32 or wider.

        Raises:
            ValueError: a position is negative or not a whole number.
        """
        if positions.dtype not in WHOLE:
            raise ValueError(
                f"positions are {positions.dtype}: tokens are counted. Pass int64 or int32, such "
                "as torch.arange(start, start + T)."
            )
        if is_traced():  # nobody can look at positions now
            return self._beyond_table(positions, like)
        if not positions.numel():
            return (torch.empty(*positions.shape, self.rotary_dim // 2, device=like.device),) * 2
        smallest, largest = map(int, positions.aminmax())
        if smallest < 0:
            raise ValueError(
                f"positions go down to {smallest}: the first token of a sequence is at 0. "
                "Count positions from there, cached tokens included."
            )
        beyond = isinstance(self.scaling, DynamicScaling) and largest >= self.scaling.trained_len
        if not beyond and (table := self._table(largest + 1, positions.numel(), like)):
            at = positions.to(like.device, non_blocking=True)
            return table[0][at], table[1][at]
        return self._beyond_table(positions, like)

    def _other_head(self, x: Tensor) -> ValueError:
        return ValueError(
            f"a tensor of shape {tuple(x.shape)} has head_dim={x.shape[-1]} and this Rope is for "
            f"{self.head_dim}: other pairs would turn than the model was trained with. Make it "
            f"with Rope({x.shape[-1]}, ...), and with rotary_dim if a part of the head turns."
        )

    def _table(self, num_positions: int, wanted: int, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosines and sines of so many positions or more, for tensors like x.

        None where a table would have to be made, and the positions that are wanted are too few.
        """
        key = x.device, _wide(x.dtype)
        table = self._tables.get(key)
        made = len(table[0]) if table else 0
        if made >= num_positions:
            return table
        size = max(FEWEST_POSITIONS, 2 ** (num_positions - 1).bit_length())
        if size > max(EASY_POSITIONS, PER_POSITION * wanted, 2 * made):
            return None
        positions = torch.arange(size, device="cpu")
        self._tables[key] = self._cos_sin(positions[:, None] * self._frequencies, x)
        return self._tables[key]

    def _beyond_table(self, positions: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of these positions; `DynamicScaling` has each row's by its length."""
        positions, frequencies = positions.cpu(), self._frequencies
        if isinstance(self.scaling, DynamicScaling):
            lengths = positions.amax(-1, keepdim=True) + 1  # (1,) or (B, 1)
            lengths = lengths[..., None]
            frequencies = self.scaling.frequencies_at(lengths, self.base, self.rotary_dim)
        return self._cos_sin(positions[..., None] * frequencies, x)

    def _cos_sin(self, angles: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of angles that are in float64, for tensors like x."""
        scale, dtype = magnitude(self.scaling), _wide(x.dtype)
        cos, sin = angles.cos() * scale, angles.sin() * scale
        return cos.to(x.device, dtype), sin.to(x.device, dtype)


def rope_for(rope: Rope | bool, head_dim: int) -> Rope | None:
    """Return how heads of a layer turn, None for not at all.

    Args:
        rope: as in `GroupedQueryAttention`.
        head_dim: of what turns.

    Raises:
        ValueError: rope is for another head_dim, or is none.
    """
    if isinstance(rope, bool):
        return Rope(head_dim) if rope else None
    if not isinstance(rope, Rope):
        raise ValueError(
            f"rope={rope!r} is neither a Rope nor True or False, so that it cannot turn heads. "
            f"Pass False for none, True or Rope({head_dim}, ...)."
        )
    if rope.head_dim != head_dim:
        raise ValueError(
            f"rope is for head_dim={rope.head_dim} and the layer's heads have {head_dim}: it would "
            f"turn other pairs than the model was trained with. Pass Rope({head_dim}, ...)."
        )
    return rope


def rotate(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Return x with the pair (i, i + D/2) of each head turned by position * base^(-2i/D).

    The two halves of D are paired, as Hugging Face's checkpoints expect (the paper pairs
    neighbours). Angles are at least fp32: bf16 cannot tell position 257 from 256.

    Args:
        x: queries or keys, (..., T, D), D even.
        positions: (T,), counted from the start of the sequence, cached tokens included; or (B, T)
            with x (B, ..., T, D), where rows differ.
        base: the slowest pair turns by about 1 / base per position.

    Returns:
        (..., T, D) in x's dtype.

    Raises:
        ValueError: D is odd, base is not positive, or there is not one position for each of the T
            tokens.

    Source: Su et al. 2021 (arXiv 2104.09864), section 3.2.2.
    """
    check_tensor(x, "x")
    _check_even(x.shape[-1], "head_dim")
    _check_base(base)
    _check_positions(x, positions)
    D, wide = x.shape[-1], _wide(x.dtype)
    pair = torch.arange(D // 2, device=x.device, dtype=wide)
    angles = positions.to(x.device, wide)[..., None] * base ** (-2 * pair / D)  # (..., T, D/2)
    return turn(x, angles.cos(), angles.sin())


def check_turned_alike(cache: object, rope: Rope | None) -> None:
    """Raise ValueError if a cache turns heads in another way than the layer that uses it.

    Args:
        cache: any; only one with a `rope` turns heads, such as an `EvictingCache`.
        rope: the layer's, None if it does not turn heads.
    """
    own = getattr(cache, "rope", None)
    if own is None or own is rope or _turn_alike(own, rope):
        return
    raise ValueError(
        f"the cache turns keys back by {_settings(own)} and the layer had turned them by "
        f"{_settings(rope)}: what it keeps would not be the keys of the model. Make the cache with "
        "the layer's own rope, or with rope=None to leave keys as the layer turned them."
    )


def _turn_alike(one: Any, other: Any) -> bool:
    """Whether two turn heads in the same way, as far as is known: a subclass may do anything."""
    if type(one) is not Rope or type(other) is not Rope:
        return False
    names = "head_dim", "base", "scaling", "rotary_dim"
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _settings(rope: Any) -> str:
    """What a rope does, in words."""
    if not isinstance(rope, Rope):
        return shown(rope)
    base, scaling, rotary_dim = float(rope.base), rope.scaling, rope.rotary_dim
    name = type(rope).__name__
    return f"{name}({rope.head_dim}, {base=:.10g}, {scaling=}, {rotary_dim=})"


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _check_even(size: int, name: str) -> None:
    if size % 2:
        raise ValueError(
            f"{name}={size} is odd: RoPE turns pairs of elements, and one would be left over. "
            f"Choose an even {name} such as {size + 1}."
        )


def _check_base(base: float) -> None:
    if not (is_number(base) and base > 0 and math.isfinite(base)):
        raise ValueError(
            f"base={base!r}: pairs turn by powers of it, which must be numbers. Pass the model's "
            "rope_theta, such as 10000.0."
        )


def _check_positions(x: Tensor, positions: Tensor) -> None:
    check_tensor(positions, "positions")
    T = x.shape[-2]
    if positions.shape != (T,) and (x.dim() < 3 or positions.shape != (x.shape[0], T)):
        raise ValueError(
            f"positions has shape {tuple(positions.shape)} for T={T} tokens: each token is turned "
            f"by its own position. Pass ({T},), such as torch.arange(start, start + {T}), or "
            "(B, T) where rows differ."
        )
