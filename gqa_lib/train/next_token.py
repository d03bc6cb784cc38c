"""Predicting the next token of a text: its batches, its loss, and what is judged by.

N tokens of a text, B sequences, T tokens of each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TOGETHER = 16  # held-out sequences that are judged at a time


def draw(text: Tensor, size: int, context: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return sequences from random places of a text, and the token after each of their tokens.

    Args:
        text: (N,), N > context.
        size: B.
        context: T.
        generator: where they begin is drawn from it.

    Returns:
        Two of (B, T) int64.
    """
    return _at(text, torch.randint(len(text) - context, (size, 1), generator=generator), context)


def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Return the mean loss of a token in nats.

    Args:
        model: from tokens (B, T) to logits (B, T, V).
        batch: as `draw` gives one.
    """
    tokens, following = batch
    return F.cross_entropy(model(tokens).flatten(0, 1).float(), following.flatten())


@torch.no_grad()
def held_out_loss(model: nn.Module, text: Tensor, context: int, size: int) -> float:
    """Return the mean loss of a token in nats, over sequences spread evenly over a text.

    Args:
        model: from tokens (B, T) to logits (B, T, V).
        text: (N,), N > context.
        context: T.
        size: how many sequences.
    """
    device = next(model.parameters()).device
    starts = torch.linspace(0, len(text) - context - 1, size).long()[:, None]
    total = 0.0
    for part in starts.split(_TOGETHER):
        batch = tuple(one.to(device) for one in _at(text, part, context))
        total += loss(model, batch).item() * len(part)
    return total / size


def check_long_enough(context: int, **texts: Tensor) -> None:
    """Refuse texts from which no sequence can be cut.

    Args:
        context: T.
        texts: by their names.

    Raises:
        ValueError: one has too few tokens.
    """
    for name, text in texts.items():
        if len(text) <= context:
            raise ValueError(
                f"{name} has {len(text)} tokens, where a sequence needs context={context} and the "
                "one that follows: none can be cut from it. Give more text, or a shorter context."
            )


def _at(text: Tensor, starts: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """Sequences that begin at some places, (B, 1), and the tokens that follow theirs."""
    pieces = text[starts + torch.arange(context + 1)].long()
    return pieces[:, :-1], pieces[:, 1:]
