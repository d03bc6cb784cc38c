"""A call of attention on its way to the backend that runs it: described, chosen for, run."""

import os
from collections.abc import Iterable

import torch
from torch import Tensor

from .backends import BACKENDS, Backend
from .call import Call
from .checks import check_attention, check_decode
from .pieces import DecodeCall
from .traced import decode_with_mask, is_traced
from .tuned import fastest_decode_first, fastest_first

FEWEST_ROWS = 64  # of queries at a time, however short the window


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool = True,
    backend: str = "auto",
    *,
    window: int | None = None,
) -> Tensor:
    """Return attention of q over k and v, (B, Hq, T, D); arguments are taken as valid.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D).
        causal: query i of T sees keys up to S - T + i.
        backend: a name in `BACKENDS`, or "auto" for `choose_backend`'s.
        window: a query sees only the last `window` keys up to its own; None is all of them.

    Returns:
        (B, Hq, T, D) in q's dtype.

    Raises:
        ValueError: no such backend, or it cannot run this call.
    """
    if not q.numel():
        return q.clone()  # no query
    if window is not None and not is_traced():
        return _attend_in_windows(q, k, v, backend, window)
    call = Call(q, k, v, causal, window)
    fn = _choose(call, backend, fastest_first(call)).fn
    return fn(q, k, v, causal) if window is None else fn(q, k, v, causal, window)


def _attend_in_windows(q: Tensor, k: Tensor, v: Tensor, backend: str, window: int) -> Tensor:
    """Attend with some queries at a time, over only the keys that these see.

    However long the prompt, no mask is longer than a window and those queries.
    """
    T, S, block = q.shape[2], k.shape[2], max(window, FEWEST_ROWS)
    outs = []
    for start in range(0, T, block):
        rows = q[:, :, start : start + block]
        own = S - T + start  # the first row's own key
        first, end = max(0, own - window + 1), own + rows.shape[2]
        part = rows, k[:, :, first:end], v[:, :, first:end], True
        call = Call(*part, window if end - first > window else None)
        fn = _choose(call, backend, fastest_first(call)).fn
        outs.append(fn(*part) if call.window is None else fn(*part, window))
    return outs[0] if len(outs) == 1 else torch.cat(outs, 2)


def attend_rows(
    q: Tensor,
    keys_and_values: Iterable[tuple[Tensor, Tensor]],
    num_new: Iterable[int],
    causal: bool = True,
    backend: str = "auto",
    *,
    window: int | None = None,
) -> Tensor:
    """Return attention of a batch whose rows differ in queries or keys, each as if it were alone.

    Args:
        q: queries, (B, Hq, T, D), each row's own first and then padding.
        keys_and_values: k and v of each row, (1, Hkv, S, D) with an S of its own.
        num_new: how many queries of each row are no padding, 0 to T and at most S.
        causal, backend, window: as in `attend`; "auto" chooses for each row.

    Returns:
        (B, Hq, T, D) in q's dtype, zeros for padding.

    Raises:
        ValueError: as in `attend`.
    """
    out = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
    for b, ((k, v), T) in enumerate(zip(keys_and_values, num_new, strict=True)):
        if T:
            row = attend(q[b : b + 1, :, :T], k, v, causal, backend, window=window)
            out[b : b + 1, :, :T] = row
    return out


def decode_attention(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    lengths: Tensor | None = None,
    block_table: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Return attention of one new token per sequence over its cached keys, (B, Hq, 1, D).

    Args:
        q: queries of the new tokens, (B, Hq, 1, D).
        k_cache, v_cache: keys and values, the new tokens' among them, (B, Hkv, S, D); with a
            block_table pages of them, (P, Hkv, page_size, D). Query head h reads KV head
            h // (Hq // Hkv).
        lengths: how many keys each sequence has, (B,) int32 or int64 on q's device; None: all that
            the cache holds. What comes after is not read.
        block_table: the pages of each sequence in order, (B, pages) int32 or int64 on q's device.
        backend: a name in `BACKENDS`, or "auto" for `choose_decode_backend`'s.

    Returns:
        (B, Hq, 1, D) in q's dtype; zeros for a sequence of length 0.

    Raises:
        ValueError: shapes, dtypes, devices or head counts do not fit together, a length or page
            does not exist (seen on a CPU; on a GPU, which would have to be waited for, lengths
            are cut to what the cache holds), or the backend cannot run the call.

    Source: Kwon et al. 2023 (arXiv 2309.06180), section 4.1, for pages and block tables.
    """
    check_decode(q, k_cache, v_cache, lengths, block_table)
    if not q.numel():
        return q.clone()
    uneven = lengths is not None or block_table is not None
    if uneven and backend == "auto" and is_traced():
        return decode_with_mask(q, k_cache, v_cache, lengths, block_table)
    call = DecodeCall(q, k_cache, v_cache, lengths, block_table)
    chosen = _choose(call, backend, fastest_decode_first(call))
    if chosen.decode is not None:
        return chosen.decode(q, k_cache, v_cache, lengths, block_table)
    return call.attend(chosen.fn)


def choose_backend(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> str:
    """Return the backend that "auto" runs: the environment's GQA_BACKEND, or the fastest known.

    Args:
        q, k, v, causal: as in `attend`.

    Raises:
        ValueError: they do not fit together.
    """
    check_attention(q, k, v, causal)
    call = Call(q, k, v, causal)
    return preset() or _first_that_can(call, fastest_first(call)).name


def available_backends(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> list[str]:
    """Return the names of the backends that can run this call, in the order of `BACKENDS`.

    Args:
        q, k, v, causal: as in `attend`.

    Raises:
        ValueError: they do not fit together.
    """
    check_attention(q, k, v, causal)
    return _available(Call(q, k, v, causal))


def choose_decode_backend(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    lengths: Tensor | None = None,
    block_table: Tensor | None = None,
) -> str:
    """Return the backend that "auto" runs for `decode_attention`: GQA_BACKEND's, or the best known.

    Args:
        q, k_cache, v_cache, lengths, block_table: as in `decode_attention`.

    Raises:
        ValueError: as in `decode_attention`.
    """
    check_decode(q, k_cache, v_cache, lengths, block_table)
    call = DecodeCall(q, k_cache, v_cache, lengths, block_table)
    return preset() or _first_that_can(call, fastest_decode_first(call)).name


def available_decode_backends(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    lengths: Tensor | None = None,
    block_table: Tensor | None = None,
) -> list[str]:
    """Return the names of the backends that `decode_attention` can run, in `BACKENDS`' order.

    Args:
        q, k_cache, v_cache, lengths, block_table: as in `decode_attention`.

    Raises:
        ValueError: as in `decode_attention`.
    """
    check_decode(q, k_cache, v_cache, lengths, block_table)
    return _available(DecodeCall(q, k_cache, v_cache, lengths, block_table))


def check_backend(name: str) -> None:
    """Raise ValueError unless a backend has this name, or it is "auto"."""
    if not isinstance(name, str) or (name != "auto" and name not in BACKENDS):
        raise ValueError(
            f"backend {name!r} does not exist, so nothing can run this call. "
            f"Choose from auto, {', '.join(BACKENDS)}."
        )


def _choose(call: Call | DecodeCall, name: str, fastest: Iterable[str]) -> Backend:
    """Return the backend of that name, or for "auto" the first of `fastest` that can run a call."""
    if name == "auto":
        name = preset()
        if not name:
            return _first_that_can(call, fastest)
    if not isinstance(name, str) or name not in BACKENDS:
        check_backend(name)
    if reason := _why_not(BACKENDS[name], call):
        whole = call if isinstance(call, Call) else call.whole
        raise ValueError(
            f"backend {name!r} cannot run q {tuple(whole.q.shape)} over k {tuple(whole.k.shape)}, "
            f"{whole.dtype} on {whole.q.device}: {reason}. "
            f"Choose from auto, {', '.join(_available(call))}."
        )
    return BACKENDS[name]


def preset() -> str:
    """Return the backend that GQA_BACKEND names, or "" where it leaves the choice."""
    name = os.environ.get("GQA_BACKEND", "auto")
    return "" if name == "auto" else name


def _first_that_can(call: Call | DecodeCall, names: Iterable[str]) -> Backend:
    """Return the first of some backends that can run a call, or else the last."""
    for name in names:
        backend = BACKENDS[name]
        if _why_not(backend, call) is None:
            break
    return backend


def _available(call: Call | DecodeCall) -> list[str]:
    return [name for name, backend in BACKENDS.items() if _why_not(backend, call) is None]


def _why_not(backend: Backend, call: Call | DecodeCall) -> str | None:
    """Return why a backend must not run a call, or None."""
    if isinstance(call, DecodeCall):
        call = call.first if backend.decode is None else call.whole
    if call.window is not None and not backend.windows:
        return "it sees all keys up to a query's own, not the last of them only"
    return backend.unsupported(call)
