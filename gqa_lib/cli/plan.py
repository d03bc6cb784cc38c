"""What `gqa plan` does: a benchmark planned from a trace, and its results joined with it."""

from __future__ import annotations

import json
import shlex
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .command import folder, in_a_line, number, whole
from .engine_flags import engine_arguments, scenario_of, trace_of

if TYPE_CHECKING:
    from gqa_lib.serving.plan import BenchmarkPlan
    from gqa_lib.serving.traffic import Trace

_FIXED = 1000  # requests of one size that stand for a trace


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa plan`.

    Args:
        parser: the command's.
    """
    parser.add_argument(
        "trace",
        nargs="?",
        metavar="TRACE",
        help="a trace's file or a sample's name (azure-code-2023, azure-conv-2023, vllm-rtx4090); "
        "none with --isl and --osl; with --results, the folder of a plan",
    )
    parser.add_argument("--isl", type=whole(1), metavar="N", help="tokens of every prompt")
    parser.add_argument("--osl", type=whole(1), metavar="N", help="tokens of every output")
    parser.add_argument("--output", type=folder, metavar="DIR", help="write the plan's files there")
    parser.add_argument("--json", action="store_true", help="print the plan's numbers as JSON")
    parser.add_argument(
        "--results",
        nargs="+",
        metavar="FILE",
        help="what was measured (vllm bench serve, AIPerf, GuideLLM): join it with the plan in the "
        "folder TRACE. FILE has the name that the plan gave it, or is written HEADS=FILE",
    )
    _about_question(parser)
    engine_arguments(parser)


def _about_question(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("question")
    group.add_argument(
        "--variants",
        type=_heads,
        metavar="N,N",
        help="numbers of KV heads, the baseline first (default: as many as query heads, and the "
        "model's own)",
    )
    group.add_argument("--ttft", type=number(above=0), metavar="MS", help="time to first token")
    group.add_argument("--tpot", type=number(above=0), metavar="MS", help="time per output token")
    group.add_argument(
        "--margin",
        type=number(above=0),
        default=0.05,
        metavar="SHARE",
        help="smallest difference that matters (default: 0.05)",
    )
    group.add_argument(
        "--relative-error",
        type=number(above=0),
        default=0.05,
        metavar="SHARE",
        help="of a mean over requests (default: 0.05)",
    )
    _about_runs(group)


def _about_runs(group: _ArgumentGroup) -> None:
    group.add_argument(
        "--requests",
        type=whole(2),
        metavar="N",
        help="measured of each variant, all runs together (default: as many as --relative-error "
        "and --percentile need)",
    )
    group.add_argument(
        "--percentile",
        type=number(above=0),
        default=95.0,
        metavar="Q",
        help="highest percentile to quote (default: 95)",
    )
    group.add_argument("--seeds", type=whole(2), default=5, metavar="N", help="(default: 5)")
    group.add_argument(
        "--request-rate",
        type=number(above=0),
        metavar="R",
        help="requests a second (default: the baseline's predicted knee)",
    )
    group.add_argument(
        "--burstiness",
        type=number(above=0),
        default=1.0,
        metavar="B",
        help="of gamma arrivals, CV 1 / sqrt(B) (default: 1, Poisson)",
    )
    group.add_argument(
        "--max-concurrency", type=whole(1), metavar="N", help="requests in flight at most"
    )


def _heads(text: str) -> list[int]:
    """Numbers of KV heads of a command line, for argparse's `type`."""
    parts = [one.strip() for one in text.split(",")]
    if len(parts) < 2 or not all(one.isdigit() and int(one) for one in parts):
        raise ArgumentTypeError(f"{text!r} is not a list of two numbers or more, such as 32,8")
    return [int(one) for one in parts]


@in_a_line
def run(arguments: Namespace) -> None:
    """Print a plan or write it; or join results with one."""
    if arguments.results is not None:
        _join(arguments)
        return
    plan = _planned(arguments)
    if arguments.json:
        from gqa_lib.serving.plan import plan_facts

        print(json.dumps(plan_facts(plan), indent=1))
    if arguments.output is not None:
        from gqa_lib.serving.plan import plan_warnings, write_plan

        files = write_plan(plan, arguments.output)
        if not arguments.json:
            print("\n".join([*map(str, files), *plan_warnings(plan)]))
            place = shlex.quote(arguments.output)
            print(
                f"Read {place}/plan.md; run vllm_bench.sh where the device is; then "
                f"gqa plan {place} --results {place}/results/*.json"
            )
    elif not arguments.json:
        from gqa_lib.serving.plan import plan_markdown

        print(plan_markdown(plan))


def _join(arguments: Namespace) -> None:
    from gqa_lib.serving.plan import join_results, joined_markdown

    if arguments.trace is None:
        raise ValueError("--results without a plan: give the folder of one, gqa plan DIR --results")
    print(joined_markdown(join_results(arguments.trace, arguments.results)))


def _planned(arguments: Namespace) -> BenchmarkPlan:
    from gqa_lib.serving.plan import benchmark_plan

    limits = {"ttft": arguments.ttft, "tpot": arguments.tpot}
    return benchmark_plan(
        _trace(arguments),
        scenario_of(arguments),
        num_kv_heads=arguments.variants,
        goodput={name: most for name, most in limits.items() if most is not None} or None,
        margin=arguments.margin,
        relative_error=arguments.relative_error,
        percentile=arguments.percentile,
        num_seeds=arguments.seeds,
        num_requests=arguments.requests,
        request_rate=arguments.request_rate,
        burstiness=arguments.burstiness,
        max_concurrency=arguments.max_concurrency,
        rehearsed=find_spec("scipy") is not None,
    )


def _trace(arguments: Namespace) -> Trace:
    import numpy as np

    from gqa_lib.serving.traffic import Trace

    fixed = arguments.isl, arguments.osl
    if arguments.trace is None:
        if None in fixed:
            raise ValueError(
                "no trace: give a file, a sample's name, or --isl and --osl for requests of one "
                "size, which have no variance."
            )
        prompts, outputs = (np.full(_FIXED, one) for one in fixed)
        note = f"requests of one size, as given (--isl {fixed[0]} --osl {fixed[1]})"
        return Trace(None, prompts, outputs, format="fixed", notes=(note,))
    if fixed != (None, None):
        raise ValueError(
            f"{arguments.trace} with --isl or --osl: a trace says how long its requests are. Leave "
            "one of both out."
        )
    return trace_of(arguments.trace)
