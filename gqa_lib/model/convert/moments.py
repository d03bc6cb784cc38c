"""What comes into each layer's attention on a text: its second moments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind

from ..language_model import LanguageModel


@torch.no_grad()
def second_moments(model: LanguageModel, batches: Iterable[Tensor]) -> list[Tensor]:
    """Return for each layer the mean of x x^T over tokens, x what its projections take and a 1.

    Args:
        model: the one to be converted.
        batches: of a text, each (B, T) int64.

    Returns:
        (d_model + 1, d_model + 1) float64 on the CPU, one for each layer.

    Raises:
        ValueError: there are no tokens, or what comes into a layer overflows.
    """
    check_kind(LanguageModel, "Give what load(folder) returns.", model=model)
    width = model.config.d_model + 1
    sums = [torch.zeros(width, width, dtype=torch.float64) for _ in model.layers]
    count = 0

    def watch(number: int):
        def see(module, arguments):
            x = arguments[0].detach().flatten(0, 1).double().cpu()
            x = torch.cat([x, x.new_ones(len(x), 1)], 1)
            sums[number] += x.T @ x

        return see

    layers: Any = model.layers
    hooks = [
        layer.attention.register_forward_pre_hook(watch(number))
        for number, layer in enumerate(layers)
    ]
    try:
        for tokens in batches:
            model.hidden(tokens.to(model.embedding.weight.device))
            count += tokens.numel()
    finally:
        for hook in hooks:
            hook.remove()
    if not count:
        raise ValueError("batches has no tokens: give some of the text that the model is for.")
    for number, one in enumerate(sums):
        if not one.isfinite().all():
            raise ValueError(
                f"what comes into layer {number} on this text is not finite in "
                f"{model.embedding.weight.dtype}. Load the model in float32: "
                "load(folder, dtype=torch.float32)."
            )
    return [one / count for one in sums]
