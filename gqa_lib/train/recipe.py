"""How a model is trained: steps, learning rates, precision."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from gqa_lib.arguments import check_choice, check_kind, check_number, check_whole, make_plain

PRECISIONS = ("auto", "float32", "bfloat16")
WIDE_ENOUGH = 192  # channels from which bfloat16 gains more in products than its casts cost


@dataclass(frozen=True)
class Recipe:
    """AdamW with a warm-up, then a cosine down to nothing.

    Args:
        steps: of the optimiser.
        batch_size: sequences of each.
        lr: the highest learning rate.
        warmup_steps: over which it rises to that, in a line.
        weight_decay: of AdamW, on everything.
        clip: the norm that gradients are cut to.
        evaluate_every: steps between two evaluations; 0 is only one, at the end.
        evaluate_first: whether there is one before the first step, too.
        precision: of activations; weights and the optimiser stay in float32. "auto" is bfloat16
            where the device computes in it natively and the model is wide enough to gain by it.

    Raises:
        ValueError: a number is not what it should be.
    """

    steps: int = 600
    batch_size: int = 32
    lr: float = 5e-3
    warmup_steps: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    evaluate_every: int = 0
    evaluate_first: bool = False
    precision: str = "auto"

    def __post_init__(self):
        make_plain(self)
        check_whole(steps=self.steps, batch_size=self.batch_size)
        check_whole(0, warmup_steps=self.warmup_steps, evaluate_every=self.evaluate_every)
        check_number(above=0, lr=self.lr, clip=self.clip)
        check_number(0, weight_decay=self.weight_decay)
        check_kind(bool, "Give True or False.", evaluate_first=self.evaluate_first)
        check_choice(PRECISIONS, precision=self.precision)

    def lr_at(self, step: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: from 1 to `steps`.
        """
        warm = min(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * (step - 1) / self.steps))

    def evaluates_at(self, step: int) -> bool:
        """Return whether a model is evaluated after a step.

        Args:
            step: from 1 to `steps`.
        """
        every = self.evaluate_every
        return step == self.steps or bool(every and step % every == 0)


def precision_of(recipe: Recipe, device: torch.device, width: int) -> str:
    """Return what a run computes in: "float32" or "bfloat16".

    Args:
        recipe: its precision, which may be "auto".
        device: of the model.
        width: of the narrowest of its products.
    """
    if recipe.precision != "auto":
        return recipe.precision
    fast = _computes_bfloat16(device) and width >= WIDE_ENOUGH
    return "bfloat16" if fast else "float32"


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are instructions of a device, and not work in addition."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    told = torch.backends.cpu.get_cpu_capability()
    return bool(
        told.startswith("AVX512")
        and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    )
