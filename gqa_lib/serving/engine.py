"""An engine: requests come at any time, and every step computes tokens of as many as it can."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Sequence

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind
from gqa_lib.cache import ModelCache
from gqa_lib.cache.paging import Pages
from gqa_lib.cache.paging.checks import check_block_size
from gqa_lib.model import LanguageModel, Sampling
from gqa_lib.model.checks import whole_number, whole_tokens
from gqa_lib.model.language_model import check_model
from gqa_lib.model.parallel import ShardedModel
from gqa_lib.model.sampling import Sampler, choose_tokens

from .checks import check_limits, check_request, number_of_blocks
from .packed import Packed, StepCache
from .pool import Pool
from .record import Step, StepBytes
from .request import Request
from .scheduler import Chunk, Plan, Scheduler


class Engine:
    """Continuous batching of a language model over one supply of blocks.

    Each step decodes a token of every running sequence and fills the rest with prompts, in chunks
    if need be; all tokens go through the model as one row without padding. Whatever else runs, a
    request's output is what it would be alone. See `Scheduler` for the order and for preemption.

    Args:
        model: the model.
        num_blocks: blocks of keys and values, each for block_size tokens in all layers.
        memory_bytes: instead of num_blocks, the bytes that the blocks may take. Where the model is
            a rank's part of one, all ranks have the blocks of the one with the fewest.
        block_size: tokens of a block.
        max_num_seqs: sequences that run at a time at most.
        max_num_batched_tokens: tokens of a step at most, not below max_num_seqs.
        prefix_sharing: whether sequences that begin alike share the full blocks of that beginning.
        clock: gives the time in seconds, for records.

    Raises:
        ValueError: numbers that do not go together, or memory for less than a block.

    Source: Yu et al. 2022 (OSDI, "Orca"), section 3.1, for iterations; Kwon et al. 2023
    (arXiv 2309.06180), section 4, for blocks; Agrawal et al. 2023 (arXiv 2308.16369), for chunks.
    """

    def __init__(
        self,
        model: LanguageModel,
        num_blocks: int | None = None,
        *,
        memory_bytes: int | None = None,
        block_size: int = 16,
        max_num_seqs: int = 64,
        max_num_batched_tokens: int = 2048,
        prefix_sharing: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ):
        check_model(model)
        check_block_size(block_size)
        check_limits(max_num_seqs, max_num_batched_tokens)
        self.model, self._clock, self._bytes = model, clock, StepBytes(model)
        self.block_bytes = self._bytes.kv_bytes_per_layer * len(model.layers) * block_size
        num_blocks = number_of_blocks(num_blocks, memory_bytes, self.block_bytes)
        if isinstance(model, ShardedModel):  # a block has a number, and is in all ranks or in none
            num_blocks = model.least(num_blocks)
        self.pool = Pool(num_blocks, block_size, prefix_sharing)
        config, weight = model.config, model.head.weight
        sizes = self.pool.num_blocks, config.num_kv_heads, block_size, config.head_dim
        self._pages = [Pages(*sizes, weight.dtype, weight.device) for _ in model.layers]
        self._scheduler = Scheduler(self.pool, max_num_seqs, max_num_batched_tokens)
        self._num_requests = self._num_steps = 0

    @property
    def running(self) -> list[Request]:
        """Requests that have blocks, in the order of their admission."""
        return list(self._scheduler.running)

    @property
    def waiting(self) -> list[Request]:
        """Requests that wait to be admitted, the next one first."""
        return list(self._scheduler.waiting)

    def add(
        self,
        prompt: Sequence[int] | Tensor,
        max_new_tokens: int = 32,
        stop: Collection[int] = (),
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Request:
        """Return a request that waits to be admitted; steps fill it.

        Args:
            prompt: its tokens, (T,), 1 or more.
            max_new_tokens: tokens after which it ends.
            stop: tokens with which it ends; the one that it ends with is in its output.
            temperature, top_k, top_p: as in `gqa_lib.model.Sampling`; temperature 0 is greedy.
            seed: of what is drawn; `gqa_lib.model.generate` draws the same for this prompt alone.

        Raises:
            ValueError: these are not the model's tokens, so many that they never fit, or a number
                is out of range.
        """
        vocab_size = self.model.embedding.num_embeddings
        tokens = whole_tokens(prompt, "prompt", vocab_size)
        max_new_tokens = whole_number(max_new_tokens, "max_new_tokens", 1)
        check_request(len(tokens), max_new_tokens, self.model, self.pool)
        stops = whole_tokens(stop, "stop", vocab_size)
        number, sampling = self._num_requests, Sampling(temperature, top_k, top_p)
        sampler = Sampler(sampling, seed, f"request {number}")
        request = Request(number, tokens, max_new_tokens, stops, self._clock(), sampler)
        self._num_requests += 1
        self._scheduler.waiting.append(request)
        return request

    def cancel(self, request: Request) -> None:
        """End a request now, between two steps; its output stays as it is by then.

        Raises:
            ValueError: it is another engine's.
        """
        check_kind(Request, "Cancel what add() returned.", request=request)
        if request.finished:
            return
        if not self._scheduler.drop(request):
            raise ValueError(
                f"request {request.number} neither runs nor waits here: it was added to another "
                "engine. Cancel it there."
            )
        request.ending, request.finished_s = "cancelled", self._clock()

    def run(self) -> Iterator[Step]:
        """Yield step after step until nothing runs or waits; requests may be added in between."""
        while self._scheduler.running or self._scheduler.waiting:
            yield self.step()

    def step(self) -> Step:
        """Return the record of the next step, which computes tokens of the running requests.

        With nothing to do it computes nothing, and the record says so.

        Raises:
            ValueError: the model's logits for a request are not numbers. The next step tries again;
                the others go on once that request is cancelled.
        """
        start = self._clock()
        plan = self._scheduler.plan()
        blocks = self.pool.num_used, self.pool.num_idle
        chosen = self._compute(plan.chunks) if plan.chunks else {}
        end = self._clock()
        for request in plan.admitted:
            request.scheduled_s = start if request.scheduled_s is None else request.scheduled_s
        for chunk in plan.chunks:
            self._keep(chunk)
        finished = [request for request, token in chosen.items() if self._take(request, token, end)]
        return self._record(plan, len(chosen), finished, blocks, (start, end - start))

    @torch.no_grad()
    def _compute(self, chunks: Sequence[Chunk]) -> dict[Request, int]:
        """Run the model over chunks; return the next token of each sequence that is complete."""
        device = self.model.head.weight.device
        packed = Packed(chunks, self.pool.block_size, device)
        tokens = [
            token
            for chunk in packed.chunks
            for token in chunk.request.tokens[chunk.start : chunk.end]
        ]
        cache = ModelCache([StepCache(pages, packed) for pages in self._pages])
        x = self.model.hidden(torch.tensor([tokens], device=device), cache)  # (1, N, d_model)
        ends = itertools.accumulate(chunk.num_tokens for chunk in packed.chunks)
        last = {
            chunk.request: end - 1
            for chunk, end in zip(packed.chunks, ends, strict=True)
            if chunk.end == len(chunk.request.tokens)
        }
        if not last:
            return {}
        logits = self.model.logits(x[0, list(last.values())])  # (those that are complete, V)
        chosen = choose_tokens(logits, [request.sampler for request in last])
        pairs = zip(last, chosen, strict=True)
        return {request: token for request, token in pairs if token is not None}

    def _keep(self, chunk: Chunk) -> None:
        """Note that a chunk's keys and values are there, and let its full blocks be found."""
        request, size = chunk.request, self.pool.block_size
        request.num_cached = chunk.end
        keys = request.keys(size)
        for i in range(chunk.start // size, chunk.end // size):
            self.pool.keep(request.blocks[i], keys[i])

    def _take(self, request: Request, token: int, now: float) -> bool:
        """Add a token to a request's output; return whether it ends with it."""
        request.tokens.append(token)
        if request.first_token_s is None:
            request.first_token_s = now
        if token in request.stop:
            request.ending = "stop"
        elif len(request.tokens) == request.num_prompt + request.max_new_tokens:
            request.ending = "length"
        if request.finished:
            request.finished_s = now
            self._scheduler.drop(request)
        return request.finished

    def _record(
        self,
        plan: Plan,
        num_chosen: int,
        finished: Sequence[Request],
        blocks: tuple[int, int],
        times: tuple[float, float],
    ) -> Step:
        chunks, number = plan.chunks, self._num_steps
        num_decodes = sum(chunk.is_decode for chunk in chunks)
        num_tokens = sum(chunk.num_tokens for chunk in chunks)
        self._num_steps += 1
        return Step(
            number=number,
            start_s=times[0],
            seconds=times[1],
            num_seqs=len(chunks),
            num_decodes=num_decodes,
            prefill_tokens=num_tokens - num_decodes,
            reused_tokens=plan.reused_tokens,
            context_tokens=sum(chunk.end for chunk in chunks),
            kv_bytes_read=self._bytes.kv_read(chunks),
            kv_bytes_written=self._bytes.kv_written(chunks),
            weight_bytes=self._bytes.weights_read(num_tokens, num_chosen),
            running=len(self._scheduler.running),
            waiting=len(self._scheduler.waiting),
            blocks_used=blocks[0],
            blocks_idle=blocks[1],
            admitted=tuple(request.number for request in plan.admitted),
            preempted=tuple(request.number for request in plan.preempted),
            finished=tuple(request.number for request in finished),
        )
