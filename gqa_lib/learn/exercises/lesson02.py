"""Lesson 02: the KV cache."""

from functools import partial
from itertools import accumulate

import torch

from gqa_lib.cache import KVCache
from gqa_lib.kernels.reference import attention_reference

from .cache_memory import memory_of
from .caches import expected_of_cache, observe_cache
from .exercise import Complaint, Exercise, Mistake
from .variants import (
    COMMON,
    NO_MASK,
    NOT_CAUSAL_UNASKED,
    TOP_LEFT_MASK,
    bottom_right,
    draw,
    draw_qkv,
    plain_attention,
)
from .wrong_caches import WRONG_CACHES, WRONG_NBYTES

_LESSON = "02-kv-cache"


# KVCache


def _script(generator, B, Hkv, D, max_seq_len, steps, dtype="float32"):
    tokens = max(6, sum(step for step in steps if step != "reset"))
    k, v = (draw(generator, B, Hkv, tokens, D, dtype=dtype) for _ in range(2))
    return k, v, max_seq_len, list(steps)


def _any_script(generator, sizes=None, **case):
    """Return the arguments of a case, or of one drawn afresh: the `sizes`-th."""
    if sizes is None:
        return _script(generator, **case)

    def pick(low, high):
        return int(torch.randint(low, high + 1, (sizes,), generator=generator)[-1])

    prompt, more = pick(2, 5), pick(1, 2)
    room = pick(2, 4)
    dtype = ("float32", "float64", "float16", "bfloat16")[pick(0, 3)]
    return _script(
        generator,
        B=pick(1, 3),
        Hkv=pick(1, 4),
        D=pick(2, 9),
        max_seq_len=prompt + more + room,
        steps=(prompt, more, room + pick(1, 3), 1, room - 1, 1, "reset", more, prompt, "reset", 3),
        dtype=dtype,
    )


KV_CACHE = Exercise(
    name="KVCache",
    lesson=_LESSON,
    make=_any_script,
    oracle=expected_of_cache,
    call=observe_cache,
    cases=(
        {"B": 2, "Hkv": 3, "D": 5, "max_seq_len": 9, "steps": (3, 1, 2)},
        {"B": 3, "Hkv": 2, "D": 4, "max_seq_len": 7, "steps": (7,)},
        {"B": 2, "Hkv": 3, "D": 5, "max_seq_len": 8, "steps": (4, 1, 6, 3)},
        {
            "B": 3,
            "Hkv": 1,
            "D": 6,
            "max_seq_len": 20,
            "steps": (4, 2, "reset", 1, 3, "reset", 2),
            "dtype": "bfloat16",
        },
    ),
    mistakes=tuple(Mistake(says, partial(observe_cache, cache)) for says, cache in WRONG_CACHES),
)


def _expected_memory(k, v, max_seq_len, steps):
    nbytes = 2 * k[:, :, 0].numel() * max_seq_len * k.element_size()
    return {"nbytes of a new cache": nbytes, "nbytes after the appends": nbytes}


KV_CACHE_MEMORY = Exercise(
    name="KVCache-memory",
    lesson=_LESSON,
    make=_any_script,
    oracle=_expected_memory,
    call=memory_of,
    cases=(
        {"B": 2, "Hkv": 3, "D": 5, "max_seq_len": 9, "steps": (3, 1, 2)},
        {"B": 3, "Hkv": 2, "D": 4, "max_seq_len": 7, "steps": (2, 5), "dtype": "bfloat16"},
        {"B": 1, "Hkv": 4, "D": 6, "max_seq_len": 8, "steps": (1, 1, 3), "dtype": "float64"},
    ),
    mistakes=tuple(Mistake(says, partial(memory_of, cache)) for says, cache in WRONG_NBYTES),
)


# cached_attention


def _chunks(generator, B, H, D, chunks, **case):
    T = sum(chunks)
    q, k, v = draw_qkv(generator, B=B, Hq=H, Hkv=H, T=T, S=T, D=D, causal=None, **case)
    return q, k, v, list(chunks)


def _any_chunks(generator, sizes=None, **case):
    if sizes is None:
        return _chunks(generator, **case)
    B, H, D, *chunks = torch.randint(1, 6, (sizes, 7), generator=generator)[-1].tolist()
    return _chunks(generator, B=B, H=H, D=D + 1, chunks=chunks)


def _in_chunks(yours, q, k, v, chunks):
    """Return the learner's attention when the tokens come in chunks of so many, cached."""
    B, H, S, D = q.shape
    cache = KVCache(B, H, 2 * S, D, q.dtype, q.device)
    done = []
    for end, T in zip(accumulate(chunks), chunks, strict=True):
        new = [x[:, :, end - T : end] for x in (q, k, v)]
        got = yours(*new, cache)
        if not isinstance(got, torch.Tensor) or got.shape != new[0].shape:
            shape = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
            raise Complaint(
                f"For {T} new tokens after {end - T} cached ones it returned {shape}; expected "
                f"{tuple(new[0].shape)}, one row for each new query."
            )
        if cache.length != end:
            raise Complaint(
                f"After {end} tokens the cache holds {cache.length}. Append the k and v of the new "
                "tokens, once: k_all, v_all = cache.append(k, v)."
            )
        done.append(got)
    return torch.cat(done, 2)


def _attends(attention):
    """Return the whole of what `attention(q, k_all, v_all)` gives chunk by chunk."""

    def wrong(q, k, v, chunks):
        done = []
        for end, T in zip(accumulate(chunks), chunks, strict=True):
            done.append(attention(q[:, :, end - T : end], k[:, :, :end], v[:, :, :end]))
        return torch.cat(done, 2)

    return wrong


def _new_only(q, k, v):
    T = q.shape[2]
    return plain_attention(q, k[:, :, -T:], v[:, :, -T:])


CACHED_ATTENTION = Exercise(
    name="cached_attention",
    by_hand=True,
    lesson=_LESSON,
    make=_any_chunks,
    oracle=lambda q, k, v, chunks: attention_reference(q, k, v),
    call=_in_chunks,
    cases=(
        {"B": 2, "H": 3, "D": 5, "chunks": (3, 4)},
        {"B": 2, "H": 3, "D": 5, "chunks": (7,)},
        {"B": 1, "H": 2, "D": 4, "chunks": (6, 1)},
        {"B": 3, "H": 2, "D": 8, "chunks": (1, 1, 1, 1)},
        {"B": 2, "H": 4, "D": 6, "chunks": (2, 1, 3, 1), "dtype": "float64"},
        {"B": 2, "H": 3, "D": 16, "chunks": (4, 2, 3), "dtype": "bfloat16"},
        {"B": 2, "H": 2, "D": 4, "chunks": (5, 2), "sharp": 1e5, "dtype": "float64"},
    ),
    mistakes=(
        Mistake(
            "each call sees only its own tokens: attend over the k_all and v_all that append "
            "returns.",
            _attends(_new_only),
        ),
        Mistake(TOP_LEFT_MASK.says, _attends(partial(TOP_LEFT_MASK.wrong, causal=True))),
        Mistake(
            "no mask is applied: the new tokens of one call must not see each other's future.",
            _attends(partial(NO_MASK.wrong, causal=False)),
        ),
        Mistake(
            "the scores are not divided by the square root of head_dim.",
            _attends(partial(plain_attention, scale=1.0)),
        ),
        Mistake(
            "k and v are swapped: q meets k in the scores, the weights then mix v.",
            _attends(lambda q, k, v: plain_attention(q, v, k)),
        ),
        Mistake(
            "a query cannot see its own token: append before you attend, and mind the diagonal.",
            _attends(partial(plain_attention, mask=lambda T, S: _not_itself(T, S))),
        ),
        *(
            Mistake(mistake.says, _attends(mistake.wrong))
            for mistake in COMMON
            if mistake is not NOT_CAUSAL_UNASKED
        ),
    ),
)


def _not_itself(T, S):
    mask = bottom_right(T, S)
    if S > 1:  # its own token is all that the very first query has
        mask &= ~torch.eye(S, dtype=torch.bool)[S - T :]
        mask[mask.sum(1) == 0, 0] = True
    return mask


EXERCISES = [KV_CACHE, KV_CACHE_MEMORY, CACHED_ATTENTION]
