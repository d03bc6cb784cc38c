"""What a model of Hugging Face transformers keeps in its own cache, counted without its memory.

The model is built on the meta device, where tensors have shapes and no numbers. Its feed-forward
blocks are left out: they keep nothing.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

FFN = ("mlp", "feed_forward", "block_sparse_moe", "ffn", "moe")
WITH_ROUTERS = ("GptOssMLP", "Llama4TextMoe", "ZayaMLP")
STATES = ("conv", "recurrent", "ssm", "state", "linear_cache")
WORKING = ("buffer", "overlap")  # of entries that are not whole yet


class NoFfn(nn.Module):
    """Stands in for a feed-forward block."""

    def __init__(self, block):
        super().__init__()
        self.routed = type(block).__name__ in WITH_ROUTERS

    def forward(self, x, *args, **kwargs):
        """Return nothing but the shape."""
        return (torch.zeros_like(x), None) if self.routed else torch.zeros_like(x)


def own_cache(config, num_tokens):
    """Return the parameters, and a prompt's bytes by what they are: kv, index, state, working."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
        parameters = sum(one.numel() for one in model.parameters())
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if name in FFN:
                    setattr(parent, name, NoFfn(child))
        prompt = torch.zeros(1, num_tokens, dtype=torch.long)
        with torch.no_grad():
            output = model(input_ids=prompt, use_cache=True)
    held: Counter = Counter()
    for path, tensor in _tensors(output["past_key_values"], "", set()):
        if tensor.dtype.is_floating_point:
            held[_what(path)] += tensor.nbytes
    return parameters, held


def _what(path):
    for what, parts in (("working", WORKING), ("state", STATES), ("index", ("index",))):
        if any(part in path for part in parts):
            return what
    return "kv"


def _tensors(value, path, seen, depth=0):
    if isinstance(value, torch.Tensor):
        if id(value) not in seen:
            seen.add(id(value))
            yield path, value
        return
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    elif hasattr(value, "__dict__") and depth < 6 and not isinstance(value, nn.Module):
        inner = vars(value).items()
    for name, one in inner:
        yield from _tensors(one, f"{path}.{name}", seen, depth + 1)
