"""What `gqa convert` and `gqa uptrain` do: a checkpoint with fewer KV heads, and its training."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Any

from .command import in_a_line, number, whole

_CONTEXT, _SEQUENCES, _AT_A_TIME = 512, 64, 8  # of calibration


def convert_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa convert`; imports no torch, so that --help is quick."""
    parser.add_argument("source", metavar="IN", help="folder of a checkpoint")
    parser.add_argument("target", metavar="OUT", help="folder that is made")
    parser.add_argument(
        "--num-kv-heads",
        type=whole(1),
        required=True,
        metavar="N",
        help="KV heads to be left, a divisor of those there are",
    )
    parser.add_argument(
        "--method",
        default="aligned",
        choices=("aligned", "subspace", "mean", "norm_mean", "first", "random"),
        help="how KV heads become one (default: aligned, the mean of heads turned to each other)",
    )
    parser.add_argument(
        "--regroup", action="store_true", help="pool the KV heads that are most alike"
    )
    parser.add_argument(
        "--calibration",
        metavar="TEXT",
        help="file or folder: heads are alike where they make the same of it; loads the model",
    )
    parser.add_argument("--seed", type=int, default=0, help="of --method random (default: 0)")


def uptrain_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa uptrain`; imports no torch, so that --help is quick."""
    parser.add_argument("source", metavar="IN", help="folder of a checkpoint")
    parser.add_argument("target", metavar="OUT", help="folder that is made")
    parser.add_argument(
        "--text", required=True, help="file or folder to train on; a part of it is held out"
    )
    parser.add_argument("--steps", type=whole(1), default=100, metavar="N", help="(default: 100)")
    parser.add_argument(
        "--lr", type=number(above=0), default=1e-4, help="highest learning rate (default: 0.0001)"
    )
    parser.add_argument(
        "--batch-size", type=whole(1), default=8, metavar="N", help="sequences (default: 8)"
    )
    parser.add_argument(
        "--context", type=whole(1), metavar="N", help="tokens of each (default: 256 at most)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the batches (default: 0)")


@in_a_line
def convert(arguments: Namespace) -> None:
    """Write the converted checkpoint, and print what it keeps."""
    from gqa_lib.configs import from_hf_config
    from gqa_lib.cost import kv_cache_bytes
    from gqa_lib.model import convert_checkpoint

    about = convert_checkpoint(
        arguments.source,
        arguments.target,
        arguments.num_kv_heads,
        arguments.method,
        regroup=arguments.regroup,
        moments=_moments(arguments.source, arguments.calibration),
        seed=arguments.seed,
    )
    keeps = [
        kv_cache_bytes(from_hf_config(folder), [1], 2) / 2**10
        for folder in (arguments.source, arguments.target)
    ]
    print(
        f"{arguments.target}: {about['from_num_kv_heads']} KV heads became "
        f"{about['num_kv_heads']} ({about['method']}); {keeps[0]:,.4g} KiB per cached token became "
        f"{keeps[1]:,.4g}, at 2 bytes a number."
    )
    if "keys" in about:
        print(f"Keys: {about['keys']}.")
    print(
        "What it lost is not known yet: compare both on your own evaluations, and train it on "
        f"(gqa uptrain {arguments.target} OUT --text YOUR_TEXT)."
    )


@in_a_line
def uptrain(arguments: Namespace) -> None:
    """Train the checkpoint on, and print the held-out loss along the way."""
    from gqa_lib.train import GENTLE
    from gqa_lib.train import uptrain as train_on

    steps = arguments.steps
    recipe = replace(
        GENTLE,
        steps=steps,
        lr=arguments.lr,
        batch_size=arguments.batch_size,
        warmup_steps=max(1, steps // 10),
        evaluate_every=max(1, steps // 5),
    )
    rows = train_on(
        arguments.source,
        arguments.text,
        arguments.target,
        recipe,
        context=arguments.context,
        seed=arguments.seed,
        bar=True,
    )
    print("step  held-out loss, nats per token  bits per byte")
    for row in rows:
        print(f"{row['step']:4} {row['loss']:30.4f} {row['bits_per_byte']:14.4f}")
    print(f"{arguments.target} is written.")


def _moments(source: str, text: str | None) -> Any:
    """The second moments of what comes into each layer on a text, None without one."""
    if text is None:
        return None
    import torch

    from gqa_lib.model import load
    from gqa_lib.model.convert import second_moments
    from gqa_lib.train import tokens_of

    model = load(source)
    context = min(_CONTEXT, model.config.max_context or _CONTEXT)
    tokens = tokens_of(source, text, context).train
    starts = torch.linspace(0, len(tokens) - context, _SEQUENCES).long()
    sequences = torch.stack([tokens[start : start + context] for start in starts])
    return second_moments(model, sequences.split(_AT_A_TIME))
