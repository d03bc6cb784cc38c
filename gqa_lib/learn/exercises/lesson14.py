"""Lesson 14: the bytes of latents, and attention that reads them without making a key."""

from collections.abc import Callable
from functools import partial

import torch

from ..watch import watching, where_seen
from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .variants import bottom_right, draw

_LESSON = "14-beyond-gqa"


# Bytes of one token's latents


def _sizes(generator: torch.Generator, L=0, rank=0, rope=0, b: float = 2, draw=0):
    for _ in range(draw):
        L, rank, rope, quarters = integers(generator, 90, 700, 99, 16)
        b = quarters / 4
    return L, rank, rope, b


def _latent_bytes(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    """Add up layer by layer: one latent and one rotary key, whatever the number of heads."""
    token = [kv_lora_rank, rope_head_dim]
    return float(sum(bytes_per_element * numbers for _ in range(num_layers) for numbers in token))


MLA_BYTES_PER_TOKEN = Exercise(
    name="mla_bytes_per_token",
    lesson=_LESSON,
    make=_sizes,
    oracle=_latent_bytes,
    cases=(
        {"L": 3, "rank": 11, "rope": 4},
        {"L": 60, "rank": 512, "rope": 64},
        {"L": 61, "rank": 512, "rope": 64, "b": 1},
        {"L": 62, "rank": 256, "rope": 32, "b": 4},
        {"L": 60, "rank": 512, "rope": 64, "b": 0.75},
        {"L": 7, "rank": 20, "rope": 0},
    ),
    mistakes=(
        Mistake(
            "two latents are counted. K and V are both made from one and the same.",
            lambda L, rank, rope, b: L * (2 * rank + rope) * b,
        ),
        Mistake(
            "everything is counted twice, as if a K and a V were kept. One latent and one rotary "
            "key are kept.",
            lambda L, rank, rope, b: 2 * L * (rank + rope) * b,
        ),
        Mistake(
            "the rotary key is left out. It is kept next to the latent.",
            lambda L, rank, rope, b: L * rank * b,
        ),
        Mistake(
            "the rotary key is subtracted. It is kept next to the latent: add its numbers.",
            lambda L, rank, rope, b: L * (rank - rope) * b,
        ),
        Mistake(
            "the layers are left out. Each keeps a latent of its own.",
            lambda L, rank, rope, b: (rank + rope) * b,
        ),
        Mistake(
            "numbers are counted. Bytes are asked for: each number takes bytes_per_element.",
            lambda L, rank, rope, b: L * (rank + rope),
        ),
        Mistake(
            "the rotary key is counted in one layer only. Each layer keeps one.",
            lambda L, rank, rope, b: (L * rank + rope) * b,
        ),
        Mistake(
            "fractions of a byte are cut off. With 6 bits for a number bytes_per_element is 0.75.",
            lambda L, rank, rope, b: L * (rank + rope) * int(b),
        ),
        Mistake(
            "the two sizes are multiplied. They lie next to each other: add them.",
            lambda L, rank, rope, b: L * rank * rope * b,
        ),
    ),
)


# Attention over latents


def _latents(
    generator, B, H, T, S, Dn, Dr, rank, Dv, causal: bool | None = True, dtype="float32", sharp=1.0
):
    q_nope, q_rope = (draw(generator, B, H, T, D, dtype=dtype) * sharp for D in (Dn, Dr))
    latent, rope_key = (draw(generator, B, S, D, dtype=dtype) for D in (rank, Dr))
    w_uk, w_uv = (draw(generator, H, D, rank, dtype=dtype) / rank**0.5 for D in (Dn, Dv))
    given = q_nope, q_rope, latent, rope_key, w_uk, w_uv
    return given if causal is None else (*given, causal)


def latent_attention(
    q_nope: torch.Tensor,
    q_rope: torch.Tensor,
    latent: torch.Tensor,
    rope_key: torch.Tensor,
    w_uk: torch.Tensor,
    w_uv: torch.Tensor,
    causal: bool = True,
    *,
    scale: Callable[[int, int, int], float] = lambda Dn, Dr, rank: (Dn + Dr) ** -0.5,
    mask: Callable[[int, int], torch.Tensor] = bottom_right,
    masked_score: float = -torch.inf,
    weights: Callable[..., torch.Tensor] = lambda nope, rope: (nope + rope).softmax(-1),
    head_of: Callable[[int], int] = lambda head: head,
    read: Callable[..., torch.Tensor] = lambda latent, rope_key: latent,
) -> torch.Tensor:
    """Return latent attention in float64, with the keys and values of each head made: expanded.

    Args:
        q_nope, q_rope: (B, H, T, Dn) and (B, H, T, Dr).
        latent, rope_key: (B, S, rank) and (B, S, Dr).
        w_uk, w_uv: (H, Dn, rank) and (H, Dv, rank).
        causal: query i of T sees keys up to S - T + i.
        scale: of Dn, Dr and rank to what scores are multiplied by.
        mask, masked_score: as in `plain_attention`.
        weights: of the two parts of the scores, (B, T, S) each.
        head_of: of a query head, whose matrices it has.
        read: of latent and rope_key, what values are made from.
    """
    wide = [t.double().cpu() for t in (q_nope, q_rope, latent, rope_key, w_uk, w_uv)]
    q_nope, q_rope, latent, rope_key, w_uk, w_uv = wide
    factor = scale(q_nope.shape[-1], q_rope.shape[-1], latent.shape[-1])
    heads = []
    for head in range(q_nope.shape[1]):
        key = latent @ w_uk[head_of(head)].mT  # (B, S, Dn)
        value = read(latent, rope_key) @ w_uv[head_of(head)].mT
        nope, rope = q_nope[:, head] @ key.mT * factor, q_rope[:, head] @ rope_key.mT * factor
        if causal:
            hidden = ~mask(*nope.shape[-2:])
            nope = nope.masked_fill(hidden, masked_score)
            rope = rope.masked_fill(hidden, 0.0 if masked_score > -torch.inf else masked_score)
        heads.append(weights(nope, rope) @ value)
    return torch.stack(heads, 1)


def _run(yours, *arguments):
    """Return the learner's result, once it is seen to be computed without keys or values."""
    q_nope, q_rope, latent, _, _, w_uv = arguments[:6]
    (B, H, T, Dn), (_, S, rank), Dv = q_nope.shape, latent.shape, w_uv.shape[1]
    made = B * S * min(Dn, Dv)  # the smaller of a head's keys and values
    needed = B * S * max(H * T, rank + q_rope.shape[-1]), B * H * rank * max(Dn, Dv)
    if made <= max(needed):
        return yours(*arguments)  # sizes that tell nothing
    there = where_seen(yours)
    with watching(there, made=True) as watch:
        result = there(*arguments)
    seen = watch.seen(result)
    if isinstance(result, torch.Tensor) and seen.largest >= made and _near(result, arguments):
        raise Complaint(
            f"Its values are right, but {seen.operation} makes a tensor of {seen.largest:,} "
            f"numbers. The {B} x {S} latents are {B * S * rank:,}, and the keys of a single head "
            f"{B * S * Dn:,}: keys or values were made after all, or the latents copied for every "
            "head. Multiply the query by w_uk instead, read the latents with all heads' queries as "
            "rows of one matrix, and multiply what comes out by w_uv."
        )
    return result


def _near(result, arguments):
    right = latent_attention(*arguments)
    return result.shape == right.shape and torch.allclose(
        result.detach().cpu().double(), right, rtol=0, atol=1e-2
    )


def _other(**steps):
    return partial(latent_attention, **steps)


def _top_left(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril()


ABSORBED_MLA_ATTENTION = Exercise(
    name="absorbed_mla_attention",
    lesson=_LESSON,
    make=_latents,
    oracle=lambda q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True: latent_attention(
        q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal
    ),
    call=_run,
    cases=(
        {"B": 2, "H": 3, "T": 2, "S": 7, "Dn": 5, "Dr": 4, "rank": 6, "Dv": 8},
        {"B": 2, "H": 3, "T": 2, "S": 7, "Dn": 5, "Dr": 4, "rank": 6, "Dv": 8, "causal": False},
        {"B": 1, "H": 4, "T": 1, "S": 9, "Dn": 7, "Dr": 2, "rank": 7, "Dv": 7},
        {"B": 3, "H": 2, "T": 4, "S": 6, "Dn": 3, "Dr": 6, "rank": 10, "Dv": 3, "causal": None},
        {"B": 2, "H": 2, "T": 2, "S": 64, "Dn": 21, "Dr": 4, "rank": 11, "Dv": 18},
        {"B": 2, "H": 3, "T": 1, "S": 80, "Dn": 17, "Dr": 2, "rank": 12, "Dv": 20},
        {"B": 1, "H": 5, "T": 5, "S": 5, "Dn": 4, "Dr": 2, "rank": 3, "Dv": 6, "dtype": "float64"},
        {
            "B": 2,
            "H": 2,
            "T": 6,
            "S": 6,
            "Dn": 7,
            "Dr": 4,
            "rank": 5,
            "Dv": 3,
            "sharp": 1e5,
            "dtype": "float64",
        },
        {"B": 1, "H": 3, "T": 2, "S": 6, "Dn": 4, "Dr": 2, "rank": 5, "Dv": 3, "dtype": "bfloat16"},
    ),
    trains=True,
    mistakes=(
        Mistake(
            "scores are scaled by the width of what is cached, latent and rotary key. Absorbing "
            "changes how they are computed and not what they are: the scale is that of the heads, "
            "(Dn + Dr) ** -0.5.",
            _other(scale=lambda Dn, Dr, rank: (rank + Dr) ** -0.5),
        ),
        Mistake(
            "scores are scaled by the latent's width. The scale is that of the heads, "
            "(Dn + Dr) ** -0.5.",
            _other(scale=lambda Dn, Dr, rank: rank**-0.5),
        ),
        Mistake(
            "scores are scaled by the part of the heads that does not turn. A score sums over both "
            "parts: (Dn + Dr) ** -0.5.",
            _other(scale=lambda Dn, Dr, rank: Dn**-0.5),
        ),
        Mistake(
            "scores are not scaled. Multiply them by (Dn + Dr) ** -0.5.",
            _other(scale=lambda Dn, Dr, rank: 1.0),
        ),
        Mistake(
            "the rotary part of the scores is missing: without it nothing says where a token is.",
            _other(weights=lambda nope, rope: nope.softmax(-1)),
        ),
        Mistake(
            "each part of the scores has a softmax of its own. Add the parts, then take one.",
            _other(weights=lambda nope, rope: nope.softmax(-1) + rope.softmax(-1)),
        ),
        Mistake(
            "every head has the matrices of head 0. Only the latent is shared.",
            _other(head_of=lambda head: 0),
        ),
        Mistake(
            "values are made from the end of what is cached, with the rotary key in it. They are "
            "made from the latent.",
            _other(read=lambda latent, key: torch.cat((latent, key), -1)[..., -latent.shape[-1] :]),
        ),
        Mistake(
            "no mask is applied: with causal=True, its default, a query must not see later tokens.",
            lambda *given: latent_attention(*(*given[:6], False)),
        ),
        Mistake(
            "no mask is applied when causal is left out of the call: its default is True.",
            lambda *given: latent_attention(*(given if len(given) > 6 else (*given, False))),
        ),
        Mistake(
            "a mask is applied although causal=False.",
            lambda *given: latent_attention(*(*given[:6], True)),
        ),
        Mistake(
            "the causal mask is aligned to the top left. With more tokens than queries, the last "
            "query must see every token.",
            _other(mask=_top_left),
        ),
        *(
            Mistake(
                "hidden scores are set to a finite number. Set them to -inf before the softmax.",
                _other(masked_score=score),
            )
            for score in (0.0, -1e3, -1e4)
        ),
    ),
)

EXERCISES = [MLA_BYTES_PER_TOKEN, ABSORBED_MLA_ATTENTION]
