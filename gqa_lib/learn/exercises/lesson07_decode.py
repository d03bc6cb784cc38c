"""Lesson 07: the decode kernel, graded in Triton's interpreter."""

import math
from collections.abc import Sequence

import torch

from gqa_lib.kernels.reference import attention_reference

from .exercise import Complaint, Exercise, Mistake
from .launch import launch, poisoned, untouched
from .lesson07_kernels import ROWS, SPARE, refuse_dots
from .variants import draw

_LESSON = "07-decode-kernel"


def in_parts(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bounds: Sequence[tuple[int, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (P, B, Hq, 1, D) outputs and (P, B, Hq, 1) log-sum-exps of parts (start, end) of keys.

    In float64; a part without keys has output 0 and log-sum-exp -inf.

    Args:
        q: (B, Hq, 1, D).
        k, v: (B, Hkv, S, D).
        bounds: (start, end) of each part's keys.
    """
    R, scale = q.shape[1] // k.shape[1], q.shape[-1] ** -0.5
    q, k, v = q.double(), k.double(), v.double()
    outs, lses = [], []
    for start, end in bounds:
        out = torch.zeros(q.shape, dtype=torch.float64)
        lse = torch.full(q.shape[:3], -torch.inf, dtype=torch.float64)
        for h in range(q.shape[1]) if end > start else ():
            key, value = (t[:, h // R, start:end] for t in (k, v))
            scores = q[:, h] @ key.mT * scale
            out[:, h], lse[:, h] = scores.softmax(-1) @ value, scores.logsumexp(-1)
        outs.append(out)
        lses.append(lse)
    return torch.stack(outs), torch.stack(lses)


def _merged(outs, lses):
    """Return the pair of all parts together; what an empty part holds does not count."""
    lses = lses.double()
    weights = (lses - lses.logsumexp(0)).exp().unsqueeze(-1)
    outs = torch.where(lses.unsqueeze(-1) == -torch.inf, 0.0, outs.double())
    return (weights * outs).sum(0), lses.logsumexp(0)


def _cached(
    generator, B, Hq, Hkv, S, D, KEYS, parts, room=0, token_major=False, dtype="float32", levels=()
):
    """Return the arguments of a case.

    With `levels`, keys come in as many stretches of about equal length, and the scores of each are
    near its level. They are exact in float32 if D is 16: q and k are multiples of a quarter.
    """
    q = draw(generator, B, Hq, 1, D, dtype=dtype)
    k, v = (draw(generator, B, Hkv, S, D, dtype=dtype) for _ in range(2))
    if levels:
        q, k = 1 + (4 * q.abs()).round() / 4, (4 * k).round() / 4
        for stretch, level in zip(k.tensor_split(len(levels), 2), levels, strict=True):
            stretch += round(level * D**0.5 / float(q.sum(-1).mean()))
    return q, k, v, room or S, token_major, KEYS, parts


def _run_kernel(yours, q, k, v, room, token_major, KEYS, parts):
    """Return what the kernel's parts give when merged, and what was seen of it."""
    (B, Hq, _, D), (_, Hkv, S, _) = q.shape, k.shape
    k_cache, v_cache = (poisoned(t, room, token_major) for t in (k, v))
    outs = q.new_full(((B * Hq + SPARE) * parts, D), torch.nan, dtype=torch.float32)
    lses = q.new_full(((B * Hq + SPARE) * parts,), torch.nan, dtype=torch.float32)
    given = [q, k_cache, v_cache, outs, lses, S, D**-0.5, *k_cache.stride()[:3]]
    sizes = {"Hkv": Hkv, "R": Hq // Hkv, "D": D, "ROWS": ROWS, "KEYS": KEYS, "SPLITS": parts}
    after, seen = launch(yours, (B * Hkv, parts), given, **sizes)
    refuse_dots(seen)
    outs = untouched(after[3], B * Hq * parts, "out").view(B, Hq, 1, parts, D).movedim(3, 0)
    lses = untouched(after[4], B * Hq * parts, "lse").view(B, Hq, 1, parts).movedim(3, 0)
    if ((lses < -1e3) & lses.isfinite()).any():
        raise Complaint(
            f"the lse of a part is {lses[lses.isfinite()].min():.4g}, lower than any score. A part "
            "without keys has minus infinity, the logarithm of 0: nothing else gives it no weight."
        )
    return tuple(t.to(q.dtype) for t in _merged(outs, lses)), seen


def _run_decode(yours, *arguments):
    return _run_kernel(yours, *arguments)[0]


def _run_counted(yours, *arguments):
    result, seen = _run_kernel(yours, *arguments)
    least = arguments[1].numel()  # elements of K
    reads = seen.reads[1:3] or [least, least]  # on a GPU none are seen
    for name, read in zip("kv", reads, strict=True):
        if read < least:
            raise Complaint(
                f"`{name}` has {least:,} elements up to `length`, and the kernel is seen to read "
                f"{read:,} of them, too few for its result: load them with tl.load."
            )
        if read > least:
            raise Complaint(
                f"`{name}` has {least:,} elements up to `length`, and the kernel reads {read:,}: "
                f"{read / least:.1f} times as many bytes as it must. Each program reads the keys "
                "of its own part, tile after tile, once for all R query heads."
            )
    return result


def _bounds(S, KEYS, parts):
    """Return each part's keys: whole tiles, the last parts perhaps without any."""
    tiles = -(-S // KEYS)
    size = -(-tiles // parts) * KEYS
    return [(min(p * size, S), min(p * size + size, S)) for p in range(parts)]


def _decode(q, k, v, room, token_major, KEYS, parts):
    return _merged(*in_parts(q, k, v, _bounds(k.shape[2], KEYS, parts)))


def _changed(change):
    """Return decoding with q, k and v changed beforehand."""

    def wrong(q, k, v, room, token_major, KEYS, parts):
        q, k, v = change(q, k, v)
        return _decode(q, k, v, room, token_major, KEYS, parts)

    return wrong


def _tile_by_tile(q, k, v, KEYS, parts, step):
    """Return decoding by an online softmax whose `step(old, total, acc, p, values)` is open."""
    R, outs, lses = q.shape[1] // k.shape[1], [], []
    k, v = (t.double().repeat_interleave(R, 1) for t in (k, v))
    scores = (q.double() @ k.mT * q.shape[-1] ** -0.5)[:, :, 0]  # (B, Hq, S)
    for start, end in _bounds(k.shape[2], KEYS, parts):
        top = scores.new_full(scores.shape[:2], -torch.inf)
        total, acc = torch.zeros_like(top), torch.zeros_like(q[:, :, 0], dtype=torch.float64)
        for t in range(start, end, KEYS):
            tile = scores[:, :, t : min(t + KEYS, end)]
            new = torch.maximum(top, tile.amax(-1))
            p = (tile - new.unsqueeze(-1)).exp()
            weighted = (p.unsqueeze(-1) * v[:, :, t : t + p.shape[-1]]).sum(2)
            total, acc = step((top - new).exp(), total, acc, p.sum(-1), weighted)
            top = new
        outs.append((acc / total.unsqueeze(-1)).unsqueeze(2))
        lses.append((top + total.log()).unsqueeze(2))
    return _merged(torch.stack(outs), torch.stack(lses))


def _stepping(step):
    return lambda q, k, v, room, token_major, KEYS, parts: _tile_by_tile(q, k, v, KEYS, parts, step)


def _past_the_end(q, k, v, room, token_major, KEYS, parts):
    """Return decoding where masked keys are zeros that take part in the softmax."""
    outs, lses = in_parts(q, k, v, _bounds(k.shape[2], KEYS, parts))
    for p, (start, end) in enumerate(_bounds(k.shape[2], KEYS, parts)):
        if missing := -(end - start) % KEYS:
            more = torch.logaddexp(lses[p], torch.tensor(float(missing)).double().log())
            outs[p] *= (lses[p] - more).exp().unsqueeze(-1)
            lses[p] = more
    return _merged(outs, lses)


def _lse_is(lse):
    """Return decoding whose parts give `lse(lse, KEYS of one tile's maximum)` instead."""

    def wrong(q, k, v, room, token_major, KEYS, parts):
        outs, lses = in_parts(q, k, v, _bounds(k.shape[2], KEYS, parts))
        return _merged(outs, lse(lses))

    return wrong


def _all_keys(q, k, v, room, token_major, KEYS, parts):
    out, lse = _merged(*in_parts(q, k, v, [(0, k.shape[2])] * parts))
    return out, lse


GQA_DECODE_KERNEL = Exercise(
    name="gqa_decode_kernel",
    lesson=_LESSON,
    make=_cached,
    oracle=lambda q, k, v, room, token_major, KEYS, parts: _exact(q, k, v),
    call=_run_decode,
    cases=(
        {"B": 1, "Hq": 6, "Hkv": 2, "S": 150, "D": 32, "KEYS": 64, "parts": 2, "room": 155},
        {"B": 1, "Hq": 4, "Hkv": 1, "S": 20, "D": 32, "KEYS": 32, "parts": 2},
        {"B": 2, "Hq": 4, "Hkv": 2, "S": 34, "D": 16, "KEYS": 16, "parts": 1, "token_major": True},
        {
            **{"B": 1, "Hq": 5, "Hkv": 1, "S": 45, "D": 16, "KEYS": 16, "parts": 2},
            **{"room": 50, "token_major": True, "dtype": "float16"},
        },
        {
            **{"B": 1, "Hq": 3, "Hkv": 1, "S": 40, "D": 16, "KEYS": 16, "parts": 1},
            "levels": (115, -115),
        },
        {
            **{"B": 1, "Hq": 6, "Hkv": 2, "S": 25, "D": 16, "KEYS": 32, "parts": 2},
            "levels": (-115,),
        },
    ),
    mistakes=(
        Mistake(
            "the scores are not multiplied by `scale`.",
            _changed(lambda q, k, v: (q.double() * q.shape[-1] ** 0.5, k, v)),
        ),
        Mistake(
            "keys past the end count. They were loaded as zeros, and a score of 0 still has a "
            "weight in the softmax: set it to minus infinity with tl.where.",
            _past_the_end,
        ),
        Mistake(
            "`acc` is not rescaled when a later tile has a larger maximum: what it holds so far "
            "must be multiplied by exp(m - new_m), as `l` is.",
            _stepping(lambda old, total, acc, p, pv: (total * old + p, acc + pv)),
        ),
        Mistake(
            "`l` is not rescaled when a later tile has a larger maximum: what it holds so far must "
            "be multiplied by exp(m - new_m), as `acc` is.",
            _stepping(lambda old, total, acc, p, pv: (total + p, acc * old.unsqueeze(-1) + pv)),
        ),
        Mistake(
            "the last tile replaces those before it: `acc` and `l` add up over all tiles.",
            _stepping(lambda old, total, acc, p, pv: (p, pv)),
        ),
        Mistake(
            "every part reads all the keys, not its own only: its tiles begin at `first` and end "
            "at `end`.",
            _all_keys,
        ),
        Mistake(
            "`lse` is in base 2. It is a natural logarithm: m + tl.log(l).",
            _lse_is(lambda lses: lses / math.log(2)),
        ),
        Mistake("k and v are swapped.", _changed(lambda q, k, v: (q, v, k))),
    ),
)


def _exact(q, k, v):
    """Return attention and its log-sum-exp in float64."""
    _, lse = in_parts(q, k, v, [(0, k.shape[2])])
    return attention_reference(q, k, v), lse[0]


GQA_DECODE_KERNEL_READS = Exercise(
    name="gqa_decode_kernel-reads",
    lesson=_LESSON,
    make=_cached,
    oracle=lambda q, k, v, room, token_major, KEYS, parts: _exact(q, k, v),
    call=_run_counted,
    cases=(
        {"B": 1, "Hq": 4, "Hkv": 1, "S": 40, "D": 16, "KEYS": 16, "parts": 2, "room": 44},
        {"B": 2, "Hq": 6, "Hkv": 2, "S": 16, "D": 16, "KEYS": 16, "parts": 1},
    ),
)

EXERCISES = [GQA_DECODE_KERNEL, GQA_DECODE_KERNEL_READS]
