"""How the simulated engine is set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gqa_lib.arguments import check_choice, check_number, check_whole

Admission = Literal["prompt", "chunk"]
Preemption = Literal["recompute", "swap"]


@dataclass(frozen=True)
class Rules:
    """An engine's settings, named and defined as vLLM's.

    Args:
        num_blocks: blocks of keys and values for all sequences.
        block_size: tokens of a block.
        max_num_seqs: sequences that run at a time at most.
        max_num_batched_tokens: tokens of a step at most, not below max_num_seqs.
        admission: a request is admitted when blocks are free for all its tokens ("prompt", vLLM's
            `scheduler_reserve_full_isl`), or for those that the step computes ("chunk").
        chunked_prefill: whether a prompt may be computed in several steps.
        prefix_caching: whether blocks that nobody holds keep what is in them until they are taken:
            for prompts that begin alike, and for preempted requests that come back.
        preemption: what happens to the keys and values of a sequence that loses its blocks: they
            are computed again ("recompute"), or copied to the host and back ("swap").
        kv_bytes_per_token: bytes of a token in all layers; what is swapped.
        swap_bytes_per_s: bandwidth between device and host, for "swap".
        hash_tokens: tokens that each hash id of a trace stands for, a multiple of block_size.
        blocks_per_seq: blocks that a running sequence takes besides, whatever its length: constant
            states of linear and state-space layers. They are there at its end only, so that
            prefixes cannot be found again.

    Raises:
        ValueError: a number is out of range, or two do not go together.

    Source: vLLM 0.19, vllm/v1/core/sched/scheduler.py; Kwon et al. 2023 (arXiv 2309.06180),
    section 4.5, for both ways to preempt.
    """

    num_blocks: int
    block_size: int = 16
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    admission: Admission = "prompt"
    chunked_prefill: bool = True
    prefix_caching: bool = True
    preemption: Preemption = "recompute"
    kv_bytes_per_token: float = 0.0
    swap_bytes_per_s: float = 25e9
    hash_tokens: int = 512
    blocks_per_seq: int = 0

    def __post_init__(self) -> None:
        check_whole(
            num_blocks=self.num_blocks,
            block_size=self.block_size,
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            hash_tokens=self.hash_tokens,
        )
        check_whole(0, blocks_per_seq=self.blocks_per_seq)
        check_number(0, kv_bytes_per_token=self.kv_bytes_per_token)
        check_number(swap_bytes_per_s=self.swap_bytes_per_s)
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError(
                f"max_num_batched_tokens={self.max_num_batched_tokens} for "
                f"max_num_seqs={self.max_num_seqs}: some sequences would not decode while others "
                f"do. Give max_num_seqs={self.max_num_batched_tokens} or fewer, or more tokens."
            )
        check_choice((True, False), chunked_prefill=self.chunked_prefill)
        check_choice((True, False), prefix_caching=self.prefix_caching)
        check_choice(("prompt", "chunk"), admission=self.admission)
        check_choice(("recompute", "swap"), preemption=self.preemption)
        if self.blocks_per_seq and (self.prefix_caching or self.preemption == "swap"):
            raise ValueError(
                f"blocks_per_seq={self.blocks_per_seq} with prefix_caching={self.prefix_caching} "
                f"and preemption={self.preemption!r}: a state is known at a sequence's end only, "
                "and the bytes of a copy are not those of its tokens. Give prefix_caching=False "
                "and preemption='recompute'."
            )
        if self.preemption == "swap" and not self.kv_bytes_per_token:
            raise ValueError(
                "preemption='swap' without kv_bytes_per_token: the time of a copy would be 0. "
                "Give gqa_lib.cost.kv_bytes_per_token(config, bytes_per_element)."
            )

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that the blocks can hold."""
        return max(0, self.num_blocks - self.blocks_per_seq) * self.block_size
