"""The constant state of a linear or state-space layer, as Hugging Face transformers keeps it.

A short convolution keeps its last inputs in the model's own precision (2 bytes are counted), the
recurrence its state in float32 unless the file says otherwise. Engines keep one input less of the
convolution.
"""

from __future__ import annotations

from .keys import Keys

_CONV_BYTES = 2
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def state_bytes(keys: Keys, d_model: int, num_heads: int) -> int:
    """Return the bytes of one such layer's state of one sequence.

    Args:
        keys: the text model's keys.
        d_model: its hidden size.
        num_heads: its query heads.

    Raises:
        ValueError: the layers are of a kind whose state is not known here.
    """
    dtype = keys.get("mamba_ssm_cache_dtype", "mamba_ssm_dtype") or "float32"
    keys.skip("mamba_ssm_dtype", "mamba_ssm_cache_dtype")
    if dtype not in _DTYPE_BYTES:
        raise keys.wrong("mamba_ssm_cache_dtype", dtype, "float32, bfloat16 or float16")
    for shape in (_gated_delta, _kimi_delta, _mamba2, _mamba1, _lightning, _short_convolution):
        found = shape(keys, d_model, num_heads)
        if found is not None:
            channels, width, elements = found
            return channels * width * _CONV_BYTES + elements * _DTYPE_BYTES[dtype]
    raise ValueError(
        f"{keys.origin}: it has linear or state-space layers of a kind that is not known here "
        f"(model_type {keys.family!r}), so their constant state cannot be given. Build a "
        "ModelConfig by hand, with state_bytes of each such layer."
    )


Shape = tuple[int, int, int]  # channels and width of the convolution, elements of the recurrence


def _gated_delta(keys: Keys, d_model: int, num_heads: int) -> Shape | None:
    """Qwen3-Next, Qwen3.5, OLMo hybrid."""
    k_dim, v_dim = keys.size("linear_key_head_dim"), keys.size("linear_value_head_dim")
    k_heads, v_heads = keys.size("linear_num_key_heads"), keys.size("linear_num_value_heads")
    if keys.family == "olmo_hybrid":
        k_heads, v_heads = k_heads or num_heads, v_heads or num_heads
        k_dim = k_dim or int(0.75 * d_model / k_heads)
        v_dim = v_dim or 2 * k_dim
    width = keys.size("linear_conv_kernel_dim")
    if not (k_dim and v_dim and k_heads and v_heads and width):
        return None
    return 2 * k_heads * k_dim + v_heads * v_dim, width, v_heads * k_dim * v_dim


def _kimi_delta(keys: Keys, d_model: int, num_heads: int) -> Shape | None:
    """Kimi Linear, Kimi K3, Ling hybrids in KDA."""
    inner = keys.keys_of("linear_attn_config")
    heads = inner.get("num_heads") or keys.size("linear_num_heads")
    dim = inner.get("head_dim") or keys.size("linear_head_dim")
    width = inner.get("short_conv_kernel_size") or keys.size(
        "short_conv_kernel_size", "linear_conv_kernel_dim"
    )
    if not (heads and dim and width):
        return None
    return 3 * heads * dim, width, heads * dim * dim


def _mamba2(keys: Keys, d_model: int, num_heads: int) -> Shape | None:
    heads = keys.size("mamba_num_heads", "mamba_n_heads", "n_mamba_heads")
    state = keys.size("ssm_state_size", "mamba_d_state")
    if not heads or not state or keys.family == "zamba":
        return None
    dim = keys.get("mamba_head_dim", "mamba_d_head", "mamba_headdim")
    expand = keys.size("mamba_expand", "expand") or 2
    inner = keys.size("mamba_d_ssm") or expand * d_model
    dim = dim if isinstance(dim, int) else inner // heads
    groups = keys.size("n_groups", "mamba_n_groups", "mamba_ngroups") or 1
    width = keys.size("conv_kernel", "mamba_d_conv") or 4
    return heads * dim + 2 * groups * state, width, heads * dim * state


def _mamba1(keys: Keys, d_model: int, num_heads: int) -> Shape | None:
    usual = (16, 4) if keys.family == "phi4flash" else (None, None)
    state = keys.size("mamba_d_state") or usual[0]
    width = keys.size("mamba_d_conv") or usual[1]
    if not state or not width:
        return None
    keys.skip("n_mamba_heads", "mamba_dt_rank")
    inner = (keys.size("mamba_expand") or 2) * d_model
    return inner, width, inner * state


def _lightning(keys: Keys, d_model: int, num_heads: int) -> Shape | None:
    """MiniMax-01: heads of a running product of keys and values, in the model's own precision."""
    if not keys.family.startswith("minimax"):
        return None
    dim = keys.size("head_dim") or d_model // num_heads
    return num_heads * dim * dim, 1, 0


def _short_convolution(keys: Keys, d_model: int, num_heads: int) -> Shape | None:
    """LFM2: nothing but a convolution."""
    width = keys.size("conv_L_cache")
    return None if not width else (d_model, width, 0)
