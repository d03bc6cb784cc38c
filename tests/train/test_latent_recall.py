"""Recall with latent attention: what is cached is the latent, and other tasks refuse it."""

import pytest
import torch

from gqa_lib.train import (
    Heads,
    Latent,
    RecallTask,
    Recipe,
    TextTask,
    final,
    read_corpus,
    recovery,
    sweep,
    train,
)

TASK = RecallTask(
    num_records=5, num_attributes=2, num_values=4, num_keys=9, num_queries=3, d_model=12, held_out=6
)
SHORT = Recipe(steps=3, batch_size=4, warmup_steps=1)


def test_a_model_is_made_and_learns_from_every_weight():
    model, rows = train(TASK, Latent(4, 4, 3, 6), SHORT)
    assert rows[-1]["loss"] > 0
    assert model.attention.new_cache(1, 1).memory.shape == (1, 1, 6)
    assert all(weight.grad is not None for weight in model.parameters())


def test_a_sweep_tells_latents_apart():
    designs = [Heads(4, 4, 3), Latent(4, 4, 3, 24), Latent(4, 4, 3, 6)]
    rows = final(sweep(TASK, designs, range(2), SHORT, workers=1))
    assert [row["cached_numbers"] for row in rows] == [24, 24, 24, 24, 6, 6]
    assert [row.get("kv_lora_rank") for row in rows] == [None, None, 24, 24, 6, 6]


def test_latents_need_a_kv_head_for_each_query_head():
    with pytest.raises(ValueError, match="num_kv_heads=2 of num_heads=4"):
        Latent(4, 2, 3, 6)
    with pytest.raises(ValueError, match="kv_lora_rank=0"):
        Latent(4, 4, 3, 0)
    assert str(Latent(4, 4, 3, 6)) == "q4-kv4-d3-latent6"


def test_what_shares_kv_heads_refuses_a_latent(tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes(bytes(torch.randint(97, 120, (5000,)).tolist()))
    task = TextTask(read_corpus(file), context=8, num_layers=1, d_model=16, held_out=4)
    for call in (
        lambda: task.new_model(Latent(4, 4, 4, 8)),
        lambda: recovery(TASK, Latent(4, 4, 3, 6), 2, [0], SHORT),
    ):
        with pytest.raises(ValueError, match="keep a latent"):
            call()
