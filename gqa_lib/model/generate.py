"""Continuing prompts, several at a time, of any lengths."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

from gqa_lib.cache import ModelCache

from .language_model import LanguageModel
from .sampling import Sampling


def generate(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    stop: Collection[int] = (),
    prefill_chunk: int = 512,
    progress: bool = False,
) -> list[list[int]]:
    """Return what the model continues each prompt with.

    Args:
        model: a language model.
        prompts: the tokens of each, one at least; they may differ in length.
        max_new_tokens: how many tokens each gets at most.
        temperature, top_k, top_p: as in `Sampling`; temperature 0, the default, is greedy.
        seed: of what is drawn. Prompt b of a batch draws what it would draw alone with seed + b.
        stop: tokens after which a row ends; the one that ends it is its last.
        prefill_chunk: tokens of each prompt that go through the model at a time.
        progress: whether a bar shows how far it is; it needs tqdm.

    Returns:
        The new tokens of each prompt.

    Raises:
        ValueError: there is no prompt or one is empty, a token is not in the vocabulary, or a
            number is out of range.
    """
    steps = stream(
        model,
        prompts,
        max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        stop=stop,
        prefill_chunk=prefill_chunk,
    )
    if progress:
        from tqdm.auto import tqdm

        steps = tqdm(steps, total=max_new_tokens, unit="token")
    outputs: list[list[int]] = [[] for _ in prompts]
    for step in steps:
        for output, token in zip(outputs, step, strict=True):
            if token is not None:
                output.append(token)
    return outputs


def stream(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    stop: Collection[int] = (),
    prefill_chunk: int = 512,
) -> Iterator[list[int | None]]:
    """Yield each step's new tokens as soon as they are there: one for each prompt.

    Args:
        model, prompts, max_new_tokens, temperature, top_k, top_p, seed, stop, prefill_chunk: as in
            `generate`, and refused when this is called.

    Yields:
        A token for each prompt, None for those that have ended.

    Raises:
        ValueError: as in `generate`.
    """
    sampling = Sampling(temperature, top_k, top_p)
    rows = [[int(token) for token in prompt] for prompt in prompts]
    _check(model, rows, max_new_tokens, prefill_chunk)
    generators = [torch.Generator().manual_seed(seed + b) for b in range(len(rows))]
    return _steps(model, rows, max_new_tokens, sampling, generators, set(stop), prefill_chunk)


def _steps(
    model: LanguageModel,
    prompts: list[list[int]],
    max_new_tokens: int,
    sampling: Sampling,
    generators: list[torch.Generator],
    stop: set[int],
    prefill_chunk: int,
) -> Iterator[list[int | None]]:
    if max_new_tokens == 0:
        return
    device = model.head.weight.device
    longest = max(map(len, prompts))
    cache = model.new_cache(len(prompts), longest + max_new_tokens - 1)
    with torch.inference_mode():
        x = _prefill(model, prompts, cache, prefill_chunk)  # (B, d_model)
    going = [True] * len(prompts)
    for count in range(1, max_new_tokens + 1):
        with torch.inference_mode():
            logits = model.logits(x)  # (B, V)
            tokens: list[int | None] = [
                sampling.choose(row, generator) if on else None
                for row, generator, on in zip(logits, generators, going, strict=True)
            ]
        yield tokens
        going = [token is not None and token not in stop for token in tokens]
        if count == max_new_tokens or not any(going):
            return
        new = torch.tensor([[token or 0] for token in tokens], device=device)  # (B, 1)
        with torch.inference_mode():
            x = model.hidden(new, cache, None if all(going) else [int(on) for on in going])[:, 0]


def _prefill(
    model: LanguageModel, prompts: list[list[int]], cache: ModelCache, chunk: int
) -> Tensor:
    """Put prompts through the model; return what its head takes for the last token of each."""
    last: list[Tensor | None] = [None] * len(prompts)
    for start in range(0, max(map(len, prompts)), chunk):
        parts = [prompt[start : start + chunk] for prompt in prompts]
        T = max(map(len, parts))
        padded = [part + [0] * (T - len(part)) for part in parts]
        counts = [len(part) for part in parts]
        tokens = torch.tensor(padded, device=model.head.weight.device)  # (B, T)
        x = model.hidden(tokens, cache, None if min(counts) == T else counts)
        for b, prompt in enumerate(prompts):
            if start < len(prompt) <= start + chunk:
                last[b] = x[b, len(prompt) - start - 1]
    return torch.stack([x for x in last if x is not None])


def _check(
    model: LanguageModel, prompts: list[list[int]], max_new_tokens: int, prefill_chunk: int
) -> None:
    if not prompts:
        raise ValueError("there is no prompt to continue: pass one or more, each a list of tokens.")
    vocab_size = model.embedding.num_embeddings
    for b, prompt in enumerate(prompts):
        if not prompt:
            raise ValueError(
                f"prompt {b} has no token: the model continues from the last one. Begin with the "
                "tokenizer's token for a beginning."
            )
        wrong = [token for token in prompt if not 0 <= token < vocab_size]
        if wrong:
            raise ValueError(
                f"prompt {b} has token {wrong[0]}, and the vocabulary has 0 to {vocab_size - 1}. "
                "Use the model's own tokenizer."
            )
    if max_new_tokens < 0 or prefill_chunk < 1:
        raise ValueError(
            f"max_new_tokens={max_new_tokens} and prefill_chunk={prefill_chunk}: give whole "
            "numbers, 0 or more and 1 or more."
        )
