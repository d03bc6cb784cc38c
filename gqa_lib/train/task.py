"""What can be trained on: a task makes models, draws batches, and says how good a model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gqa_lib.arguments import check_whole, make_plain
from gqa_lib.heads import check_heads


@dataclass(frozen=True)
class Heads:
    """The heads of a model's attention.

    Args:
        num_heads: query heads.
        num_kv_heads: KV heads, a divisor of num_heads.
        head_dim: elements of a head.

    Raises:
        ValueError: num_kv_heads does not divide num_heads, or a size is not a whole number from 1.
    """

    num_heads: int
    num_kv_heads: int
    head_dim: int

    def __post_init__(self):
        make_plain(self)
        check_whole(head_dim=self.head_dim)
        check_heads(self.num_heads, self.num_kv_heads)

    @property
    def cached_numbers(self) -> int:
        """Numbers that a layer caches for each token: its K and its V."""
        return 2 * self.num_kv_heads * self.head_dim

    def __str__(self) -> str:
        return f"q{self.num_heads}-kv{self.num_kv_heads}-d{self.head_dim}"


@dataclass(frozen=True)
class Latent(Heads):
    """The heads of a model with latent attention (MLA): their keys and values are not cached.

    Args:
        num_heads: query heads.
        num_kv_heads: as many: each query head has a key and a value of its own, made of the latent.
        head_dim: elements of a head, none of which turn.
        kv_lora_rank: elements of the latent, which is all that a layer caches of a token.

    Raises:
        ValueError: num_kv_heads is another number than num_heads, or a size is not a whole number
            from 1.
    """

    kv_lora_rank: int

    def __post_init__(self):
        super().__post_init__()
        check_whole(kv_lora_rank=self.kv_lora_rank)
        if self.num_kv_heads != self.num_heads:
            raise ValueError(
                f"num_kv_heads={self.num_kv_heads} of num_heads={self.num_heads} with a latent: "
                "keys and values are made for every query head, and what is cached is the latent. "
                f"Give num_kv_heads={self.num_heads}."
            )

    @property
    def cached_numbers(self) -> int:
        """Numbers that a layer caches for each token: its latent."""
        return self.kv_lora_rank

    def __str__(self) -> str:
        return f"{super().__str__()}-latent{self.kv_lora_rank}"


def check_shared_heads(heads: Heads) -> None:
    """Refuse latent attention where only KV heads can be shared.

    Args:
        heads: of a model.

    Raises:
        ValueError: they have a latent.
    """
    if isinstance(heads, Latent):
        raise ValueError(
            f"heads={heads} keep a latent, and this model has keys and values of its own: it would "
            "be trained as something else. Give Heads(...), or train on RecallTask()."
        )


@runtime_checkable
class Task(Protocol):
    """What `fit` needs to know of a task; `RecallTask` and `TextTask` are two."""

    def new_model(self, heads: Heads) -> nn.Module:
        """Return a model with random weights, drawn from torch's generator."""

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return a batch.

        Args:
            size: how many sequences.
            generator: on the CPU; they are drawn from it.
        """

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the mean loss of what a model predicts, in nats, a scalar.

        Args:
            model: as `new_model` makes one.
            batch: as `batch` gives one.
        """

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return what a model achieves on data that it is never trained on; "loss" is in nats."""

    def described(self) -> dict[str, Any]:
        """Return what the task is, ready for JSON: runs of another one are not continued."""
