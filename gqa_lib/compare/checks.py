"""Is the kernel right on this machine? Against float64, before anything is timed."""

import torch

from gqa_lib.kernels import TOLERANCE, attention_reference, decode_attention

PAGE_SIZE = 16


def checks(device, *, small: bool = False):
    """Yield one row for each combination: {kind, name, error, limit, ok}.

    Lengths are ragged and some empty; what lies past a sequence's keys is NaN.

    Args:
        device: where the kernel runs.
        small: a few combinations only.
    """
    combinations = [
        (dtype, D, R, paged)
        for dtype in TOLERANCE
        for D in (64, 96, 128, 256)
        for R in ((4,) if D != 128 else (1, 3, 4, 7, 64))
        for paged in (False, True)
    ]
    if small:
        combinations = [(torch.float32, 64, 3, True), (torch.bfloat16, 96, 4, False)]
    lengths = [0, 1, 70, 37] if small else [0, 1, 3000, 517, 64, 4096]
    for dtype, D, R, paged in combinations:
        error = _error(dtype, D, R, paged, lengths, device)
        yield {
            "kind": "check",
            "name": f"{str(dtype)[6:]} D={D} R={R} {'paged' if paged else 'contiguous'}",
            "error": error if error < float("inf") else None,
            "limit": TOLERANCE[dtype],
            "ok": error <= TOLERANCE[dtype],
        }


def relative_error(out, q, k, v) -> float:
    """Return the L2 error of one sequence's output over the norm of the right one."""
    expected = attention_reference(q, k, v)
    error = ((out.double() - expected).norm() / expected.norm()).item()
    return error if error == error else float("inf")


def sampled_error(out, q, k, v) -> float:
    """Return the largest relative error of the first and last KV head of the outer sequences.

    With more than 64 new tokens the last 64 are compared, causally, as a prefill's are.
    """
    R, T = q.shape[1] // k.shape[1], q.shape[2]
    errors = []
    for b in {0, q.shape[0] - 1}:
        for h in {0, k.shape[1] - 1}:
            rows = (slice(b, b + 1), slice(h * R, (h + 1) * R), slice(max(0, T - 64), T))
            head = (slice(b, b + 1), slice(h, h + 1))
            errors.append(relative_error(out[rows], q[rows], k[head], v[head]))
    return max(errors)


def _error(dtype, D, R, paged, lengths, device):
    B, Hkv, S = len(lengths), 2, -(-max(lengths) // PAGE_SIZE) * PAGE_SIZE
    q = torch.randn(B, Hkv * R, 1, D, device=device).to(dtype)
    k, v = (torch.randn(B, Hkv, S, D, device=device).to(dtype) for _ in range(2))
    for b, length in enumerate(lengths):
        k[b, :, length:], v[b, :, length:] = torch.nan, torch.nan
    counts = torch.tensor(lengths, device=device)
    caches, table = (k, v), None
    if paged:
        order = torch.randperm(B * S // PAGE_SIZE, device=device)
        caches, table = [_shuffled(t, order) for t in (k, v)], order.argsort().view(B, -1)
    out = decode_attention(q, *caches, counts, table, backend="triton")
    if out[[b for b, length in enumerate(lengths) if length == 0]].any():
        return float("inf")
    return max(
        relative_error(out[b : b + 1], q[b : b + 1], *(t[b : b + 1, :, :length] for t in (k, v)))
        for b, length in enumerate(lengths)
        if length
    )


def _shuffled(cache, order):
    """Return the cache's pages (P, Hkv, page_size, D) in the given order."""
    pages = cache.unflatten(2, (-1, PAGE_SIZE)).transpose(1, 2).flatten(0, 1)
    return pages[order].contiguous()
