"""A task that needs what is cached: records are shown once, then asked for by their keys.

n records, A attributes each, Q queries, V values of an attribute.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gqa_lib.arguments import check_whole, make_plain
from gqa_lib.attention import GroupedQueryAttention, LatentAttention

from .task import Heads, Latent

_HELD_OUT = 7  # seed of the sequences that models are judged by: the same for all of them


@dataclass(frozen=True)
class RecallTask:
    """Multi-attribute recall: a query shows a record's key, all of its attributes are the answer.

    A record is one position: its key and its attributes are added up there. What a model answers
    must have passed through the K and V of that position, so their size is what is tested. The
    keys of a sequence differ; attributes are drawn independently and uniformly, and nothing but
    the sequence tells them.

    Args:
        num_records: n, positions that hold something.
        num_attributes: A, of a record.
        num_values: V, that an attribute may have; 1 / V of the answers are right by chance.
        num_keys: keys that there are, at least num_records.
        num_queries: Q, records that are asked for, at most num_records.
        d_model: width of the model.
        d_ff: width of a feed-forward block after the attention; 0 is none.
        held_out: sequences that a model is judged by.

    Raises:
        ValueError: a size is not a whole number, or records cannot have keys of their own.
    """

    num_records: int = 16
    num_attributes: int = 8
    num_values: int = 16
    num_keys: int = 128
    num_queries: int = 8
    d_model: int = 64
    d_ff: int = 0
    held_out: int = 512

    def __post_init__(self):
        make_plain(self)
        sizes = asdict(self)
        check_whole(0, d_ff=sizes.pop("d_ff"))
        check_whole(**sizes)
        if not self.num_queries <= self.num_records <= self.num_keys:
            raise ValueError(
                f"num_queries={self.num_queries}, num_records={self.num_records}, num_keys="
                f"{self.num_keys}: each query asks for another record, and each record has a key "
                "of its own. Choose num_queries <= num_records <= num_keys."
            )

    @property
    def chance(self) -> float:
        """The share of right answers of a model that knows nothing."""
        return 1 / self.num_values

    def new_model(self, heads: Heads) -> RecallModel:
        """Return a model of one attention layer with random weights.

        Args:
            heads: of that layer.
        """
        return RecallModel(self, heads)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return sequences and their answers.

        Args:
            size: B, how many.
            generator: they are drawn from it.

        Returns:
            Keys (B, n) and attributes (B, n, A) of the records, keys asked for (B, Q), and the
            attributes that are the answers (B, Q, A); all int64.
        """
        n, A, Q = self.num_records, self.num_attributes, self.num_queries
        keys = torch.rand(size, self.num_keys, generator=generator).argsort(1)[:, :n]
        attributes = torch.randint(self.num_values, (size, n, A), generator=generator)
        asked = torch.rand(size, n, generator=generator).argsort(1)[:, :Q]
        answers = attributes.gather(1, asked[..., None].expand(-1, -1, A))
        return keys, attributes, keys.gather(1, asked), answers

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the mean loss of an answered attribute, in nats.

        Args:
            model: as `new_model` makes one.
            batch: as `batch` gives one.
        """
        *shown, answers = batch
        return F.cross_entropy(model(*shown).flatten(0, 2).float(), answers.flatten())

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss in nats and the share of attributes that are right, "accuracy".

        Args:
            model: as `new_model` makes one.
        """
        device = next(model.parameters()).device
        drawn = self.batch(self.held_out, torch.Generator().manual_seed(_HELD_OUT))
        *shown, answers = (one.to(device) for one in drawn)
        logits = model(*shown).float()
        right = (logits.argmax(-1) == answers).double().mean()
        loss = F.cross_entropy(logits.flatten(0, 2), answers.flatten())
        return {"loss": loss.item(), "accuracy": right.item()}

    def described(self) -> dict[str, Any]:
        """Return the task's sizes."""
        return {"task": "recall"} | asdict(self)


class RecallModel(nn.Module):
    """One layer of attention over records and queries, and a head that names every attribute.

    Args:
        task: its sizes.
        heads: of the attention.
    """

    first_rows: Tensor  # of each attribute in the table, (A,)

    def __init__(self, task: RecallTask, heads: Heads):
        super().__init__()
        A, V, d_model = task.num_attributes, task.num_values, task.d_model
        self.keys = nn.Embedding(task.num_keys, d_model)
        self.attributes = nn.Embedding(A * V, d_model)  # value v of attribute a is row a V + v
        self.asked = nn.Parameter(torch.zeros(d_model))  # what makes a query of a key
        for table in (self.keys, self.attributes):
            nn.init.normal_(table.weight, std=1 / math.sqrt(d_model))
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = _attention(d_model, heads)
        self.mlp = _mlp(d_model, task.d_ff) if task.d_ff else None
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, A * V, bias=False)
        self.register_buffer("first_rows", torch.arange(0, A * V, V), persistent=False)

    def forward(self, keys: Tensor, attributes: Tensor, asked: Tensor) -> Tensor:
        """Return the logits of every attribute of what is asked for.

        Args:
            keys: of the records, (B, n).
            attributes: of the records, (B, n, A).
            asked: the keys of the queries, (B, Q).

        Returns:
            (B, Q, A, V).
        """
        records = self.keys(keys) + self.attributes(attributes + self.first_rows).sum(2)
        x = torch.cat([records, self.keys(asked) + self.asked], 1)  # (B, n + Q, d_model)
        x = x + self.attention(self.attention_norm(x))
        x = x[:, keys.shape[1] :]  # the queries' positions, (B, Q, d_model)
        if self.mlp is not None:
            x = x + self.mlp(x)
        return self.head(self.norm(x)).unflatten(-1, (attributes.shape[2], -1))


def _attention(d_model: int, heads: Heads) -> nn.Module:
    if isinstance(heads, Latent):
        return LatentAttention(
            d_model,
            heads.num_heads,
            head_dim=heads.head_dim,
            rope_head_dim=0,
            kv_lora_rank=heads.kv_lora_rank,
        )
    return GroupedQueryAttention(
        d_model, heads.num_heads, heads.num_kv_heads, head_dim=heads.head_dim
    )


def _mlp(d_model: int, d_ff: int) -> nn.Sequential:
    sizes = nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model)
    return nn.Sequential(nn.LayerNorm(d_model), *sizes)
