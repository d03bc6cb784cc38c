"""What comes into each layer's attention on a text: its second moments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gqa_lib.arguments import check_kind

from ..hugging_face.write import write_weights
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


def keep_moments(moments: Sequence[Tensor], of: Mapping[str, Any], file: Path) -> None:
    """Write moments to a file, for a conversion that may be stopped.

    Args:
        moments: as `second_moments` gives them.
        of: what they are of, ready for JSON.
        file: that is written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {str(number): one for number, one in enumerate(moments)}
    write_weights(tensors, file, {"of": json.dumps(of, sort_keys=True)})


def kept_moments(file: Path, of: Mapping[str, Any]) -> list[Tensor] | None:
    """Return the moments in a file, None where there are none of this.

    Args:
        file: as `keep_moments` wrote it.
        of: what they should be of.
    """
    if not file.exists():
        return None
    try:
        with safe_open(file, "pt") as opened:
            if (opened.metadata() or {}).get("of") != json.dumps(of, sort_keys=True):
                return None
            names = sorted(opened.keys(), key=int)
            return [opened.get_tensor(name) for name in names]
    except (SafetensorError, ValueError):  # cut off: they are computed again
        return None
