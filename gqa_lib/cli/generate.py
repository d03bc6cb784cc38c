"""What `gqa generate` does: print a checkpoint's continuation of a prompt as it comes."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from gqa_lib.model import load, load_tokenizer, stream
from gqa_lib.model.tokens import Tokenizer

from .command import in_a_line

_REPLACEMENT, _HELD = "\ufffd", 3  # a character has four bytes at most, and a token may be a byte


@in_a_line
def run(arguments: Namespace) -> None:
    """Print the continuation as it comes."""
    for piece in _continuation(arguments):
        print(piece, end="", flush=True)
    print()


def _continuation(arguments: Namespace) -> Iterator[str]:
    folder = arguments.checkpoint
    model, tokenizer = load(folder), load_tokenizer(folder)
    steps = stream(
        model,
        [tokenizer.encode(arguments.prompt)],
        arguments.max_new_tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
        stop=[*arguments.stop, *ends_of(folder, model.embedding.num_embeddings)],
    )
    return pieces(tokenizer, (token for (token,) in steps if token is not None))


def pieces(tokenizer: Tokenizer, tokens: Iterable[int]) -> Iterator[str]:
    """Yield the text of tokens as they come, characters that take several of them once whole.

    Args:
        tokenizer: of the model.
        tokens: new ones.
    """
    ids: list[int] = []
    shown = 0
    for token in tokens:
        ids.append(token)
        text = tokenizer.decode(ids)
        held = min(len(text) - len(text.rstrip(_REPLACEMENT)), _HELD)
        if len(text) - held > shown:
            yield text[shown : len(text) - held]
            shown = len(text) - held
    yield tokenizer.decode(ids)[shown:]


def ends_of(folder: str | Path, vocab_size: int) -> list[int]:
    """Return the tokens with which a checkpoint's texts end, as far as its files say.

    Args:
        folder: of the checkpoint.
        vocab_size: tokens that the model has; others are left out.
    """
    ends: list[object] = []
    for name in ("config.json", "generation_config.json"):
        path = Path(folder) / name
        if path.is_file():
            said = json.loads(path.read_text(encoding="utf-8-sig"))
            said = said.get("eos_token_id") if isinstance(said, dict) else None
            ends += said if isinstance(said, list) else [said]
    return [one for one in ends if type(one) is int and 0 <= one < vocab_size]
