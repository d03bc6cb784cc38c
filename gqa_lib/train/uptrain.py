"""A little more training of a checkpoint, on a text of the user's."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gqa_lib import __version__
from gqa_lib.arguments import check_kind, check_whole, make_plain, place_for, plain
from gqa_lib.model import load, load_tokenizer, save
from gqa_lib.model.hugging_face.write import check_free, config_of

from . import next_token
from .corpus import Corpus, read_corpus
from .loop import KEEP_EVERY, fit
from .recipe import Recipe

GENTLE = Recipe(
    steps=100, batch_size=8, lr=1e-4, warmup_steps=10, evaluate_every=20, evaluate_first=True
)
UPTRAINING = "gqa_uptraining"  # in config.json
_CONTEXT = 256


@dataclass(frozen=True)
class TokenTask:
    """Predict each token of a text from those before it, with a model that is there already.

    Args:
        train, held_out: tokens, (N,) int64 each.
        context: tokens of a sequence.
        bytes_per_token: of the held-out text.
        sequences: that a model is judged by, spread over all that is held out.

    Raises:
        ValueError: a size is not a whole number, or a text is shorter than a sequence.
    """

    train: Tensor = field(repr=False)
    held_out: Tensor = field(repr=False)
    context: int
    bytes_per_token: float
    sequences: int = 32

    def __post_init__(self):
        make_plain(self)
        check_whole(context=self.context, sequences=self.sequences)
        next_token.check_long_enough(self.context, train=self.train, held_out=self.held_out)

    def new_model(self, heads: Any) -> nn.Module:
        """Raise ValueError: there is a model already.

        Args:
            heads: of no use.
        """
        raise ValueError("a TokenTask goes on with a model that is there: call fit, not train.")

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return sequences and the token after each of their tokens, both (size, context) int64.

        Args:
            size: how many.
            generator: where they begin is drawn from it.
        """
        return next_token.draw(self.train, size, self.context, generator)

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the mean loss of a token, in nats.

        Args:
            model: the model.
            batch: as `batch` gives one.
        """
        return next_token.loss(model, batch)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss on held-out text, in nats per token, and in "bits_per_byte".

        Args:
            model: the model.
        """
        nats = next_token.held_out_loss(model, self.held_out, self.context, self.sequences)
        return {"loss": nats, "bits_per_byte": nats / math.log(2) / self.bytes_per_token}

    def described(self) -> dict[str, Any]:
        """Return the task's sizes and the digest of its tokens."""
        digest = hashlib.sha256(self.train.numpy().tobytes() + self.held_out.numpy().tobytes())
        sizes = {"context": self.context, "sequences": self.sequences}
        return {"task": "tokens", "text": digest.hexdigest()} | sizes


def tokens_of(folder: str | Path, text: str | Path | Corpus, context: int) -> TokenTask:
    """Return the task of a text in a checkpoint's tokens.

    Args:
        folder: of the checkpoint; its tokenizer.json makes the tokens, or they are bytes.
        text: a file or folder, or a `Corpus`.
        context: tokens of a sequence.

    Raises:
        FileNotFoundError: the text or the folder is not there.
        ValueError: the text is too short.
    """
    check_kind((str, Path, Corpus), "Give a file or a folder.", text=text)
    corpus = text if isinstance(text, Corpus) else read_corpus(text)
    tokenizer = load_tokenizer(folder)
    train, held_out = (
        torch.tensor(tokenizer.encode(bytes(part.numpy()).decode(errors="replace")))
        for part in (corpus.train, corpus.held_out)
    )
    return TokenTask(train, held_out, context, len(corpus.held_out) / max(1, len(held_out)))


def uptrain(
    source: str | Path,
    text: str | Path | Corpus,
    target: str | Path | None = None,
    recipe: Recipe = GENTLE,
    *,
    context: int | None = None,
    seed: int = 0,
    device: str | None = None,
    path: str | Path | None = None,
    keep_every: int = KEEP_EVERY,
    bar: bool = False,
) -> list[dict[str, Any]]:
    """Train a checkpoint on, such as one whose KV heads became fewer, and write what came of it.

    Weights are float32 meanwhile: memory is needed for four of them each, and for activations.

    Args:
        source: folder of a checkpoint that `load` reads.
        text: to train on: a file or folder, of which a part is held out, or a `Corpus`.
        target: folder that is made, in the form of the source, whose config.json says under
            "gqa_uptraining" what was done; None writes none.
        recipe: how. The rate of `GENTLE` suits models of some hundred million parameters and more;
            small ones take ten times as much.
        context: tokens of a sequence; None is 256, or as many as the model takes.
        seed: of the batches.
        device, path, keep_every, bar: as in `fit`.

    Returns:
        A row for each evaluation, the first of them before any step: "step", "train_loss", "loss"
        in nats per held-out token, and "bits_per_byte".

    Raises:
        FileNotFoundError: the source or the text is not there.
        ValueError: target or target.partial is there, the text is too short, or as in `fit`.
    """
    check_kind(Recipe, "Give Recipe(...).", recipe=recipe)
    if target is not None:
        target = place_for(target, "target")
        check_free(target).parent.mkdir(parents=True, exist_ok=True)
    if context is not None:
        check_whole(context=context)
    model = load(source, dtype=torch.float32)
    longest = model.config.max_context
    if context is None:
        context = min(_CONTEXT, longest or _CONTEXT)
    if longest is not None and context > longest:
        raise ValueError(
            f"context={context} is longer than the {longest} tokens that {source} was trained "
            "with: give a shorter one."
        )
    task = tokens_of(source, text, context)
    how: dict[str, Any] = {"path": path, "keep_every": keep_every, "bar": bar}
    rows = fit(model, task, recipe, seed=seed, device=device, **how)
    if target is not None:
        about = task.described() | asdict(recipe) | {"seed": plain(seed), "result": rows[-1]}
        before = config_of(Path(source)).get(UPTRAINING)
        about |= {"gqa_lib": __version__} | ({"before": before} if before else {})
        save(model.cpu(), source, target, {UPTRAINING: about})
    return rows
