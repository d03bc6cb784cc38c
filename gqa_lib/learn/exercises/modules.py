"""How attention modules are checked: same weights in, same result out."""

import torch

from ..exercise import Complaint
from .variants import draw, plain_attention

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def weights(generator, d_model, num_heads, num_kv_heads) -> dict[str, torch.Tensor]:
    """Return random projection weights as `nn.Linear` stores them, (out, in)."""
    kv_dim = d_model // num_heads * num_kv_heads
    rows = dict(zip(PROJECTIONS, (d_model, kv_dim, kv_dim, d_model), strict=True))
    return {
        f"{name}.weight": draw(generator, out, d_model) * d_model**-0.5
        for name, out in rows.items()
    }


def module_attention(x, state, num_heads, num_kv_heads, causal, **decisions):
    """Return what an attention module gives for x (B, T, d_model), in float64."""
    x = x.double().cpu()
    head_dim = x.shape[-1] // num_heads

    def project(name: str, heads: int):  # (B, T, heads * D) -> (B, heads, T, D)
        y = x @ state[f"{name}.weight"].double().T
        return y.unflatten(-1, (heads, head_dim)).transpose(1, 2)

    q = project("q_proj", num_heads)
    k, v = project("k_proj", num_kv_heads), project("v_proj", num_kv_heads)
    y = plain_attention(q, k, v, causal, **decisions)
    return y.transpose(1, 2).flatten(2) @ state["o_proj.weight"].double().T


def run_module(module, x, state, causal):
    """Return the learner's module's result after giving it our weights."""
    mine = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if mine != wanted:
        raise Complaint(_weights_differ(mine, wanted))
    module.load_state_dict(state)
    module.to(x.device)
    return module(x) if causal else module(x, causal=False)


def _weights_differ(mine: dict, wanted: dict) -> str:
    if any(name.endswith(".bias") for name in mine):
        return "Its projections have biases; build them with nn.Linear(..., bias=False)."
    for name, shape in wanted.items():
        if name not in mine:
            return f"It has no parameter {name}. It has {', '.join(mine) or 'none'}."
        if mine[name] != shape:
            return f"{name} has shape {mine[name]}; expected {shape}, as (out, in)."
    extra = ", ".join(mine.keys() - wanted.keys())
    return f"It has parameters beyond the four projections: {extra}."
