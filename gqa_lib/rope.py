"""Rotary position embedding."""

import torch


def rotate(x, positions, base=10000.0):
    """Return x with the pair (i, i + D/2) of each head turned by position * base^(-2i/D).

    The two halves of D are paired, as Hugging Face's checkpoints expect (the paper pairs
    neighbours). Angles are at least fp32: bf16 cannot tell position 257 from 256.

    Args:
        x: queries or keys, (..., T, D), D even.
        positions: (T,), counted from the start of the sequence, cached tokens included.
        base: the slowest pair turns by about 1 / base per position.

    Returns:
        (..., T, D) in x's dtype.

    Raises:
        ValueError: D is odd, or there is not one position for each of the T tokens.

    Source: Su et al. 2021 (arXiv 2104.09864), section 3.2.2.
    """
    T, D = x.shape[-2:]
    if D % 2:
        raise ValueError(
            f"head_dim={D} is odd: RoPE turns pairs of elements, and one would be left over. "
            f"Choose an even head_dim such as {D + 1}."
        )
    if positions.shape != (T,):
        raise ValueError(
            f"positions has shape {tuple(positions.shape)} for T={T} tokens: each token is turned "
            f"by its own position. Pass ({T},), such as torch.arange(start, start + {T})."
        )
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    pair = torch.arange(D // 2, device=x.device, dtype=wide)
    angles = positions.to(x.device, wide)[:, None] * base ** (-2 * pair / D)  # (T, D/2)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.to(wide).chunk(2, -1)  # (..., T, D) -> 2 x (..., T, D/2)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)
