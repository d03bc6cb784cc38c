"""How the next token is chosen from its logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the likeliest, or one drawn from some of the likeliest.

    Args:
        temperature: what logits are divided by before one is drawn; 0 takes the largest.
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
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(
                f"temperature={self.temperature}: logits are divided by it. Choose 0, which takes "
                "the largest, or a number above, such as 0.7."
            )
        if self.top_k is not None and (self.top_k < 1 or self.top_k != int(self.top_k)):
            raise ValueError(
                f"top_k={self.top_k}: one token at least must be left to draw. Choose a whole "
                "number from 1, or None for all."
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(
                f"top_p={self.top_p} is not a share of the probability that leaves a token to "
                "draw. Choose a number above 0, up to 1."
            )

    def choose(self, logits: Tensor, generator: torch.Generator) -> int:
        """Return a token.

        Args:
            logits: of one sequence, (V,).
            generator: on the CPU, of what is drawn; greedy choice leaves it alone.
        """
        if self.temperature == 0:
            return int(logits.argmax())
        probabilities, tokens = self._candidates(logits.double().cpu())
        return int(tokens[torch.multinomial(probabilities, 1, generator=generator)])

    def _candidates(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """What may be drawn, likeliest first: probabilities, not normalised, and tokens."""
        logits, tokens = (logits / self.temperature).sort(descending=True, stable=True)
        if self.top_k is not None:
            logits, tokens = logits[: self.top_k], tokens[: self.top_k]
        probabilities = logits.softmax(0)
        before = probabilities.cumsum(0) - probabilities
        kept = max(1, int((before < self.top_p).sum()))
        return probabilities[:kept], tokens[:kept]
