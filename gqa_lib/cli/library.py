"""The library's own commands: measuring, and what a learner asks without being graded."""

import json
from argparse import ArgumentParser, Namespace

from .benchmarks import BENCHMARKS
from .command import Command, loaded, number, whole
from .learning import LEARNING


def _info_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="*",
        help="a model's name or config.json: what it keeps, instead of what this machine has",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--tp", type=whole(1), default=1, metavar="N", help="what each of N ranks keeps, too"
    )
    _bits(parser)


def _info(arguments: Namespace) -> int:
    from . import info

    if not arguments.model:
        print(json.dumps(info.facts(), indent=1) if arguments.json else info.info())
        return 0
    rows: list[dict] = []
    for place, name in enumerate(arguments.model):
        try:
            if arguments.json:
                rows.append(info.model_facts(name, arguments.bytes, arguments.tp))
                continue
            told = info.about_model(name, arguments.bytes, arguments.tp)
        except (ValueError, OSError) as trouble:
            told = f"refused: {trouble}"
            rows.append({"name": name, "refused": str(trouble)})
        if not arguments.json:
            print("\n" * (place > 0) + told)
    if arguments.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    return int(any("refused" in row for row in rows))


def _bits(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--bytes",
        type=number(above=0),
        default=2,
        help="bytes of one cached number (default: 2)",
    )


def _models_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="*", help="part of a name, or a config.json (default: all)")
    parser.add_argument("--family", default="", help="part of a family's name, such as qwen")
    parser.add_argument("--kind", default="", help="MHA, GQA, MQA, MLA or hybrid")
    parser.add_argument(
        "--min-kib", type=number(), default=0, help="at least so many KiB per token"
    )
    parser.add_argument(
        "--max-kib", type=number(), default=float("inf"), help="at most so many KiB per token"
    )
    parser.add_argument(
        "--context", type=whole(1), default=8192, help="tokens of a sequence (default: 8192)"
    )
    _bits(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV, with sources")
    form.add_argument("--json", action="store_true", help="print JSON, with sources")


def _models(arguments: Namespace) -> int:
    from . import models

    rows = models.models(
        arguments.name,
        family=arguments.family,
        kind=arguments.kind,
        least_kib=arguments.min_kib,
        most_kib=arguments.max_kib,
        context=arguments.context,
        bytes_per_element=arguments.bytes,
    )
    if arguments.csv or arguments.json:
        print(models.as_csv(rows) if arguments.csv else models.as_json(rows))
    else:
        print(models.as_text(rows, arguments.context))
    return int(any("refused" in row for row in rows))


def _generate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="folder with config.json and safetensors files")
    parser.add_argument("prompt", help="the text to continue, in quotes")
    parser.add_argument("--max-new-tokens", type=int, default=64, metavar="N", help="(default: 64)")
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="0, the default, takes the likeliest token"
    )
    parser.add_argument("--top-p", type=float, default=1.0, help="draw from this share at most")
    parser.add_argument("--top-k", type=int, help="draw from so many tokens at most")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument(
        "--stop",
        type=int,
        action="append",
        default=[],
        metavar="ID",
        help="token to end at, in addition to those that the checkpoint ends at; may be repeated",
    )


def _build_native(arguments: Namespace) -> None:
    from gqa_lib.kernels.native.compile import build

    print("Compiling (about 15 s on two cores) ...", flush=True)
    print(build())


COMMANDS = (
    *LEARNING,
    *BENCHMARKS,
    Command(
        "info",
        "engineer",
        "show versions, the device and its backends; or what a model keeps",
        _info,
        _info_arguments,
        takes_folders=False,
    ),
    Command(
        "models",
        "engineer",
        "list the shipped models, or your own config.json, by what they keep",
        _models,
        _models_arguments,
        takes_folders=False,
    ),
    Command(
        "generate",
        "engineer",
        "continue a text with a model from your disk, as it comes",
        loaded("generate", "run"),
        _generate_arguments,
        takes_folders=False,
    ),
    Command(
        "convert",
        "engineer",
        "write a model from your disk with fewer KV heads",
        loaded("convert", "convert"),
        loaded("convert", "convert_arguments"),
        takes_folders=False,
    ),
    Command(
        "uptrain",
        "engineer",
        "train such a model on a little, on your text",
        loaded("convert", "uptrain"),
        loaded("convert", "uptrain_arguments"),
        takes_folders=False,
    ),
    Command(
        "simulate",
        "engineer",
        "simulate serving a trace: latencies, tokens/s, preemptions",
        loaded("simulate", "run"),
        loaded("simulate", "arguments"),
        takes_folders=False,
    ),
    Command(
        "plan",
        "engineer",
        "plan a benchmark of serving from a trace, and join its results with it",
        loaded("plan", "run"),
        loaded("plan", "arguments"),
        takes_folders=False,
    ),
    Command(
        "report",
        "engineer",
        "write a decision memo: GQA or not, for your model, hardware and traffic",
        loaded("report", "run"),
        loaded("report", "arguments"),
        takes_folders=False,
    ),
    Command(
        "build-native",
        "engineer",
        "compile the native CPU operator, once per machine",
        _build_native,
        takes_folders=False,
    ),
)
