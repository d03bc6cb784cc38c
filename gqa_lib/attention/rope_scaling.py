"""Ways of stretching rotary position embedding over contexts longer than in training.

Each changes the frequencies by which the pairs of a head turn: from 1 per position for the fastest
pair to about 1 / base for the slowest.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def plain_frequencies(base: float | Tensor, dim: int) -> Tensor:
    """Return base^(-2i/dim) for every pair i of `dim` elements, (dim / 2,) in float64."""
    return base ** -(torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim)


@dataclass(frozen=True)
class LinearScaling:
    """Every position divided by `factor`.

    Source: Chen et al. 2023, "Position Interpolation" (arXiv 2306.15595).
    """

    factor: float

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,), each divided by the factor."""
        return plain_frequencies(base, dim) / self.factor


@dataclass(frozen=True)
class DynamicScaling:
    """A larger base for a sequence that is longer than any in training, growing with its length.

    Its length is one more than its largest position, that of padding included. Keys that were
    cached while it was shorter stay as they are, as in transformers.

    Args:
        factor: how fast the base grows.
        trained_len: tokens of the longest sequence in training.

    Source: Peng et al. 2023, "YaRN" (arXiv 2309.00071), "Dynamic NTK", with the base as in
    transformers, modeling_rope_utils.py.
    """

    factor: float
    trained_len: int

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,) of a sequence no longer than those in training."""
        return plain_frequencies(base, dim)

    def frequencies_at(self, lengths: Tensor, base: float, dim: int) -> Tensor:
        """Return the frequencies (..., dim / 2) for sequences of `lengths` (..., 1) tokens."""
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

    Source: llama-models, models/llama3/model.py, `apply_scaling`.
    """

    factor: float
    trained_len: int
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,): low ones divided, high ones kept, a blend between."""
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

    Source: Peng et al. 2023, "YaRN" (arXiv 2309.00071).
    """

    factor: float
    trained_len: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True

    def frequencies(self, base: float, dim: int) -> Tensor:
        """Return the frequencies (dim / 2,): low ones divided, high ones kept, a ramp between."""
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


Scaling = LinearScaling | DynamicScaling | Llama3Scaling | YarnScaling


def magnitude(scaling: Scaling | None) -> float:
    """Return what cosines and sines are multiplied by; it enters the scores twice."""
    if not isinstance(scaling, YarnScaling):
        return 1.0
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    return 0.1 * math.log(scaling.factor) + 1 if scaling.factor > 1 else 1.0
