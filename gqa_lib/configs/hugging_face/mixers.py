"""Parameters of what mixes tokens in a layer: attention, latents, linear and state-space layers."""

from __future__ import annotations

from dataclasses import dataclass

from ..layer import LayerKV
from .keys import Keys
from .parts import Family, Switch


@dataclass(frozen=True)
class Model:
    """What the parameters of a model's parts depend on."""

    keys: Keys
    family: Family
    num_heads: int
    d_model: int

    def on(self, switch: Switch) -> bool:
        """Return whether the file has that part switched on."""
        if isinstance(switch, bool):
            return switch
        return self.keys.flag(switch)

    def need(self, *names: str) -> int:
        """Return a size that nothing can be counted without.

        Raises:
            ValueError: neither the file nor its class has it.
        """
        value = self.keys.size(*names)
        if value is None:
            raise self.keys.wrong(names[0], value, "a size")
        return value

    def linear(self, inputs: int, outputs: int, bias: Switch = False) -> int:
        """Return the parameters of a matrix, with its bias.

        Args:
            inputs: channels that come in.
            outputs: channels that go out.
            bias: whether it has one, or the key that says so.
        """
        return inputs * outputs + (outputs if self.on(bias) else 0)


def mixer(model: Model, layer: LayerKV) -> int:
    """Return the parameters of a layer's attention and state, without its norms.

    Args:
        model: whose layer it is.
        layer: what it keeps.

    Raises:
        ValueError: it has something that is not counted here.
    """
    count = 0
    if layer.cross_elements or layer.kind == "compressed":
        raise ValueError(f"{model.keys.origin}: {layer.kind} layers are not counted.")
    if layer.index_dim and not model.family.indexer:
        raise ValueError(f"{model.keys.origin}: its indexers are not counted.")
    if layer.kind == "latent":
        count += _latent(model, layer)
    elif layer.kind != "none":
        count += _attention(model, layer)
    if layer.state_bytes:
        count += _STATES[model.family.state](model)
    return count


def _attention(model: Model, layer: LayerKV) -> int:
    family, d = model.family, model.d_model
    heads, window = model.num_heads, layer.window is not None
    if window:
        heads = model.keys.size("swa_num_attention_heads") or heads
    queries, k = heads * layer.k_dim, layer.num_kv_heads * layer.k_dim
    v = layer.num_kv_heads * layer.value_dim
    if model.keys.flag("attention_k_eq_v") and not window:
        v = 0
    if layer.shares is not None:
        k = v = 0
    count = model.linear(d, queries * (1 + family.query_gate), family.qkv_bias)
    count += model.linear(d, k, family.qkv_bias) + model.linear(d, v, family.qkv_bias)
    count += model.linear(heads * layer.value_dim, d, family.out_bias)
    if family.qk_norm and model.on(family.qk_norm_if):
        both = 2 if k else 1
        count += {
            "head": both * layer.k_dim,
            "head+bias": 2 * both * layer.k_dim,
            "width": queries + k,
        }[family.qk_norm]
    sinks = family.window_sinks if window and family.window_sinks is not None else family.sinks
    return count + (heads if model.on(sinks) else 0)


def _latent(model: Model, layer: LayerKV) -> int:
    d, heads, bias = model.d_model, model.num_heads, model.family.qkv_bias
    rank, rope = layer.k_dim - layer.rope_dim, layer.rope_dim
    nope, v = model.need("qk_nope_head_dim"), model.need("v_head_dim")
    q_rank, queries = model.keys.size("q_lora_rank"), heads * (nope + rope)
    if q_rank is None:
        count = d * queries
    else:
        count = model.linear(d, q_rank, bias) + q_rank + q_rank * queries
    count += model.linear(d, rank + rope, bias) + rank + rank * heads * (nope + v)
    count += model.linear(heads * v, d, model.family.out_bias)
    if layer.index_dim:
        if q_rank is None:
            raise model.keys.wrong("q_lora_rank", q_rank, "a size")
        index_heads, dim = model.need("index_n_heads"), layer.index_dim
        count += q_rank * index_heads * dim + d * dim + 2 * dim + d * index_heads
    return count


def _delta(model: Model) -> int:
    """Gated delta net: Qwen3-Next, Qwen3.5."""
    keys = model.need("linear_num_key_heads") * model.need("linear_key_head_dim")
    heads, dim = model.need("linear_num_value_heads"), model.need("linear_value_head_dim")
    values, width, d = heads * dim, model.need("linear_conv_kernel_dim"), model.d_model
    projections = d * (2 * keys + 2 * values + 2 * heads) + values * d
    return projections + (2 * keys + values) * width + 2 * heads + dim


def _kda(model: Model) -> int:
    """Kimi Linear: a delta rule with a gate for every channel, of low rank."""
    inner = model.keys.keys_of("linear_attn_config")
    heads, dim, width = (
        model.keys.whole(inner[name], name, 1) if inner.get(name) else model.need(other)
        for name, other in (
            ("num_heads", "linear_num_heads"),
            ("head_dim", "linear_head_dim"),
            ("short_conv_kernel_size", "linear_conv_kernel_dim"),
        )
    )
    d, all_heads = model.d_model, heads * dim
    gates = 2 * (d * dim + dim * all_heads) + d * heads
    return 4 * d * all_heads + gates + 3 * all_heads * width + all_heads + heads + dim


def _mamba2(model: Model) -> int:
    keys, d = model.keys, model.d_model
    heads = model.need("mamba_num_heads", "mamba_n_heads")
    dim = keys.get("mamba_head_dim", "mamba_d_head")
    inner = keys.size("mamba_d_ssm") or model.need("mamba_expand", "expand") * d
    if isinstance(dim, int):
        inner = heads * dim
    channels = inner + 2 * model.need("n_groups", "mamba_n_groups") * model.need(
        "ssm_state_size", "mamba_d_state"
    )
    conv_bias = keys.flag("use_conv_bias", "mamba_conv_bias")
    biased = keys.flag("mamba_proj_bias", "use_bias")
    out_biased = keys.flag("projectors_bias") if keys.family == "falcon_h1" else biased
    normed = keys.family != "falcon_h1" or keys.flag("mamba_rms_norm")
    count = model.linear(d, inner + channels + heads, biased) + 3 * heads
    count += channels * (model.need("conv_kernel", "mamba_d_conv") + conv_bias)
    return count + model.linear(inner, d, out_biased) + (inner if normed else 0)


def _mamba1(model: Model) -> int:
    keys, d = model.keys, model.d_model
    inner, state = model.need("mamba_expand") * d, model.need("mamba_d_state")
    rank = keys.get("mamba_dt_rank")
    rank = rank if isinstance(rank, int) else -(-d // 16)
    biased, conv_bias = keys.flag("mamba_proj_bias"), keys.flag("mamba_conv_bias")
    count = model.linear(d, 2 * inner, biased) + model.linear(inner, d, biased)
    count += inner * (model.need("mamba_d_conv") + conv_bias) + inner * (rank + 2 * state)
    return count + model.linear(rank, inner, True) + inner * (state + 1) + rank + 2 * state


def _lightning(model: Model) -> int:
    """MiniMax-01: queries, keys, values, a gate, the way back and a norm."""
    width = model.num_heads * (model.keys.size("head_dim") or model.d_model // model.num_heads)
    return 5 * model.d_model * width + width


def _unknown(model: Model) -> int:
    raise ValueError(f"{model.keys.origin}: its linear or state-space layers are not counted.")


_STATES = {
    "": _unknown,
    "delta": _delta,
    "kda": _kda,
    "mamba2": _mamba2,
    "mamba1": _mamba1,
    "lightning": _lightning,
}
