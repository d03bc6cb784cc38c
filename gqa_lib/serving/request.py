"""What is asked of an engine, and what comes of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from gqa_lib.model import Sampling
from gqa_lib.model.sampling import Sampler

from .pool import block_key

Ending = Literal["stop", "length", "cancelled"]


class Request:
    """A prompt that is to be continued: `Engine.add` makes it, the engine's steps fill it.

    Times are those of the engine's clock, in seconds, None for what has not happened yet.

    Args:
        number: by which records name it.
        prompt: its tokens.
        max_new_tokens: tokens after which it ends.
        stop: tokens with which it ends.
        arrived_s: when it was added.
        sampler: chooses its tokens, one after the other and each once, however often it is
            preempted; None is greedy.

    Attributes:
        tokens: the prompt's and, after them, the new ones.
        ending: why it ended: a "stop" token, which is the last of `output`, its "length", or it was
            "cancelled"; None until then.
        preemptions: how often it lost its blocks to others and had to be computed again.
        reused_tokens: tokens, over all its admissions, whose keys and values were there already.
        scheduled_s, first_token_s, finished_s: when a step with it first began, when its first new
            token was there, and when it ended.
        blocks: what holds its keys and values, in order.
        num_cached: its first tokens, whose keys and values are there.
        prefill_length: tokens that it had when it was last admitted; those after are decoded.
    """

    def __init__(
        self,
        number: int,
        prompt: Sequence[int],
        max_new_tokens: int,
        stop: Collection[int] = (),
        arrived_s: float = 0.0,
        sampler: Sampler | None = None,
    ):
        self.number, self.num_prompt = number, len(prompt)
        self.max_new_tokens, self.stop = max_new_tokens, frozenset(stop)
        self.tokens = list(prompt)
        self.ending: Ending | None = None
        self.preemptions = self.reused_tokens = 0
        self.arrived_s = arrived_s
        self.sampler = sampler or Sampler(Sampling(), whose=f"request {number}")
        self.scheduled_s: float | None = None
        self.first_token_s: float | None = None
        self.finished_s: float | None = None
        self.blocks: list[int] = []
        self.num_cached = self.prefill_length = 0
        self._keys: list[bytes] = []

    @property
    def prompt(self) -> list[int]:
        """The tokens that it was added with."""
        return self.tokens[: self.num_prompt]

    @property
    def output(self) -> list[int]:
        """The new tokens."""
        return self.tokens[self.num_prompt :]

    @property
    def finished(self) -> bool:
        """Whether no more tokens will come."""
        return self.ending is not None

    @property
    def num_left(self) -> int:
        """Tokens whose keys and values are still to be computed."""
        return len(self.tokens) - self.num_cached

    @property
    def most_cached(self) -> int:
        """Tokens whose keys and values it can need at most: of its last new one they never are."""
        return self.num_prompt + self.max_new_tokens - 1

    def keys(self, block_size: int) -> list[bytes]:
        """Return the keys of its full blocks, those whose tokens are not computed yet included."""
        for end in range((len(self._keys) + 1) * block_size, len(self.tokens) + 1, block_size):
            previous = self._keys[-1] if self._keys else b""
            self._keys.append(block_key(previous, self.tokens[end - block_size : end]))
        return self._keys

    def to_dict(self) -> dict[str, Any]:
        """Return what can be written as a line of JSON: sizes, times and counts, no tokens."""
        return {
            "request": self.number,
            "prompt_tokens": self.num_prompt,
            "output_tokens": len(self.tokens) - self.num_prompt,
            "arrived_s": self.arrived_s,
            "scheduled_s": self.scheduled_s,
            "first_token_s": self.first_token_s,
            "finished_s": self.finished_s,
            "ending": self.ending,
            "preemptions": self.preemptions,
            "reused_tokens": self.reused_tokens,
        }
