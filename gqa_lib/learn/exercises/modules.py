"""How attention modules are checked: same weights in, same result out."""

from collections.abc import Sequence

import torch

from gqa_lib.cache import KVCache

from .exercise import Complaint
from .variants import draw, plain_attention

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


State = dict[str, torch.Tensor]


def weights(
    generator: torch.Generator,
    d_model: int,
    num_heads: int,
    num_kv_heads: int,
    dtype: str = "float32",
) -> State:
    """Return random projection weights as `nn.Linear` stores them, (out, in).

    Args:
        generator: of the numbers.
        d_model: the width of the model.
        num_heads, num_kv_heads: Hq and Hkv.
        dtype: name of their dtype.
    """
    kv_dim = d_model // num_heads * num_kv_heads
    rows = dict(zip(PROJECTIONS, (d_model, kv_dim, kv_dim, d_model), strict=True))
    return {
        f"{name}.weight": draw(generator, out, d_model, dtype=dtype) * d_model**-0.5
        for name, out in rows.items()
    }


def module_attention(
    x: torch.Tensor,
    state: State,
    num_heads: int,
    num_kv_heads: int,
    causal: bool = True,
    **decisions,
) -> torch.Tensor:
    """Return what an attention module gives for x (B, T, d_model), in float64.

    Args:
        x: (B, T, d_model).
        state: the projections, as from `weights`.
        num_heads, num_kv_heads: Hq and Hkv.
        causal: whether a token sees no later ones.
        decisions: of `plain_attention`, to take one wrongly.

    Returns:
        (B, T, d_model).
    """
    x = x.double().cpu()
    head_dim = x.shape[-1] // num_heads

    def project(name: str, heads: int):  # (B, T, heads * D) -> (B, heads, T, D)
        y = x @ state[f"{name}.weight"].double().cpu().T
        return y.unflatten(-1, (heads, head_dim)).transpose(1, 2)

    q = project("q_proj", num_heads)
    k, v = project("k_proj", num_kv_heads), project("v_proj", num_kv_heads)
    y = plain_attention(q, k, v, causal, **decisions)
    return y.transpose(1, 2).flatten(2) @ state["o_proj.weight"].double().cpu().T


def run_module(
    module: torch.nn.Module, x: torch.Tensor, state: State, causal: bool | None = None
) -> torch.Tensor:
    """Return the learner's module's result after giving it our weights.

    Args:
        module: the learner's.
        x: (B, T, d_model).
        state: the projections, as from `weights`.
        causal: the argument; None leaves it out, so that its default counts.

    Returns:
        (B, T, d_model).
    """
    give_weights(module, state, x)
    try:
        return module(x) if causal is None else module(x, causal=causal)
    except RuntimeError as error:
        if "mat1 and mat2" in str(error):
            raise Complaint(
                f"It stopped: {error}. If that is a projection: each takes (B, T, d_model), here "
                f"{tuple(x.shape)}. Project x as it is and split the heads afterwards; merge them "
                "before o_proj."
            ) from None
        raise


def run_module_in_chunks(
    module: torch.nn.Module,
    x: torch.Tensor,
    state: State,
    cache: KVCache,
    chunks: list[int],
    causal: bool | None = None,
) -> torch.Tensor:
    """Return the learner's module's result when x comes in chunks of so many tokens, cached.

    Args:
        module: the learner's.
        x: (B, T, d_model).
        state: the projections, as from `weights`.
        cache: empty, with room for T tokens.
        chunks: tokens of each call; T in all.
        causal: the argument; None leaves it out.

    Returns:
        (B, T, d_model).

    Raises:
        Complaint: the cache does not hold the tokens afterwards.
    """
    give_weights(module, state, x)
    given = {} if causal is None else {"causal": causal}
    y = torch.cat([module(part, cache, **given) for part in x.split(chunks, dim=1)], dim=1)
    if cache.length != x.shape[1]:
        raise Complaint(
            f"After {x.shape[1]} tokens the cache holds {cache.length}. In each call append the k "
            "and v of the new tokens, once: k, v = cache.append(k, v)."
        )
    _check_keys(cache, x, state)
    return y


def _check_keys(cache: KVCache, x: torch.Tensor, state: State) -> None:
    """See whether the cache holds what k_proj makes of x: (B, T, d_model) -> (B, Hkv, T, D).

    Raises:
        Complaint: it holds something else as keys.
    """
    held = cache.memory[0][:, :, : cache.length].detach().double().cpu()  # (B, Hkv, T, D)
    keys = x.double().cpu() @ state["k_proj.weight"].double().cpu().T
    keys = keys.unflatten(-1, (held.shape[1], held.shape[3])).transpose(1, 2)
    if not torch.allclose(held, keys, rtol=0, atol=1e-3):
        raise Complaint(
            "What the cache holds as keys is not what k_proj makes of x. Append the keys first, "
            "then the values: cache.append(k, v)."
        )


class SharedHeadsCache(KVCache):
    """A cache that says what is wrong when it is given one copy of K and V per query head."""

    def __init__(self, x: torch.Tensor, Hq: int, Hkv: int):
        B, T, d_model = x.shape
        super().__init__(B, Hkv, T, d_model // Hq, x.dtype, x.device)
        self.num_heads, self.num_kv_heads = Hq, Hkv

    def append(
        self,
        k: torch.Tensor,
        v: torch.Tensor,
        num_new: Sequence[int] | torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append as `KVCache` does.

        Raises:
            Complaint: k has a head for every query head.
        """
        if k.dim() == 4 and k.shape[1] == self.num_heads != self.num_kv_heads:
            raise Complaint(
                f"It caches K and V expanded to all {self.num_heads} query heads. That makes the "
                f"cache {self.num_heads // self.num_kv_heads} times as large, as large as MHA's: "
                f"append the {self.num_kv_heads} KV heads as they are, share them when attending."
            )
        return super().append(k, v, num_new)


def give_weights(module: torch.nn.Module, state: State, x: torch.Tensor) -> None:
    """Load our weights into the learner's module, on x's device and in its dtype.

    Args:
        module: the learner's.
        state: the projections, as from `weights`.
        x: what it will be called with.

    Raises:
        Complaint: its parameters have other names or shapes.
    """
    mine = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if mine != wanted:
        raise Complaint(_weights_differ(mine, wanted))
    module.to(device=x.device, dtype=x.dtype)
    module.load_state_dict(state)


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
