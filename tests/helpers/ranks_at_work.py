"""What ranks compute in tests; they import it, which a test's own module would make slower."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import torch
import torch.distributed as dist

from gqa_lib.attention import Rope
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, Variant, generate
from gqa_lib.model.parallel import (
    count_messages,
    join_torchrun,
    run_ranks,
    shard_model,
    split_cache,
    split_decode,
)
from gqa_lib.serving import Engine

SIZES: dict[str, Any] = {"num_layers": 2, "num_heads": 8, "head_dim": 8, "d_model": 28, "d_ff": 32}
VOCAB = 53
PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [6]]
CASES: dict[str, tuple[int, tuple[int | None, ...] | None, Variant]] = {
    "MHA": (8, None, Variant()),
    "GQA": (2, None, Variant()),
    "MQA": (1, None, Variant()),
    "windows, norms of a projection, biases": (
        2,
        (3, None),
        Variant(qk_norm="projection", norms="after", qkv_bias=True, out_bias=True, mlp_bias=True),
    ),
    "norms of heads, NoPE, tied": (
        *(4, (None, 5)),
        Variant(
            rope=[Rope(8), None],
            qk_norm="head",
            norms="both",
            activation="gelu_tanh",
            embedding_scale=0.3,
            tied=True,
        ),
    ),
}


def model_of(case: str, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """A random model, the same in each process, no weight of which is 0 or 1."""
    num_kv_heads, windows, variant = CASES[case]
    config = ModelConfig(
        "tiny", num_kv_heads=num_kv_heads, windows=windows, vocab_size=VOCAB, **SIZES
    )
    torch.manual_seed(5)
    model = LanguageModel(config, variant, dtype=dtype)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                weight.add_(torch.randn_like(weight) * 0.3)
    return model


def tokens_of(*shape: int) -> torch.Tensor:
    """Some tokens, the same in each process."""
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(6))


@torch.no_grad()
def compare(rank: int) -> dict[str, Any]:
    """Every case over 1, 2 and 4 ranks, by heads and by tokens, next to the whole model."""
    groups = {1: [0], 2: [0, 1], 4: [0, 1, 2, 3]}
    found: dict[str, Any] = {}
    for size, ranks in groups.items():
        group = dist.new_group(ranks)
        if rank in ranks:
            found |= {f"{case}, {size}": _compared(case, group) for case in CASES}
            found[f"messages, {size}"] = _messages(group)
    found["engine"] = _engine(rank)
    found["bfloat16"] = _bfloat16()
    found["split"] = _split(rank)
    return found


def _compared(case: str, group: Any) -> dict[str, Any]:
    whole = model_of(case)
    shard = shard_model(whole, group)
    tokens, counts = tokens_of(2, 11), [3, 1]
    caches = whole.new_cache(2, 12), shard.new_cache(2, 12), split_cache(whole, 2, 12, group)
    expected, *parts = (
        (
            model(tokens[:, :7], cache),
            model(tokens[:, 7:10], cache, counts),
            model(tokens[:, 10:], cache),
        )
        for model, cache in zip((whole, shard, whole), caches, strict=True)
    )  # a prompt, a ragged step, a token each
    logits = whole(tokens)
    most = float(logits.abs().max().clamp(min=1))
    errors = [float((shard(tokens) - logits).abs().max()) / most]
    for part in parts:
        for now, then in zip(part, expected, strict=True):
            difference = (now - then).abs()
            if now.shape[1] == 3:  # the second row has one token, then padding
                difference[1, 1:] = 0
            errors.append(float(difference.max()) / most)
    drawn: dict[str, Any] = {"temperature": 1.5, "top_k": 20, "seed": 7}
    return {
        "errors": errors,
        "greedy": [
            generate(whole, PROMPTS, 5),
            generate(shard, PROMPTS, 5),
            generate(whole, PROMPTS, 5, cache=split_cache(whole, 2, 12, group)),
        ],
        "drawn": [generate(model, PROMPTS, 5, **drawn) for model in (whole, shard)],
        "nbytes": [cache.nbytes for cache in caches],
        "weights": sum(weight.nbytes for weight in shard.layers.parameters())
        / sum(weight.nbytes for weight in whole.layers.parameters()),
    }


def _messages(group: Any) -> list[tuple[int, int]]:
    whole = model_of("GQA")
    counted = []
    for model, cache in (
        ((one := shard_model(whole, group)), one.new_cache(1, 2)),
        (whole, split_cache(whole, 1, 2, group)),
    ):
        model(tokens_of(1, 1), cache)
        with count_messages() as messages:
            model(tokens_of(1, 1), cache)
        assert messages.seconds > 0
        counted.append((messages.count, messages.bytes))
    return counted


def _engine(rank: int) -> dict[str, Any]:
    shard = shard_model(model_of("GQA"))
    memory = 6000 - 1000 * rank if rank < 3 else 9000
    engine = Engine(shard, memory_bytes=memory, block_size=4, max_num_seqs=2)
    requests = [engine.add(prompt, 5) for prompt in PROMPTS]
    list(engine.run())
    return {
        "num_blocks": engine.pool.num_blocks,
        "own": memory // engine.block_bytes,
        "block_bytes": engine.block_bytes,
        "outputs": [request.output for request in requests],
        "alone": generate(model_of("GQA"), PROMPTS, 5),
    }


def _bfloat16() -> float:
    whole = model_of("GQA", torch.bfloat16)
    one, other = whole(tokens_of(1, 5)).float(), shard_model(whole)(tokens_of(1, 5)).float()
    return float((one - other).abs().max() / one.abs().max())


def _split(rank: int) -> list[torch.Tensor]:
    q, k, v = one_sequence()
    ends = (0, 5, 5, 6, 9)  # the second rank has no key
    start, end = ends[rank], ends[rank + 1]
    reordered = split_cache(model_of("MQA"), 2, 9)
    layer = reordered.layers[0]
    layer.append(k[:, :, :9], v[:, :, :9], [9, 2])
    reordered.reorder([1, 0])
    reordered.truncate([2, 7])
    layer.append(k[:, :, :1], v[:, :, :1])
    return [
        split_decode(q, k[:, :, start:end], v[:, :, start:end]),
        split_decode(q, k[:, :, :0], v[:, :, :0]),
        layer.attend(q),
    ]


def one_sequence() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries of 8 heads and 9 keys and values of one: multi-query attention."""
    torch.manual_seed(8)
    return torch.randn(2, 8, 1, 8), torch.randn(2, 1, 9, 8), torch.randn(2, 1, 9, 8)


def fail(rank: int, how: str) -> int:
    """The second rank ends as it is asked to while the others wait for it."""
    if rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raises":
            raise ValueError("no such\nhead")
        if how == "exits":
            sys.exit(3)
        if how == "nested":
            run_ranks(fail, 2, "")
        if how == "late":
            time.sleep(600)
    dist.barrier()
    return rank


def unsendable(rank: int) -> Any:
    """What cannot be sent back."""
    return lambda: rank


def joins(rank: int) -> tuple[int, float]:
    """The group of a process that torchrun started alone, as far as it can tell."""
    dist.destroy_process_group()
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", **address}
    with join_torchrun() as joined:
        one = torch.ones(1)
        dist.all_reduce(one)
    assert not dist.is_initialized()
    return joined, float(one)


def show_and_wait(rank: int) -> None:
    """Print this process's number, and compute until it is ended."""
    os.write(1, f"{os.getpid()}\n".encode())  # in one piece
    while True:
        dist.all_reduce(torch.ones(1))
