"""Ways of stretching rotary position embedding over contexts longer than in training.

Each changes the frequencies by which the pairs of a head turn: from 1 per position for the fastest
pair to about 1 / base for the slowest.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gqa_lib.arguments import check_number, is_number


def plain_frequencies(base: float | Tensor, dim: int) -> Tensor:
    """Return base^(-2i/dim) for every pair i of `dim` elements, in float64.

    Args:
        base: positive; a tensor (..., 1) of several gives frequencies for each.
        dim: the elements that turn, an even number.

    Returns:
        (dim / 2,), or (..., dim / 2).
    """
    return base ** -(torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim)


@dataclass(frozen=True)
class LinearScaling:
    """Every position divided by `factor`.

    Raises:
        ValueError: factor is not positive.

    Source: Chen et al. 2023, "Position Interpolation" (arXiv 2306.15595).
    """

    factor: float

    def __post_init__(self):
        _check_positive(factor=self.factor)

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,), each divided by the factor.

        Args:
            base, dim: as in `plain_frequencies`.
        """
        return plain_frequencies(base, dim) / self.factor


@dataclass(frozen=True)
class DynamicScaling:
    """A larger base for a sequence that is longer than any in training, growing with its length.

    Its length is one more than its largest position. Keys that were cached while it was shorter
    stay as they are, as in transformers.

    Args:
        factor: how fast the base grows.
        trained_len: tokens of the longest sequence in training.

    Raises:
        ValueError: one of them is not positive.

    Source: Peng et al. 2023, "YaRN" (arXiv 2309.00071), "Dynamic NTK", with the base as in
    transformers, modeling_rope_utils.py.
    """

    factor: float
    trained_len: int

    def __post_init__(self):
        _check_positive(factor=self.factor, trained_len=self.trained_len)

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,) of a sequence no longer than those in training.

        Args:
            base, dim: as in `plain_frequencies`.

        Raises:
            ValueError: dim is 2.
        """
        _check_several_pairs(dim)
        return plain_frequencies(base, dim)

    def frequencies_at(self, lengths: Tensor, base: float, dim: int) -> Tensor:
        """Return the frequencies for sequences of some lengths.

        Args:
            lengths: tokens of each sequence, (..., 1).
            base, dim: as in `plain_frequencies`.

        Returns:
            (..., dim / 2) in float64.

        Raises:
            ValueError: dim is 2.
        """
        _check_several_pairs(dim)
        longer = lengths.double().clamp(min=self.trained_len) / self.trained_len
        stretch = self.factor * longer - (self.factor - 1)
        return plain_frequencies(base * stretch ** (dim / (dim - 2)), dim)


@dataclass(frozen=True)
class Llama3Scaling:
    """Slow pairs divided by `factor`, fast ones left alone, those between partly divided.

    Args:
        factor: what a pair is divided by that turns less than `low_freq_factor` times in training.
        trained_len: tokens of the longest sequence in training.
        low_freq_factor, high_freq_factor: turns in training, below which a pair is divided and
            above which it is left alone.

    Raises:
        ValueError: factor or trained_len is not positive, or the turns are not from low to high.

    Source: llama-models, models/llama3/model.py, `apply_scaling`.
    """

    factor: float
    trained_len: int
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0

    def __post_init__(self):
        _check_positive(factor=self.factor, trained_len=self.trained_len)
        check_number(low_freq_factor=self.low_freq_factor, high_freq_factor=self.high_freq_factor)
        if not 0 <= self.low_freq_factor < self.high_freq_factor < math.inf:
            raise ValueError(
                f"low_freq_factor={self.low_freq_factor} and high_freq_factor="
                f"{self.high_freq_factor}: pairs that turn less than the first are divided, those "
                "that turn more than the second are not. Pass the smaller one first, such as 1.0 "
                "and 4.0."
            )

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,): low ones divided, high ones kept, a blend between.

        Args:
            base, dim: as in `plain_frequencies`.
        """
        plain = plain_frequencies(base, dim)
        turns = self.trained_len * plain / (2 * math.pi)
        width = self.high_freq_factor - self.low_freq_factor
        kept = ((turns - self.low_freq_factor) / width).clamp(0, 1)
        return plain * (kept + (1 - kept) / self.factor)


@dataclass(frozen=True)
class YarnScaling:
    """Slow pairs divided by `factor`, fast ones left alone, and scores made larger.

    Args:
        factor: what a pair is divided by that turns less than `beta_slow` times in training.
        trained_len: tokens of the longest sequence in training.
        beta_fast, beta_slow: turns in training, above which a pair is left alone and below which
            it is divided.
        attention_factor: what cosines and sines are multiplied by; None is 0.1 ln(factor) + 1.
        truncate: whether the pairs between begin and end at whole numbers.

    Raises:
        ValueError: a number is not positive, or beta_fast is less than beta_slow.

    Source: Peng et al. 2023, "YaRN" (arXiv 2309.00071).
    """

    factor: float
    trained_len: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True

    def __post_init__(self):
        _check_positive(
            factor=self.factor,
            trained_len=self.trained_len,
            beta_fast=self.beta_fast,
            beta_slow=self.beta_slow,
        )
        if self.attention_factor is not None:
            _check_positive(attention_factor=self.attention_factor)
        if self.beta_fast < self.beta_slow:
            raise ValueError(
                f"beta_fast={self.beta_fast} is less than beta_slow={self.beta_slow}: pairs that "
                "turn more than beta_fast times are kept, those that turn less than beta_slow "
                "times are divided. Exchange the two."
            )

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,): low ones divided, high ones kept, a ramp between.

        Args:
            base, dim: as in `plain_frequencies`.

        Raises:
            ValueError: base is not above 1.
        """
        if base <= 1:
            raise ValueError(
                f"YarnScaling with base={base}: no pair turns more slowly than the first, so that "
                "none is slow enough to be divided. Pass a base above 1, such as 10000.0."
            )
        plain = plain_frequencies(base, dim)
        first = self._pair_that_turns(self.beta_fast, base, dim)
        last = self._pair_that_turns(self.beta_slow, base, dim)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, dim - 1)
        pairs = torch.arange(dim // 2, dtype=torch.float64, device="cpu")
        divided = ((pairs - first) / max(last - first, 0.001)).clamp(0, 1)
        return plain * (1 - divided + divided / self.factor)

    def _pair_that_turns(self, times: float, base: float, dim: int) -> float:
        """Which pair, as a fraction, turns so many times in training."""
        return dim * math.log(self.trained_len / (times * 2 * math.pi)) / (2 * math.log(base))


def _check_positive(**numbers: float) -> None:
    """Raise ValueError for the first number that is not above 0, or has no end."""
    for name, number in numbers.items():
        if not is_number(number) or not 0 < number < math.inf:
            raise ValueError(
                f"{name}={number!r}: frequencies are divided by it or scaled with it, and would "
                f"not be numbers that turn a head. Pass a {name} above 0, as in the model's "
                "configuration."
            )


def _check_several_pairs(dim: int) -> None:
    if dim == 2:
        raise ValueError(
            "DynamicScaling with dim=2: the only pair turns by 1 per position whatever the base, "
            "so that a larger base stretches nothing. Choose LinearScaling, or 4 elements or more."
        )


Scaling = LinearScaling | DynamicScaling | Llama3Scaling | YarnScaling


def magnitude(scaling: Scaling | None) -> float:
    """Return what cosines and sines are multiplied by; it enters the scores twice."""
    if not isinstance(scaling, YarnScaling):
        return 1.0
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    return 0.1 * math.log(scaling.factor) + 1 if scaling.factor > 1 else 1.0
