"""Sweeps: every model from every seed, once, whatever interrupts them."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import training
from filelock import FileLock
from training import TINY, killed_everywhere

from gqa_lib.train import Heads, RecallTask, Recipe, final, loop, sweep, train

RECIPE = Recipe(steps=3, batch_size=4, warmup_steps=1, evaluate_every=2, precision="float32")
HEADS = [Heads(4, 4, 3), Heads(4, 1, 5)]


def tiny_sweep(folder=None, heads=HEADS, seeds=(0, 2), **changed):
    arguments = {"task": TINY, "recipe": RECIPE, "workers": 1} | changed
    return sweep(heads=heads, seeds=seeds, folder=folder, **arguments)


def test_rows_are_tidy_and_in_order():
    rows = tiny_sweep()
    labels = [(row["num_kv_heads"], row["head_dim"], row["seed"], row["step"]) for row in rows]
    expected = [
        (kv, D, seed, step) for kv, D in ((4, 3), (1, 5)) for seed in (0, 2) for step in (2, 3)
    ]
    assert labels == expected
    assert {row["cached_numbers"] for row in rows} == {24, 10}
    for row in final(rows):
        assert row["step"] == 3
    model, alone = train(TINY, HEADS[1], RECIPE, seed=2)
    assert rows[-1]["loss"] == pytest.approx(alone[-1]["loss"], rel=1e-6)
    assert rows[-1]["params"] == sum(one.numel() for one in model.parameters())


def test_processes_compute_what_one_does(tmp_path):
    assert tiny_sweep(tmp_path, workers=2) == tiny_sweep()


def test_a_kill_whenever_it_changes_a_file_costs_nothing(tmp_path):
    assert killed_everywhere(lambda folder: tiny_sweep(folder, seeds=[1]), tmp_path) > 10


def test_finished_runs_are_not_computed_again(tmp_path, monkeypatch):
    first = tiny_sweep(tmp_path, seeds=[0])
    trained = []
    real = RecallTask.new_model

    def watched(self, heads):
        trained.append(heads)
        return real(self, heads)

    monkeypatch.setattr(RecallTask, "new_model", watched)
    assert tiny_sweep(tmp_path, seeds=[0]) == first
    assert trained == []
    more = tiny_sweep(tmp_path, heads=[*HEADS, Heads(4, 2, 3)], seeds=[0])
    assert more[: len(first)] == first
    assert trained == [Heads(4, 2, 3)]


def test_a_killed_sweep_leaves_a_checkpoint_and_no_half_result(tmp_path):
    script = (
        "import training, test_sweep\n"
        "from gqa_lib.train import Recipe\n"
        f"test_sweep.tiny_sweep({str(tmp_path)!r}, heads=test_sweep.HEADS[:1], seeds=[0],"
        " recipe=Recipe(steps=100_000, batch_size=2), workers=1)\n"
    )
    paths = [str(Path(one).parent) for one in (training.__file__, __file__)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    kept = tmp_path / f"{HEADS[0]}-seed0.pt"
    with subprocess.Popen([sys.executable, "-c", script], env=env) as process:
        while process.poll() is None and not kept.exists():
            pass
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert kept.exists()
    assert not kept.with_suffix(".json").exists()


def test_a_folder_of_another_sweep_is_refused(tmp_path):
    tiny_sweep(tmp_path, seeds=[0])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"num_records=5, and here it is 4"):
        tiny_sweep(tmp_path, task=replace(TINY, num_records=4))
    with pytest.raises(ValueError, match=r"steps=3, and here it is 9"):
        tiny_sweep(tmp_path, recipe=replace(RECIPE, steps=9))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "patched"),
    [("precision", "precision_of"), ("device", "kind_of")],
)
def test_a_folder_of_another_precision_or_device_is_refused(tmp_path, monkeypatch, name, patched):
    """A folder that went from a machine with bfloat16 to one without, or to a GPU."""
    auto = replace(RECIPE, precision="auto")
    monkeypatch.setattr(loop, "precision_of", lambda *_: "float32")
    rows = tiny_sweep(tmp_path, seeds=[0], recipe=auto)
    assert {(row["precision"], row["device"]) for row in rows} == {("float32", "cpu")}
    module = loop if patched == "precision_of" else sys.modules["gqa_lib.train.sweep"]
    monkeypatch.setattr(module, patched, lambda *_: "bfloat16")
    with pytest.raises(ValueError, match=f"{name}=.*, and here it is bfloat16"):
        tiny_sweep(tmp_path, seeds=[0, 2], recipe=auto)


def test_all_models_of_a_sweep_compute_in_the_precision_of_the_narrowest(monkeypatch):
    monkeypatch.setattr(loop, "precision_of", lambda _, __, w: "bfloat16" if w > 5 else "float32")
    wide, narrow = Heads(2, 1, 3), Heads(1, 1, 5)
    assert {row["precision"] for row in tiny_sweep(heads=[wide], recipe=Recipe(steps=1))} == {
        "bfloat16"
    }
    rows = tiny_sweep(heads=[wide, narrow], recipe=Recipe(steps=1, batch_size=2))
    assert {row["precision"] for row in rows} == {"float32"}


def test_numbers_of_numpy_and_torch_are_pythons_own(tmp_path):
    heads = [Heads(np.int64(4), torch.tensor(2), np.int32(3))]
    recipe = Recipe(steps=np.int64(2), batch_size=3, lr=np.float32(0.01), evaluate_first=np.True_)
    task = replace(TINY, num_records=np.int64(5))
    rows = tiny_sweep(tmp_path, heads=heads, seeds=np.arange(2), recipe=recipe, task=task)
    again = tiny_sweep(tmp_path, heads=heads, seeds=torch.arange(2), recipe=recipe, task=task)
    assert again == rows
    assert {type(row["seed"]) for row in rows} == {int}


def test_a_damaged_file_of_a_folder_is_named(tmp_path):
    tiny_sweep(tmp_path, seeds=[0])
    for file in sorted(tmp_path.glob("*.json")):
        before = file.read_text()
        file.write_text(before[:9])
        with pytest.raises(ValueError, match=f"{file.name} is damaged .*: remove it"):
            tiny_sweep(tmp_path, seeds=[0])
        file.write_text(before)


def test_a_script_without_a_guard_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from gqa_lib.train import Heads, RecallTask, Recipe, sweep\n"
        "sweep(RecallTask(), [Heads(4, 2, 3)], range(2), Recipe(steps=1), workers=2)\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert 'below `if __name__ == "__main__":`' in ended.stderr.splitlines()[-1]


def test_two_at_once_in_a_folder_are_refused(tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(ValueError, match="in use by another sweep"):
        tiny_sweep(tmp_path)


def test_what_fails_says_so_and_what_was_done_is_kept(tmp_path):
    wild = replace(RECIPE, lr=1e30, warmup_steps=0, clip=1e30, steps=40)
    with pytest.raises(ValueError, match="the loss of step"):
        tiny_sweep(tmp_path, recipe=wild, workers=2)
    assert json.loads((tmp_path / "sweep.json").read_text())["steps"] == 40


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"heads": [(4, 2, 3)]}, "Heads"),
        ({"seeds": [0.5]}, "seeds=0.5"),
        ({"seeds": "01"}, "seeds"),
        ({"workers": 0}, "workers=0"),
        ({"recipe": {"steps": 3}}, "Recipe"),
        ({"recipe": {}}, "Recipe"),
        ({"task": "recall"}, "RecallTask"),
        ({"heads": []}, "heads=.* is empty"),
        ({"heads": [HEADS[0]] * 2}, "heads has Heads.* twice"),
        ({"seeds": []}, "seeds=.* is empty"),
        ({"seeds": [3, 3]}, "seeds has 3 twice"),
        ({"bar": "yes"}, "bar='yes'"),
        ({"folder": 3}, "folder=3"),
        ({"folder": __file__}, "is a file"),
        ({"folder": f"{__file__}/new"}, "is a file"),
    ],
)
def test_arguments_that_are_none_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        tiny_sweep(**wrong)


def test_a_bar_counts_the_runs(capsys):
    tiny_sweep(bar=True)
    assert "4/4" in capsys.readouterr().err
