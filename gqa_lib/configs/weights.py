"""How many parameters a model has, and how many of them a step reads."""

from dataclasses import dataclass, fields

from gqa_lib.arguments import check_number


@dataclass(frozen=True)
class Weights:
    """The parameters of a model, apart by how often a decode step reads them.

    Args:
        dense: read in every step: attention, norms, routers, what of the feed-forward blocks every
            token passes, and the output head (a tied one too).
        embedding: what a step does not read: the input embedding where it is a matrix of its own,
            of which it looks up one row a token, and an encoder, whose pass is over by then.
        expert: one routed expert of one layer.
        num_experts: routed experts of a layer.
        experts_per_token: of them, how many a token passes.
        moe_layers: layers with routed experts.

    Raises:
        ValueError: a negative number, or more experts per token than there are.
    """

    dense: int
    embedding: int = 0
    expert: int = 0
    num_experts: int = 0
    experts_per_token: int = 0
    moe_layers: int = 0

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{field.name}={value!r}: give a whole number, 0 or more.")
        if self.experts_per_token > self.num_experts:
            raise ValueError(
                f"experts_per_token={self.experts_per_token} of num_experts={self.num_experts}: "
                "a token cannot pass more experts than there are."
            )

    @property
    def total(self) -> int:
        """All parameters."""
        return self.dense + self.embedding + self.moe_layers * self.num_experts * self.expert

    @property
    def active(self) -> int:
        """Parameters that one token is multiplied with; the input embedding is looked up."""
        return self.dense + self.moe_layers * self.experts_per_token * self.expert

    def touched(self, num_tokens: int) -> float:
        """Parameters that a step of this many tokens reads, were every expert as likely.

        Of E experts, n tokens that pass k each touch E (1 - (1 - k/E)^n) on average. Routers are
        trained towards that and do not reach it: real steps touch fewer.

        Args:
            num_tokens: tokens of the step, one for each sequence when decoding.
        """
        check_number(0, num_tokens=num_tokens)
        if not self.num_experts:
            return float(self.dense)
        missed = (1 - self.experts_per_token / self.num_experts) ** num_tokens
        return self.dense + self.moe_layers * self.expert * self.num_experts * (1 - missed)
