"""Tiny decoders of several kinds, and what conversions are held against."""

import torch

from gqa_lib.attention import Rope
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, Variant

TOKENS = torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(5))
VARIANTS = {
    "llama": Variant(),
    "biases": Variant(qkv_bias=True, out_bias=True),
    "qk-norm": Variant(qk_norm="head"),
    "qk-norm of the projection": Variant(qk_norm="projection", norms="after"),
    "partial rope": Variant(rope=Rope(8, rotary_dim=4)),
    "some layers without rope": Variant(rope=[Rope(8), None]),
}


def decoder(variant, num_kv_heads=6, num_heads=12, head_dim=8, seed=0):
    """Return a decoder in float64, with norms and biases that are not 1 and 0."""
    torch.manual_seed(seed)
    config = ModelConfig("tiny", 2, num_heads, num_kv_heads, head_dim, 20, d_ff=16, vocab_size=11)
    model = LanguageModel(config, VARIANTS[variant], dtype=torch.float64)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.add_(0.3 * torch.randn_like(weight))
            else:
                weight.copy_(torch.randn_like(weight) * 0.3)
    return model


@torch.no_grad()
def logits(model, tokens=TOKENS):
    return model(tokens)


def parts(model, layer=0):
    """Return views of the queries', keys' and values' weights of a layer, by heads."""
    attention = model.layers[layer].attention
    sizes = [n * attention.head_dim for n in (attention.num_heads, *[attention.num_kv_heads] * 2)]
    rows = attention.qkv_proj.weight.detach().split(sizes)
    return [one.unflatten(0, (-1, attention.head_dim)) for one in rows]


@torch.no_grad()
def make_equal(model, groups):
    """Make the KV heads of each group the same as its first one, biases and norms included."""
    for layer in range(len(model.layers)):
        attention = model.layers[layer].attention
        per_head = parts(model, layer)[1:]
        H, D = attention.num_kv_heads, attention.head_dim
        if attention.qkv_proj.bias is not None:
            start = attention.num_heads * D
            per_head += [
                one.unflatten(0, (H, D)) for one in attention.qkv_proj.bias[start:].chunk(2)
            ]
        if attention.qk_norm == "projection":
            per_head.append(attention.k_norm.weight.unflatten(0, (H, D)))
        for one in per_head:
            for group in groups:
                one[group] = one[group[0]].clone()
