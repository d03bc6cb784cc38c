"""Conversions of a task's model and their training: pairs, in order, once each."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training import HEADS, TINY, killed_everywhere

from gqa_lib.train import Heads, RecallTask, Recipe, TextTask, converted, fit, recovery, train
from gqa_lib.train.corpus import Corpus

FULL = Heads(4, 4, 3)
RECIPE = Recipe(steps=4, batch_size=4, warmup_steps=1, precision="float32")
LATER = Recipe(steps=3, batch_size=4, warmup_steps=1, evaluate_every=2, precision="float32")
WAYS = ("mean", "first")


def tiny(folder=None, seeds=(0, 2), **changed):
    arguments = {"task": TINY, "heads": FULL, "num_kv_heads": 2, "methods": WAYS, "workers": 1}
    arguments |= {"recipe": RECIPE, "uptraining": LATER} | changed
    return recovery(seeds=seeds, folder=folder, **arguments)


def test_rows_say_what_each_is():
    rows = tiny()
    labels = [(row["seed"], row["method"], row["num_kv_heads"], row["step"]) for row in rows]
    one = [
        ("none", 4, 4),
        *((way, 2, step) for way in WAYS for step in (0, 2, 3)),
        ("scratch", 2, 4),
    ]
    assert labels == [(seed, *label) for seed in (0, 2) for label in one]


def test_a_number_of_numpy_is_one_number():
    rows = tiny(num_kv_heads=np.int64(2), seeds=[0])
    assert rows == tiny(seeds=[0])
    assert {(row["precision"], row["device"]) for row in rows} == {("float32", "cpu")}


def test_each_is_what_its_steps_by_hand_give():
    rows = {(row["method"], row["step"]): row["loss"] for row in tiny(seeds=[2])}
    first, made = train(TINY, FULL, RECIPE, seed=2)
    assert rows["none", 4] == pytest.approx(made[-1]["loss"])
    for way in WAYS:
        model = converted(first, TINY, FULL, 2, way)
        assert rows[way, 0] == pytest.approx(TINY.evaluate(model)["loss"])
        by_hand = fit(model, TINY, LATER, seed=~2)
        assert rows[way, 3] == pytest.approx(by_hand[-1]["loss"])
    _, scratch = train(TINY, HEADS, RECIPE, seed=2)
    assert rows["scratch", 4] == pytest.approx(scratch[-1]["loss"])


def test_a_converted_model_is_its_weights_pooled():
    model = TINY.new_model(FULL)
    new = converted(model, TINY, FULL, 2, "mean")
    k, pooled = (one.attention.k_proj.weight.unflatten(0, (-1, 3)) for one in (model, new))
    torch.testing.assert_close(pooled, torch.stack([k[:2].mean(0), k[2:].mean(0)]))
    assert torch.equal(new.head.weight, model.head.weight)


def test_a_text_models_keys_are_turned_as_rope_turns_them():
    parts = (torch.randint(256, (200,), dtype=torch.uint8) for _ in range(2))
    task = TextTask(Corpus(*parts, "made up", 1, 1, "d"), context=12, num_layers=1, d_model=16)
    model = task.new_model(FULL_TEXT).double()
    qkv = model.layers[0].attention.qkv_proj.weight.data
    for rows in qkv[16:].split(16):  # KV heads of a group become equal
        rows[4:8], rows[12:16] = rows[:4].clone(), rows[8:12].clone()
    tokens, _ = task.batch(3, torch.Generator().manual_seed(0))
    new = converted(model, task, FULL_TEXT, 2, "aligned").double()
    torch.testing.assert_close(new(tokens), model(tokens), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="without equal_params"):
        converted(model, replace(task, equal_params=True), FULL_TEXT, 2, "aligned")


FULL_TEXT = Heads(4, 4, 4)


def test_processes_compute_what_one_does(tmp_path):
    assert tiny(tmp_path, workers=2) == tiny()


def test_a_kill_whenever_it_changes_a_file_costs_nothing(tmp_path):
    assert killed_everywhere(lambda folder: tiny(folder, seeds=[1]), tmp_path) > 10


def test_more_heads_and_seeds_go_on_from_what_is_kept(tmp_path, monkeypatch):
    first = tiny(tmp_path, seeds=[0])
    made = []
    real = RecallTask.new_model
    monkeypatch.setattr(
        RecallTask, "new_model", lambda self, heads: made.append(heads) or real(self, heads)
    )
    assert tiny(tmp_path, seeds=[0]) == first
    assert made == []
    with pytest.raises(ValueError, match="cannot be compared"):
        tiny(tmp_path, methods=["random"])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"methods": ["median"]}, "median"),
        ({"num_kv_heads": 3}, "does not divide"),
        ({"num_kv_heads": 4}, "what the model has already"),
        ({"num_kv_heads": []}, "is empty"),
        ({"num_kv_heads": [2, 2]}, "num_kv_heads has 2 twice"),
        ({"methods": ["mean", "mean"]}, "methods has 'mean' twice"),
        ({"methods": []}, "is empty"),
        ({"task": "recall"}, "RecallTask"),
        ({"heads": (4, 4, 3)}, "Heads"),
        ({"uptraining": {"steps": 3}}, "Recipe"),
        ({"seeds": [0.5]}, "seeds=0.5"),
    ],
)
def test_arguments_that_are_none_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        tiny(**wrong)
