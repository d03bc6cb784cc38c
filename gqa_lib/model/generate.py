"""Continuing prompts, several at a time, of any lengths."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gqa_lib.cache import ModelCache

from .checks import check_empty_cache, whole_number, whole_tokens
from .language_model import LanguageModel, check_model
from .sampling import Sampler, Sampling, choose_tokens


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
    cache: ModelCache | None = None,
    progress: bool = False,
) -> list[list[int]]:
    """Return what the model continues each prompt with.

    Args:
        model: a language model.
        prompts: the tokens of each, one at least, as lists, arrays or tensors that may
            differ in length.
        max_new_tokens: how many tokens each gets at most.
        temperature, top_k, top_p: as in `Sampling`; temperature 0, the default, is greedy.
        seed: of what is drawn, from 0. Prompt b of a batch draws what it would draw alone with
            seed + b.
        stop: tokens after which a row ends; the one that ends it is its last.
        prefill_chunk: tokens of each prompt that go through the model at a time.
        cache: where past tokens are kept, a row for each prompt and without tokens; None is
            `model.new_cache`, which keeps them all as they are.
        progress: whether a bar shows how far it is; it needs tqdm.

    Returns:
        The new tokens of each prompt.

    Raises:
        ValueError: there is no prompt or one is empty, a token is not in the vocabulary, a number
            is out of range, the cache is another model's or in use, or the model's logits are not
            numbers.
    """
    rows = _rows(model, prompts)
    steps = stream(
        model,
        rows,
        max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        stop=stop,
        prefill_chunk=prefill_chunk,
        cache=cache,
    )
    if progress:
        from tqdm.auto import tqdm

        steps = tqdm(steps, total=max_new_tokens, unit="token")
    outputs: list[list[int]] = [[] for _ in rows]
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
    cache: ModelCache | None = None,
) -> Iterator[list[int | None]]:
    """Yield each step's new tokens as soon as they are there: one for each prompt.

    Args:
        model, prompts, max_new_tokens, temperature, top_k, top_p, seed, stop, prefill_chunk, cache:
            as in `generate`, and refused when this is called; a cache that got tokens since then,
            when the first step is asked for.

    Yields:
        A token for each prompt, None for those that have ended.

    Raises:
        ValueError: as in `generate`.
    """
    sampling = Sampling(temperature, top_k, top_p)
    rows = _rows(model, prompts)
    seed = whole_number(seed, "seed", 0, 2**63 - len(rows))
    samplers = [Sampler(sampling, seed + b, f"prompt {b}") for b in range(len(rows))]
    stops = set(whole_tokens(stop, "stop", model.embedding.num_embeddings))
    max_new_tokens = whole_number(max_new_tokens, "max_new_tokens", 0)
    prefill_chunk = whole_number(prefill_chunk, "prefill_chunk", 1)
    if cache is not None:
        check_empty_cache(cache, len(model.layers), len(rows))
    return _steps(model, rows, max_new_tokens, samplers, stops, prefill_chunk, cache)


def _steps(
    model: LanguageModel,
    prompts: list[list[int]],
    max_new_tokens: int,
    samplers: list[Sampler],
    stop: set[int],
    prefill_chunk: int,
    cache: ModelCache | None,
) -> Iterator[list[int | None]]:
    if max_new_tokens == 0:
        return
    device = model.head.weight.device
    if cache is None:
        longest = max(map(len, prompts))
        cache = model.new_cache(len(prompts), longest + max_new_tokens - 1)
    else:
        check_empty_cache(cache, len(model.layers), len(prompts))  # since the call it may be in use
    with torch.inference_mode():
        x = _prefill(model, prompts, cache, prefill_chunk)  # (B, d_model)
    going = [True] * len(prompts)
    for count in range(1, max_new_tokens + 1):
        with torch.inference_mode():
            chooses = [one if on else None for one, on in zip(samplers, going, strict=True)]
            tokens = choose_tokens(model.logits(x), chooses)
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


def _rows(model: LanguageModel, prompts: Any) -> list[list[int]]:
    """The tokens of each prompt, all of them the model's."""
    check_model(model)
    prompts = list(prompts) if isinstance(prompts, Iterable) else []
    if not prompts:
        raise ValueError("there is no prompt to continue: pass one or more, each a list of tokens.")
    vocab_size = model.embedding.num_embeddings
    rows = [whole_tokens(one, f"prompts[{b}]", vocab_size) for b, one in enumerate(prompts)]
    if [] in rows:
        raise ValueError(
            f"prompts[{rows.index([])}] has no token: the model continues from the last one. Begin "
            "with the tokenizer's token for a beginning."
        )
    return rows
