"""A language model of bytes, on any text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gqa_lib.arguments import check_kind, check_whole, make_plain
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, Variant

from . import next_token
from .corpus import Corpus
from .task import Heads, check_shared_heads

BYTES = 256


@dataclass(frozen=True)
class TextTask:
    """Predict each byte of a text from those before it.

    Args:
        corpus: what is trained on, and what is held out.
        context: bytes of a sequence.
        num_layers, d_model: of the model, a decoder like Llama with a tied embedding.
        d_ff: channels of its feed-forward blocks; None is about 8/3 of d_model.
        equal_params: whether d_ff grows until a model with fewer KV heads has as many parameters
            as the one with num_kv_heads = num_heads.
        held_out: sequences that a model is judged by, spread over all that is held out.

    Raises:
        ValueError: a size is not a whole number, or the text is shorter than a sequence.
    """

    corpus: Corpus = field(repr=False)
    context: int = 256
    num_layers: int = 4
    d_model: int = 192
    d_ff: int | None = None
    equal_params: bool = False
    held_out: int = 64

    def __post_init__(self):
        make_plain(self)
        check_kind(Corpus, "Give python_sources() or read_corpus(path).", corpus=self.corpus)
        check_whole(context=self.context, num_layers=self.num_layers, d_model=self.d_model)
        check_whole(held_out=self.held_out)
        if self.d_ff is not None:
            check_whole(d_ff=self.d_ff)
        check_kind(bool, "Give True or False.", equal_params=self.equal_params)
        text = self.corpus
        next_token.check_long_enough(self.context, train=text.train, held_out=text.held_out)

    def config(self, heads: Heads) -> ModelConfig:
        """Return the sizes of the model.

        Args:
            heads: of its attention.

        Raises:
            ValueError: they have a latent.
        """
        check_shared_heads(heads)
        d_ff = self.d_ff or 8 * math.ceil(self.d_model / 3)
        if self.equal_params:
            saved = 2 * (heads.num_heads - heads.num_kv_heads) * heads.head_dim  # x d_model
            d_ff += round(saved / 3)  # gate, up and down: 3 d_model for each channel
        return ModelConfig(
            f"bytes {heads}",
            num_layers=self.num_layers,
            num_heads=heads.num_heads,
            num_kv_heads=heads.num_kv_heads,
            head_dim=heads.head_dim,
            d_model=self.d_model,
            d_ff=d_ff,
            vocab_size=BYTES,
        )

    def new_model(self, heads: Heads) -> LanguageModel:
        """Return a model with random weights.

        Args:
            heads: of its attention.
        """
        model = LanguageModel(self.config(heads), Variant(tied=True))
        for name, weight in model.named_parameters():
            if weight.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                std = 0.02 / math.sqrt(2 * self.num_layers) if last else 0.02
                nn.init.normal_(weight, std=std)
        return model

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return sequences and the byte after each of their bytes, both (size, context) int64.

        Args:
            size: how many.
            generator: where they begin is drawn from it.
        """
        return next_token.draw(self.corpus.train, size, self.context, generator)

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the mean loss of a byte, in nats.

        Args:
            model: as `new_model` makes one.
            batch: as `batch` gives one.
        """
        return next_token.loss(model, batch)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss on held-out text, in nats, and "bits_per_byte", which is loss / ln 2.

        Args:
            model: as `new_model` makes one.
        """
        text = self.corpus.held_out
        nats = next_token.held_out_loss(model, text, self.context, self.held_out)
        return {"loss": nats, "bits_per_byte": nats / math.log(2)}

    def described(self) -> dict[str, Any]:
        """Return the task's sizes and the digest of its text."""
        sizes = {name: value for name, value in vars(self).items() if name != "corpus"}
        return {"task": "text", "text": self.corpus.digest} | sizes
