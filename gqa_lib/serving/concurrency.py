"""How many requests of a trace fit into a cache at a time, by three rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gqa_lib.arguments import check_number, check_whole

from .traffic import Trace

Floats = NDArray[np.float64]
Sums = tuple[int, Floats]  # the first number of blocks, and the probability of it and those after
_NOTHING = 1e-14  # of a probability


@dataclass(frozen=True)
class Concurrency:
    """How many requests are let run at a time, by three rules.

    Args:
        mean_rule: cache over what a running request holds on average: full about half the time.
        safe: at most `overflow` of the time do so many requests need more than there is.
        max_length: each is given the longest request's blocks from the start.
        overflow: the share for `safe`.
        held_mean, held_sd: tokens of a running request's blocks, those of its states included.
        capacity: tokens of the cache, in whole blocks.
    """

    mean_rule: int
    safe: int
    max_length: int
    overflow: float
    held_mean: float
    held_sd: float
    capacity: int


def concurrency(
    tokens: int,
    prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    *,
    overflow: float = 0.01,
    block_size: int = 16,
    blocks_per_seq: int = 0,
) -> Concurrency:
    """How many of such requests fit at a time: on average, safely, and at their longest.

    A running request is taken at a random step of those that give its tokens, and independent of
    the others. It then holds its prompt and the tokens that it has read back, p to p + o - 1 of
    them, in whole blocks: the last token is given and never cached. (`traffic.residency_weighted`
    counts the token that a step gives, too.) What n of them hold together is the n-fold convolution
    of that distribution, computed to 1e-12: a normal one would promise too much for
    long tails and n below about 30. Other steps of prefills, and blocks that requests share, are
    left out.

    Args:
        tokens: that the cache has blocks for, such as `Ledger.tokens`.
        prompt_tokens, output_tokens: of each request, (N,), whole numbers from 1.
        overflow: share of the time in which n requests may need more, 1e-9 to below 1.
        block_size: tokens of a block; 1 counts tokens.
        blocks_per_seq: blocks that each takes besides, as in `simulator.Rules`.

    Returns:
        The three numbers of requests, 0 where not even one fits.

    Raises:
        ValueError: a number out of range, or lists that do not go together.

    Source: derived; the mean of the tokens is E[o (p + (o - 1) / 2)] / E[o].
    """
    check_whole(0, tokens=tokens)
    check_whole(block_size=block_size)
    check_whole(0, blocks_per_seq=blocks_per_seq)
    check_number(1e-9, overflow=overflow)
    if overflow >= 1:
        raise ValueError(
            f"overflow={overflow} is a share of the time, and always would be 1. Give less."
        )
    trace = Trace(None, np.asarray(prompt_tokens), np.asarray(output_tokens))
    blocks = tokens // block_size
    held = np.concatenate([np.zeros(blocks_per_seq), _held(trace, block_size)])
    sizes = np.arange(len(held))
    mean = float(held @ sizes)
    spread = float(np.sqrt(held @ (sizes - mean) ** 2))
    longest = -(-int((trace.prompt_tokens + trace.output_tokens).max() - 1) // block_size)
    return Concurrency(
        mean_rule=int(blocks / mean),
        safe=_most(held, blocks, overflow),
        max_length=blocks // (longest + blocks_per_seq),
        overflow=overflow,
        held_mean=mean * block_size,
        held_sd=spread * block_size,
        capacity=blocks * block_size,
    )


def safe_concurrency(
    tokens: int,
    prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    *,
    overflow: float = 0.01,
    block_size: int = 16,
    blocks_per_seq: int = 0,
) -> int:
    """The most requests at a time that seldom need more cache than there is.

    Args:
        tokens: that the cache has blocks for, such as `Ledger.tokens`.
        prompt_tokens, output_tokens: of each request, (N,), whole numbers from 1.
        overflow: share of the time in which they may need more.
        block_size: tokens of a block.
        blocks_per_seq: blocks that each takes besides.

    Returns:
        `safe` of `concurrency`, where it is said how.

    Raises:
        ValueError: a number out of range, or lists that do not go together.
    """
    found = concurrency(
        tokens,
        prompt_tokens,
        output_tokens,
        overflow=overflow,
        block_size=block_size,
        blocks_per_seq=blocks_per_seq,
    )
    return found.safe


def _held(trace: Trace, block_size: int) -> Floats:
    """The probability of each number of blocks at a random step, from 0 blocks on."""
    first, last = trace.prompt_tokens, trace.prompt_tokens + trace.output_tokens - 1
    size = int(last.max()) + 2
    edges = np.bincount(first, minlength=size) - np.bincount(last + 1, minlength=size)
    steps = np.cumsum(edges)  # by the tokens that a request holds in them
    blocks = -(-np.arange(size) // block_size)
    weights = np.bincount(blocks, steps.astype(np.float64))
    return np.trim_zeros(weights / weights.sum(), "b")


def _most(held: Floats, blocks: int, overflow: float) -> int:
    """The largest n of which the sum of n draws is within `blocks` but for `overflow`.

    Sums above `blocks` are dropped on the way, which no sum within them can come from. What 1, 2,
    4, ... draws hold is squared from one to the next, as long as those are safe; n is then put
    together from the largest to the smallest.
    """
    enough = 1 - overflow
    powers = [_trimmed(0, held[: blocks + 1])]
    while powers[-1][1].sum() >= enough:
        powers.append(_convolve(powers[-1], powers[-1], blocks))
    most, together = 0, (0, np.ones(1))
    for exponent in reversed(range(len(powers) - 1)):
        first, power = powers[exponent]
        within = np.cumsum(power)
        left = blocks - first - together[0] - np.arange(len(together[1]))
        both = np.where(left < 0, 0.0, within[np.clip(left, 0, len(power) - 1)])
        if together[1] @ both >= enough:
            together = _convolve(together, powers[exponent], blocks)
            most += 2**exponent
    return most


def _convolve(a: Sums, b: Sums, blocks: int) -> Sums:
    """The distribution of a sum, up to `blocks`."""
    first, size = a[0] + b[0], len(a[1]) + len(b[1]) - 1
    if first > blocks:
        return first, np.zeros(1)
    fast = 1 << (size - 1).bit_length()
    both = np.fft.irfft(np.fft.rfft(a[1], fast) * np.fft.rfft(b[1], fast), fast)
    return _trimmed(first, np.maximum(both[: min(size, blocks + 1 - first)], 0.0))


def _trimmed(first: int, shares: Floats) -> Sums:
    """A distribution without ends that hold next to nothing, so that sums of many stay short."""
    begin = int(np.searchsorted(np.cumsum(shares), _NOTHING))
    end = len(shares) - int(np.searchsorted(np.cumsum(shares[::-1]), _NOTHING))
    begin = min(begin, len(shares) - 1)
    return first + begin, shares[begin : max(end, begin + 1)]
