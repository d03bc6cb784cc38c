"""What requests asked for, and when: three columns, whatever file they are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gqa_lib.arguments import check_whole, shown

from .statistics import Summary, summarise


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in the order of their arrival. The arrays cannot be written to.

    Args:
        arrival_s: (N,) seconds since the first request, ascending; None if it is not known.
        prompt_tokens: (N,) tokens of each prompt, 1 or more.
        output_tokens: (N,) tokens of each answer, 1 or more.
        hash_ids: (N,) arrays, each with the names of a prompt's blocks of `hash_block_tokens`
            tokens; prompts that begin with the same names begin with the same text. None if it is
            not known.
        hash_block_tokens: tokens of such a block.
        measured: what was measured of each request, in seconds: "queue_s", "ttft_s" (to the first
            token), "e2e_s" (to the last). Arrays of (N,) with NaN where a request has no such
            number; empty for a trace that only says what was asked.
        format: the format that it was read from, such as "azure-2023".
        source: the file's name.
        notes: what was left out, moved or assumed when it was read, a sentence each.

    Raises:
        ValueError: the arrays are not as described.
    """

    arrival_s: np.ndarray | None
    prompt_tokens: np.ndarray
    output_tokens: np.ndarray
    hash_ids: np.ndarray | None = None
    hash_block_tokens: int | None = None
    measured: Mapping[str, np.ndarray] = field(default_factory=dict)
    format: str = "arrays"
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "output_tokens"):
            object.__setattr__(self, name, _counts(getattr(self, name), name))
        if self.arrival_s is not None:
            object.__setattr__(self, "arrival_s", _arrivals(self.arrival_s))
        if self.hash_ids is not None:
            names = np.empty(len(self.hash_ids), object)
            for row, one in enumerate(self.hash_ids):
                names[row] = one  # lists of one length would make a table
            object.__setattr__(self, "hash_ids", _read_only(names))
        measured = {name: _read_only(np.array(v, np.float64)) for name, v in self.measured.items()}
        object.__setattr__(self, "measured", measured)
        num = len(self.prompt_tokens)
        others = {"output_tokens": self.output_tokens, "arrival_s": self.arrival_s}
        for name, values in {**others, "hash_ids": self.hash_ids, **measured}.items():
            if values is not None and values.shape != (num,):
                raise ValueError(
                    f"{name} has the shape {values.shape} and prompt_tokens ({num},): a request "
                    "has one of each. Give arrays of the same length."
                )

    def __len__(self) -> int:
        return len(self.prompt_tokens)

    @property
    def kv_token_steps(self) -> np.ndarray:
        """(N,) tokens of KV cache that each request holds, summed over its decode steps."""
        return self.output_tokens * (self.prompt_tokens + (self.output_tokens + 1) / 2)

    def select(self, which: Any) -> Trace:
        """Return the requests of a slice, of a mask or of some row numbers, in this order.

        Arrivals stay as they are: the first one may be later than 0.

        Args:
            which: what an array of NumPy can be indexed with.

        Raises:
            ValueError: no request is left, or their arrivals would not ascend.
        """
        try:
            kept = np.arange(len(self))[which]
        except IndexError:
            kept = np.empty(0, np.int64)
        if kept.ndim != 1 or not len(kept):
            raise ValueError(
                f"select({shown(which)}) leaves no list of requests of these {len(self)}. "
                "Give a slice, a mask or row numbers."
            )
        return replace(
            self,
            arrival_s=None if self.arrival_s is None else self.arrival_s[kept],
            prompt_tokens=self.prompt_tokens[kept],
            output_tokens=self.output_tokens[kept],
            hash_ids=None if self.hash_ids is None else self.hash_ids[kept],
            measured={name: values[kept] for name, values in self.measured.items()},
        )

    def sample(self, n: int, seed: int = 0) -> Trace:
        """Return n different requests, chosen at random, in the order of their arrival.

        A prompt stays with its answer. Arrivals stay as they are, so there are fewer in a second.

        Args:
            n: how many, at most as many as there are.
            seed: the same one chooses the same requests.

        Raises:
            ValueError: there are not as many.
        """
        check_whole(n=n)
        check_whole(0, seed=seed)
        if n > len(self):
            raise ValueError(
                f"n={n} requests of {len(self)}: some would be there twice, and arrive together. "
                "Draw from fit(trace) for more."
            )
        return self.select(np.sort(np.random.default_rng(seed).permutation(len(self))[:n]))

    def summary(self) -> Summary:
        """Return the trace's statistics, as `summarise` does; as text, a table."""
        return summarise(self)


def _counts(values: Any, name: str) -> np.ndarray:
    given = np.asarray(values)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iuf":
        raise ValueError(
            f"{name}={shown(values)} is not a list of numbers: a trace has one for each request, "
            "and one request or more. Give a 1-D array."
        )
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise ValueError(f"{name} has numbers that are not finite: leave those requests out.")
    counts = given.astype(np.int64)
    wrong = (counts != given) | (counts < 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name}[{row}]={given[row]} is not a whole number from 1: a request has tokens to "
            "read and tokens to write. Leave it out."
        )
    return _read_only(counts)


def _arrivals(values: Any) -> np.ndarray:
    arrivals = np.array(values, np.float64)
    if not np.isfinite(arrivals).all() or (arrivals < 0).any():
        raise ValueError(
            "arrival_s has numbers below 0 or not finite: it counts seconds from a start. "
            "Subtract the earliest from all."
        )
    back = np.flatnonzero(np.diff(arrivals) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise ValueError(
            f"arrival_s[{row}]={arrivals[row]} is before the one of the request above it: requests "
            "come in the order of their arrival. Sort them, with their tokens."
        )
    return _read_only(arrivals)


def _read_only(own: np.ndarray) -> np.ndarray:
    own.flags.writeable = False
    return own
