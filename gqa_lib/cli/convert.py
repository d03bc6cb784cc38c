"""What `gqa convert` and `gqa uptrain` do: a checkpoint with fewer KV heads, and its training."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
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
        default="subspace",
        choices=("aligned", "subspace", "mean", "norm_mean", "first", "random"),
        help="how KV heads become one (default: subspace, what heads have most in common)",
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
    parser.add_argument("--device", help="cpu, cuda, ... (default: the best there is)")


@in_a_line
def convert(arguments: Namespace) -> None:
    """Write the converted checkpoint, and print what it keeps."""
    from gqa_lib.configs import from_hf_config
    from gqa_lib.cost import kv_cache_bytes
    from gqa_lib.model import convert_checkpoint

    moments, calibration = _moments(arguments)
    about = convert_checkpoint(
        arguments.source,
        arguments.target,
        arguments.num_kv_heads,
        arguments.method,
        regroup=arguments.regroup,
        moments=moments,
        seed=arguments.seed,
        calibration=calibration,
    )
    _kept_moments(arguments).unlink(missing_ok=True)
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
    """Train the checkpoint on, and print the held-out loss along the way.

    TARGET.pt keeps how far it is, until all is written: the same command goes on from there.
    """
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
    kept = Path(f"{arguments.target}.pt")
    if kept.exists():
        print(f"It goes on from {kept}.", flush=True)
    rows = train_on(
        arguments.source,
        arguments.text,
        arguments.target,
        recipe,
        context=arguments.context,
        seed=arguments.seed,
        device=arguments.device,
        path=kept,
        keep_every=max(1, steps // 5),
        bar=True,
    )
    kept.unlink()
    print("step  held-out loss, nats per token  bits per byte")
    for row in rows:
        print(f"{row['step']:4} {row['loss']:30.4f} {row['bits_per_byte']:14.4f}")
    print(f"{arguments.target} is written.")


def _kept_moments(arguments: Namespace) -> Path:
    return Path(f"{arguments.target}.partial.moments")


def _moments(arguments: Namespace) -> tuple[Any, dict[str, Any] | None]:
    """The second moments of what comes into each layer on a text, and what they are of.

    They are kept next to the unfinished folder: computed again, with other threads, they would
    differ in their last bits, and what is written already would not fit.
    """
    if arguments.calibration is None:
        return None, None
    import torch

    from gqa_lib.model import load
    from gqa_lib.model.convert import second_moments
    from gqa_lib.model.convert.folder import files_of
    from gqa_lib.model.convert.moments import keep_moments, kept_moments
    from gqa_lib.model.convert.pool import check_fewer
    from gqa_lib.model.hugging_face.read import check_folder
    from gqa_lib.model.hugging_face.write import check_new
    from gqa_lib.train import tokens_of

    source, target = Path(arguments.source), Path(arguments.target)
    checked = check_folder(source)
    config = checked.description.config
    check_fewer(config.num_kv_heads, arguments.num_kv_heads)
    check_new(target)
    context = min(_CONTEXT, config.max_context or _CONTEXT)
    task = tokens_of(source, arguments.calibration, context)
    of = {"text_sha256": task.described()["text"], "context": context, "sequences": _SEQUENCES}
    kept, whole = _kept_moments(arguments), of | {"files": files_of(checked)}
    moments = kept_moments(kept, whole)
    if moments is None:
        model = load(source)
        if model.embedding.weight.dtype == torch.float16:
            model = load(source, dtype=torch.float32)  # activations may overflow
        starts = torch.linspace(0, len(task.train) - context, _SEQUENCES).long()
        sequences = torch.stack([task.train[start : start + context] for start in starts])
        moments = second_moments(model, sequences.split(_AT_A_TIME))
        keep_moments(moments, whole, kept)
    return moments, of
