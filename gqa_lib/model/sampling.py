"""How the next token is chosen from its logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gqa_lib.arguments import index, is_number

from .checks import whole_number


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the likeliest, or one drawn from some of the likeliest.

    Args:
        temperature: what logits are divided by before one is drawn; 0 takes the largest, of equal
            ones that of the smallest token.
        top_k: draw from so many of the largest; None is all.
        top_p: and of these from the fewest whose probabilities add up to this.

    Raises:
        ValueError: a number is out of range.

    Source: top_p: Holtzman et al. 2020 (arXiv 1904.09751), section 3.1.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self):
        if not (is_number(self.temperature) and 0 <= self.temperature < float("inf")):
            raise ValueError(
                f"temperature={self.temperature!r}: logits are divided by it. Choose 0, which "
                "takes the largest, or a number above, such as 0.7."
            )
        if self.top_k is not None and (index(self.top_k) or 0) < 1:
            raise ValueError(
                f"top_k={self.top_k!r}: one token at least must be left to draw. Choose a whole "
                "number from 1, or None for all."
            )
        if not (is_number(self.top_p) and 0 < self.top_p <= 1):
            raise ValueError(
                f"top_p={self.top_p!r} is not a share of the probability that leaves a token to "
                "draw. Choose a number above 0, up to 1."
            )

    def candidates(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return what may be drawn, likeliest first: probabilities, not normalised, and tokens.

        Args:
            logits: of one sequence, (V,), with a temperature above 0.
        """
        logits, tokens = logits.double().sort(descending=True, stable=True)
        if self.top_k is not None:
            logits, tokens = logits[: self.top_k], tokens[: self.top_k]
        probabilities = ((logits - logits[0]) / self.temperature).softmax(0)
        before = probabilities.cumsum(0) - probabilities
        kept = max(1, int((before < self.top_p).sum()))
        return probabilities[:kept], tokens[:kept]


class Sampler:
    """Chooses the tokens of one sequence, with random numbers that are its own.

    A token that is drawn takes one random number, whatever the candidates: what was drawn before
    depends on the seed and on the number of tokens alone.

    Args:
        sampling: how.
        seed: of the random numbers, a whole number from 0.
        whose: what an error calls the sequence.

    Raises:
        ValueError: seed is something else.
    """

    def __init__(self, sampling: Sampling, seed: int = 0, whose: str = "the sequence"):
        self.sampling, self.whose = sampling, whose
        seed = whole_number(seed, "seed", 0, 2**63 - 1)
        self._generator = torch.Generator().manual_seed(seed) if sampling.temperature else None

    def draw(self, logits: Tensor) -> int | None:
        """Return a token by chance, None where the likeliest one is taken.

        Args:
            logits: (V,), the largest of which is a finite number.
        """
        if self._generator is None:
            return None
        probabilities, tokens = self.sampling.candidates(logits.cpu())
        up_to = probabilities.cumsum(0)
        at = up_to[-1] * torch.rand((), dtype=up_to.dtype, generator=self._generator)
        place = int(torch.searchsorted(up_to, at, right=True))
        return int(tokens[min(place, len(tokens) - 1)])


def choose_tokens(logits: Tensor, samplers: Sequence[Sampler | None]) -> list[int | None]:
    """Return the next token of each row, None where nothing is to be chosen.

    Args:
        logits: (B, V).
        samplers: one for each row, or None.

    Raises:
        ValueError: a row's largest logit is not a finite number. Nothing is drawn then.
    """
    largest = logits.argmax(-1)  # NaN counts as largest
    finite = logits.gather(-1, largest[:, None])[:, 0].isfinite().tolist()
    for sampler, is_finite in zip(samplers, finite, strict=True):
        if sampler and not is_finite:
            raise ValueError(
                f"{sampler.whose}: the model's logits are not finite numbers, so that no token is "
                "the likeliest. Are its weights damaged, or too large for their dtype?"
            )
    tokens: list[int | None] = [None] * len(samplers)
    for b, (row, sampler, likeliest) in enumerate(
        zip(logits, samplers, largest.tolist(), strict=True)
    ):
        if sampler:
            drawn = sampler.draw(row)
            tokens[b] = likeliest if drawn is None else drawn
    return tokens
