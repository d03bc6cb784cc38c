"""Tensor parallelism: what ranks send each other, and how long that takes."""

from __future__ import annotations

from dataclasses import dataclass

from gqa_lib.arguments import check_number, check_whole
from gqa_lib.configs import ModelConfig

from .simulator.step_time import StepTime, Work


@dataclass(frozen=True)
class Link:
    """What connects the ranks.

    Args:
        bytes_per_s: bandwidth of each rank in one direction.
        latency_s: seconds of an all-reduce of nothing.

    Raises:
        ValueError: a bandwidth that is not above 0, or a negative latency.

    Source: the defaults are link_bw 16 and link_latency 20000 of casys-kaist/LLMServingSim,
    configs/cluster, commit f3a2a239.
    """

    bytes_per_s: float = 16e9
    latency_s: float = 20e-6

    def __post_init__(self) -> None:
        check_number(above=0, endless=True, bytes_per_s=self.bytes_per_s)
        check_number(0, latency_s=self.latency_s)

    def all_reduce_s(self, message_bytes: float, ranks: int) -> float:
        """Return the seconds of a ring all-reduce: 2 (n - 1) / n x bytes / bandwidth + latency.

        Args:
            message_bytes: of the tensor that each rank has.
            ranks: n; with one rank nothing is sent, and it takes no time.

        Source: Patarasuk and Yuan 2009 (J. Parallel Distrib. Comput. 69), section 3.
        """
        check_number(0, message_bytes=message_bytes)
        check_whole(ranks=ranks)
        if ranks == 1:
            return 0.0
        return 2 * (ranks - 1) / ranks * message_bytes / self.bytes_per_s + self.latency_s


class ParallelStepTime:
    """A rank's step time, and the two all-reduces of each layer, one after the other.

    Each layer adds up the ranks' parts after attention and after the feed-forward block: a vector
    of d_model for every token. Nothing of that is hidden behind arithmetic.

    Args:
        rank: seconds of a step of one rank's part of the model.
        config: the whole model's shape.
        ranks: that the model is divided over.
        link: what connects them.
        bytes_per_element: of what is sent.

    Source: Shoeybi et al. 2019 (arXiv 1909.08053), section 3.
    """

    def __init__(
        self,
        rank: StepTime,
        config: ModelConfig,
        ranks: int,
        link: Link,
        bytes_per_element: float = 2,
    ):
        check_number(above=0, bytes_per_element=bytes_per_element)
        token_bytes = config.d_model * bytes_per_element
        times = 2 * config.num_layers
        self._rank = rank
        self._fixed_s = times * link.all_reduce_s(0, ranks)
        self._token_s = times * link.all_reduce_s(token_bytes, ranks) - self._fixed_s

    def __call__(self, work: Work) -> float:
        """Return the seconds of a step.

        Args:
            work: what it computes.
        """
        tokens = work.num_decodes + sum(new for new, _ in work.prefills)
        sent_s = self._fixed_s + self._token_s * tokens if tokens else 0.0
        return self._rank(work) + sent_s
