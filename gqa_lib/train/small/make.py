"""How the small model was made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gqa_lib.arguments import place_for
from gqa_lib.model import LanguageModel, save_llama
from gqa_lib.model.hugging_face.write import check_free

from ..baselines import baselines
from ..corpus import python_sources
from ..loop import train
from ..recipe import Recipe
from ..task import Heads
from ..text import TextTask

CONTEXT = 512
HEADS = Heads(num_heads=8, num_kv_heads=8, head_dim=24)
RECIPE = Recipe(
    steps=3000,
    batch_size=8,
    lr=2e-3,
    warmup_steps=100,
    weight_decay=0.1,
    evaluate_every=250,
)
_README = """\
# A small model of bytes

A decoder like Llama with {params:,} parameters in {layers} layers: MHA with 8 heads of 24 channels.
It reads and writes bytes, so there is no tokenizer. This makes one like it:

    python -m gqa_lib.train.small FOLDER

- **Text:** {origin}; {bytes:,} bytes to train on. Another
  version of Python has other sources. Their licence is the PSF's.
- **Training:** {steps} steps of {batch_size} sequences of {context} bytes from random places,
  {seen:,} in all; AdamW with a learning rate of {lr} (cosine) and a weight decay of
  {weight_decay}, seed 0.
- **Held-out files:** {nats:.4f} nats per byte, which is {bits:.4f} bits. What costs nothing,
  from as many bytes:
  {free}.
"""


def make(target: str | Path, recipe: Recipe = RECIPE, bar: bool = False) -> dict[str, float]:
    """Train a model like the small one, and write its folder.

    Args:
        target: folder that is made; it must not be there. TARGET.pt is where training goes on
            after it was stopped.
        recipe: how.
        bar: whether a bar shows how far it is; it needs tqdm.

    Returns:
        Its loss on held-out files: "loss" in nats per byte, "bits_per_byte".

    Raises:
        ValueError: target or target.partial is there.
    """
    target = place_for(target, "target")
    check_free(target)
    corpus = python_sources()
    task = TextTask(corpus, context=CONTEXT)
    path = target.with_name(f"{target.name}.pt")
    model, rows = train(task, HEADS, recipe, path=path, bar=bar)
    assert isinstance(model, LanguageModel)
    model.config = replace(model.config, max_context=task.context)
    seen = recipe.steps * recipe.batch_size * task.context
    free = baselines(corpus, max_train_bytes=min(seen, len(corpus.train)))
    said = _README.format(
        params=sum(one.numel() for one in model.parameters()),
        layers=task.num_layers,
        origin=corpus.origin,
        bytes=len(corpus.train),
        seen=seen,
        context=task.context,
        nats=rows[-1]["loss"],
        bits=rows[-1]["bits_per_byte"],
        free=", ".join(f"{name} {bits:.2f}" for name, bits in free.items()),
        **{name: getattr(recipe, name) for name in ("steps", "batch_size", "lr", "weight_decay")},
    )
    save_llama(model, target)
    (target / "README.md").write_text(said)
    path.unlink()
    return {name: rows[-1][name] for name in ("loss", "bits_per_byte")}
