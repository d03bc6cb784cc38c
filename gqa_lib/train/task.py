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
