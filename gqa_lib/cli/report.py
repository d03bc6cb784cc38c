"""What `gqa report` does: a decision memo, as Markdown and as one HTML page."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .command import folder, in_a_line, number, separated, whole
from .engine_flags import engine_arguments, scenario_of, trace_of

if TYPE_CHECKING:
    from gqa_lib.serving.memo import Question
    from gqa_lib.serving.scenario import Scenario

_FILES = "several files may follow"


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa report`; imports nothing, so that --help is quick."""
    parser.add_argument(
        "--trace", required=True, help="file of requests, or a sample such as azure-code-2023"
    )
    parser.add_argument(
        "--price-per-hour", type=number(above=0), metavar="P", help="of all the hardware"
    )
    parser.add_argument("--currency", default="USD", help="of the price (default: USD)")
    parser.add_argument(
        "--variants",
        type=separated,
        metavar="N,N,...",
        help="numbers of KV heads; the most is what the others are compared with (default: as "
        "many as query heads, the model's own, half of it, 1)",
    )
    parser.add_argument(
        "--goodput", metavar="'ttft:500 tpot:50'", help="latencies not to be exceeded, in ms"
    )
    parser.add_argument(
        "--margin",
        type=number(above=0),
        default=0.05,
        help="ratio of tokens/s, less 1, that matters (default: 0.05)",
    )
    parser.add_argument(
        "--requests",
        type=whole(1),
        default=2000,
        metavar="N",
        help="of the trace, the first, that are simulated (default: 2000)",
    )
    _evidence_arguments(parser)
    engine_arguments(parser)
    parser.add_argument(
        "--output",
        required=True,
        type=folder,
        metavar="DIR",
        help="folder for memo.md, its plots, and memo.html",
    )


def _evidence_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--records",
        nargs="+",
        metavar="FILE",
        help=f"kernel and quality records, or folders of gqa bench runs; {_FILES} (default: those "
        "that come with the course)",
    )
    parser.add_argument(
        "--results",
        nargs="+",
        default=[],
        metavar="[N=]FILE",
        help="results of vllm bench serve --save-result, N the KV heads of the model served",
    )
    parser.add_argument(
        "--quality",
        nargs="+",
        default=[],
        metavar="[N=]FILE",
        help="quality records, or results of lm_eval --output_path of the model and its variants",
    )


@in_a_line
def run(arguments: Namespace) -> None:
    """Write the memo, and print its answer and where it is."""
    from gqa_lib.course.files import replace_file
    from gqa_lib.serving.memo import Plot, markdown, page, read_evidence, write_memo

    question = _question(arguments)
    records = arguments.records
    if records is None:
        from gqa_lib.records import recorded

        records = [str(p) for name in ("decode", "quality") for p in recorded(name)]
    evidence = read_evidence(question, records, arguments.results, arguments.quality)
    memo = write_memo(question, evidence)
    html, out = page(memo), Path(arguments.output)
    for block in memo.blocks:
        if isinstance(block, Plot):
            replace_file(out / f"{block.name}.svg", block.svg)
    replace_file(out / "memo.md", markdown(memo))
    replace_file(out / "memo.html", html)
    print("\n".join(one.plain() for one in memo.answer))
    print(f"{out / 'memo.md'}\n{out / 'memo.html'}")


def _question(arguments: Namespace) -> Question:
    from gqa_lib.serving.memo import Question

    scenario = _scenario(arguments)
    own = scenario.own_config
    usual = dict.fromkeys((own.num_heads, own.num_kv_heads, max(1, own.num_kv_heads // 2), 1))
    return Question(
        trace=trace_of(arguments.trace),
        trace_name=arguments.trace,
        scenario=scenario,
        variants=_numbers(arguments.variants) if arguments.variants else tuple(usual),
        price_per_hour=arguments.price_per_hour,
        currency=arguments.currency,
        goodput=arguments.goodput,
        margin=arguments.margin,
        max_requests=arguments.requests,
    )


def _numbers(texts: list[str]) -> list[int]:
    wrong = [one for one in texts if not one.isdecimal()]
    if wrong:
        raise ValueError(
            f"--variants {','.join(texts)}: {wrong[0]!r} is not a number of KV heads. Give for "
            "example 32,8,1."
        )
    return [int(one) for one in texts]


def _scenario(arguments: Namespace) -> Scenario:
    """The scenario, with the course's kernel times if they are of this model and hardware."""
    from gqa_lib.serving.simulator import ENGINES

    if arguments.num_kv_heads is not None:
        raise ValueError(
            f"--num-kv-heads {arguments.num_kv_heads}: a memo compares several. Give --variants."
        )
    scenario = scenario_of(arguments)
    if scenario.machine is None:
        raise ValueError("no --hardware: its memory decides how many requests fit. Give a GPU's.")
    if scenario.kernel_times is not None or scenario.tensor_parallel > 1:
        return scenario
    for name, engine in ENGINES.items():
        if (scenario.own_config.name, scenario.machine.name) == (engine.model, engine.hardware):
            return replace(scenario, kernel_times=name)
    return scenario
