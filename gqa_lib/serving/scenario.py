"""A model, what it runs on and an engine's flags: what a simulation of serving is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gqa_lib.arguments import check_choice, check_kind
from gqa_lib.configs import ModelConfig, from_hf_config, load_model
from gqa_lib.configs.named import is_file
from gqa_lib.cost import kv_bytes_per_token, rank_config
from gqa_lib.hardware import Hardware, datasheet

from .layout import layout
from .ledger import Ledger, at_num_kv_heads, ledger
from .parallel import Link, ParallelStepTime
from .settings import KV_CACHE_DTYPES, check_settings
from .shapes import kv_scale, qkv_scale, with_vocabulary, without_idle_windows
from .simulator import (
    ENGINES,
    KernelStepTime,
    RooflineStepTime,
    Rules,
    Simulation,
    StepTime,
    simulate,
)
from .simulator.samples import TimedEngine, check_kernel_times, sample_files
from .traffic import Trace


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A model on hardware, with an engine's flags, which are named as vLLM's.

    Args:
        model: a name in `gqa_lib.configs`, a config.json or its folder, or a ModelConfig. None is
            the model whose kernels `kernel_times` names.
        hardware: a name of `gqa_lib.hardware.DATASHEET`, or measured ceilings, as
            `gqa_lib.measure.measure_hardware` returns them. With kernel_times only its memory
            counts.
        kernel_times: three CSV files (attention, dense, per_sequence), as in `KernelStepTime`, or a
            name of `ENGINES`; None is a step time by the two ceilings of the hardware. With
            tensor parallelism they are of one rank.
        num_kv_heads: KV heads that the model is given instead of its own.
        max_num_seqs, max_num_batched_tokens, block_size: as in `Rules`.
        gpu_memory_utilization: the share of the memory that the engine uses.
        num_blocks: blocks, instead of as many as the memory holds (vLLM's
            --num-gpu-blocks-override). One of them stays empty, as in vLLM.
        kv_cache_dtype: a key of `KV_CACHE_DTYPES`.
        bytes_per_parameter: bytes of a parameter, on average, as the engine holds them; None is 2,
            and is refused where a config.json says that weights are quantised.
        tensor_parallel: ranks; each has the hardware to itself.
        link: between the ranks.
        bandwidth_efficiency, flops_efficiency: shares of the hardware's ceilings that kernels
            reach, from 0 to 1.
        overhead_s: seconds of each step in which no kernel runs.
        activation_bytes: memory that activations and the engine itself take.
        skew: as in `KernelStepTime`.

    Raises:
        ValueError: numbers out of range, or nothing that says how long a step takes.
    """

    model: ModelConfig | str | Path | None = None
    hardware: Hardware | str | None = None
    kernel_times: str | Sequence[Path | str] | None = None
    num_kv_heads: int | None = None
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    block_size: int = 16
    gpu_memory_utilization: float = 0.9
    num_blocks: int | None = None
    kv_cache_dtype: str = "auto"
    bytes_per_parameter: float | None = None
    tensor_parallel: int = 1
    link: Link = field(default_factory=Link)
    bandwidth_efficiency: float = 1.0
    flops_efficiency: float = 1.0
    overhead_s: float = 0.0
    activation_bytes: float | None = None
    skew: float = 0.0

    def __post_init__(self) -> None:
        check_settings(vars(self))
        if (times := self.kernel_times) is not None:
            check_kernel_times(times, self.own_config.name, self.tensor_parallel)

    @cached_property
    def engine(self) -> TimedEngine | None:
        """The engine of the course whose kernels these are, if it is one."""
        if not isinstance(self.kernel_times, str):
            return None
        check_choice(tuple(ENGINES), kernel_times=self.kernel_times)
        return ENGINES[self.kernel_times]

    @cached_property
    def own_config(self) -> ModelConfig:
        """The model as it is."""
        model = self.engine.model if self.model is None and self.engine else self.model
        if isinstance(model, ModelConfig):
            return without_idle_windows(model)
        check_kind((str, Path), "Give a name, a config.json or a ModelConfig.", model=model)
        read = from_hf_config if is_file(str(model)) else load_model
        return with_vocabulary(without_idle_windows(read(str(model))))

    @cached_property
    def config(self) -> ModelConfig:
        """The model with the KV heads that it is given."""
        heads = self.num_kv_heads
        return self.own_config if heads is None else at_num_kv_heads(self.own_config, heads)

    @cached_property
    def machine(self) -> Hardware | None:
        """The hardware, its ceilings as far as kernels reach them; None if nothing names it."""
        given = self.hardware
        if given is None:
            if self.engine is None:
                return None
            given = self.engine.hardware
        hardware = datasheet(given) if isinstance(given, str) else given
        return replace(
            hardware,
            bandwidth_bytes_per_s=hardware.bandwidth_bytes_per_s * self.bandwidth_efficiency,
            flops_per_s=hardware.flops_per_s * self.flops_efficiency,
        )

    @property
    def kv_bytes_per_element(self) -> int:
        """Bytes of a cached number."""
        return KV_CACHE_DTYPES[self.kv_cache_dtype]

    @property
    def parameter_bytes(self) -> float:
        """Bytes of a parameter."""
        return 2 if self.bytes_per_parameter is None else self.bytes_per_parameter

    @property
    def weight_bytes(self) -> float | None:
        """Bytes of all parameters, None where their number is not known."""
        known = self.config.weight_bytes
        return None if known is None else known / 2 * self.parameter_bytes

    @cached_property
    def reserved_bytes(self) -> float:
        """Bytes of activations and of the engine itself.

        Without `activation_bytes` they are those of the course's engine, if it is that one, else 0.
        """
        if self.activation_bytes is not None:
            return self.activation_bytes
        engine, machine = self.engine, self.machine
        if engine is None or machine is None or machine.name != engine.hardware:
            return 0.0
        return engine.activation_bytes(self.own_config, machine.memory_bytes)

    def ledger(self) -> Ledger:
        """Return where the memory of a rank goes.

        Raises:
            ValueError: no hardware says how much there is, or the weights do not fit.
        """
        return ledger(
            self.config,
            self._need_machine().memory_bytes,
            memory_fraction=self.gpu_memory_utilization,
            block_size=self.block_size,
            bytes_per_element=self.kv_bytes_per_element,
            weight_bytes=self.weight_bytes,
            activation_bytes=self.reserved_bytes,
            tensor_parallel=self.tensor_parallel,
        )

    def rules(self) -> Rules:
        """Return the simulated engine's settings; one block stays empty, as in vLLM.

        Of a model with constant states a sequence takes blocks for these too, and nothing is found
        again, neither prefixes nor what a preempted sequence left.

        Raises:
            ValueError: settings that do not go together, or memory for less than two blocks.
        """
        blocks, ranks = self.num_blocks, self.tensor_parallel
        held = layout(self.config, self.kv_bytes_per_element, self.block_size, ranks)
        if blocks is None:
            blocks = self.ledger().num_blocks
        if blocks < 2:
            raise ValueError(
                f"num_blocks={blocks}: one stays empty, so that nothing could be cached. Give 2 or "
                "more."
            )
        return Rules(
            held.tokens_blocks(blocks - 1),
            held.block_size,
            self.max_num_seqs,
            self.max_num_batched_tokens,
            kv_bytes_per_token=kv_bytes_per_token(self.config, self.kv_bytes_per_element),
            blocks_per_seq=held.blocks_per_seq,
            prefix_caching=not held.state_tables,
        )

    def step_time(self) -> StepTime:
        """Return the seconds of a step, as a function of what it computes.

        Raises:
            ValueError: the number of parameters is not known, or a table cannot be read.
        """
        ranks = self.tensor_parallel
        own, config = rank_config(self.own_config, ranks), rank_config(self.config, ranks)
        rank: StepTime
        files = self.kernel_times
        if files is None:
            rank = RooflineStepTime(
                config,
                self._need_machine(),
                self.kv_bytes_per_element,
                self.overhead_s,
                self.parameter_bytes,
            )
        else:
            attention, dense, per_sequence = (
                sample_files(files) if isinstance(files, str) else files
            )
            rank = KernelStepTime(
                attention,
                dense,
                per_sequence,
                num_layers=config.num_layers,
                skew=self.skew,
                overhead_s=self.overhead_s,
                kv_scale=kv_scale(own, config, self.kv_bytes_per_element),
                qkv_scale=qkv_scale(own, config),
            )
        if ranks == 1:
            return rank
        return ParallelStepTime(rank, self.config, ranks, self.link)

    def too_long(self, trace: Trace) -> dict[str, NDArray[np.bool_]]:
        """Return which requests can never be served, by the limit that they exceed.

        Args:
            trace: the requests.

        Returns:
            Masks of (N,), each with one True or more.
        """
        check_kind(Trace, "Give traffic.load_trace(path).", trace=trace)
        rules, context = self.rules(), self.config.max_context
        cached = trace.prompt_tokens + trace.output_tokens - 1  # the last token is never read
        blocks = f"{rules.num_blocks} blocks of {rules.block_size} tokens"
        if rules.blocks_per_seq:
            blocks += f", {rules.blocks_per_seq} of them for its states"
        limits = {blocks: cached > rules.longest}
        if context is not None:
            limits[f"the model's context of {context} tokens"] = cached >= context
        return {limit: mask for limit, mask in limits.items() if mask.any()}

    def run(self, trace: Trace) -> Simulation:
        """Return what the engine does with a trace's requests.

        Args:
            trace: with arrivals. Prompts that begin alike share what they can, if it says so.

        Raises:
            ValueError: it has no arrivals, or requests that can never be served.
        """
        too_long, rules = self.too_long(trace), self.rules()
        for limit, mask in too_long.items():
            raise ValueError(
                f"{int(mask.sum())} of {len(trace)} requests exceed {limit}, the longest with "
                f"{int((trace.prompt_tokens + trace.output_tokens)[mask].max())} tokens: they "
                "would wait forever. Leave them out (trace.select), or give the engine more."
            )
        shared = trace.hash_ids if rules.prefix_caching else None
        if shared is not None and trace.hash_block_tokens is not None:
            rules = replace(rules, hash_tokens=trace.hash_block_tokens)
        if trace.arrival_s is None:
            raise ValueError(
                "the trace has no arrivals, which decide what each request waits for. Draw some "
                "with traffic.gamma_arrivals(n, rate, arrival_cv)."
            )
        return simulate(
            trace.arrival_s,
            trace.prompt_tokens,
            trace.output_tokens,
            rules,
            self.step_time(),
            None if shared is None else list(shared),
        )

    def _need_machine(self) -> Hardware:
        if self.machine is not None:
            return self.machine
        raise ValueError("no memory says how many blocks fit. Give hardware, or num_blocks.")
