"""The training loop: what it computes, and that a kill at any moment changes none of it."""

import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import training
from interrupting import every_step
from training import HEADS, RECIPE, TINY, tiny_run

from gqa_lib.train import Heads, RecallTask, Recipe, fit, train
from gqa_lib.train.recipe import precision_of


def same(one, other, rel=1e-6):
    """Whether two runs have the same rows to 1e-6 and the same weights."""
    (model, rows), (other_model, other_rows) = one, other
    assert [row.keys() for row in rows] == [row.keys() for row in other_rows]
    for row, expected in zip(rows, other_rows, strict=True):
        assert row == pytest.approx(expected, rel=rel, abs=0)
    theirs = other_model.state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, theirs[name])
    return True


def test_rows_are_of_the_evaluations():
    _, rows = tiny_run()
    assert [row["step"] for row in rows] == [0, 3, 6, 7]
    assert "train_loss" not in rows[0]
    assert set(rows[1]) == {"step", "train_loss", "loss", "accuracy"}


def test_train_loss_is_the_mean_since_the_row_before():
    steps = [train(TINY, HEADS, replace(RECIPE, evaluate_every=1), seed=3)[1]][0]
    _, rows = tiny_run()
    by_step = [row["train_loss"] for row in steps[1:]]
    expected = [sum(by_step[:3]) / 3, sum(by_step[3:6]) / 3, by_step[6]]
    assert [row["train_loss"] for row in rows[1:]] == pytest.approx(expected, rel=1e-6)


def test_it_learns_and_by_nothing_but_the_sequence():
    task = RecallTask(num_records=4, num_attributes=1, num_values=4, num_keys=8, num_queries=4)
    model, (row,) = train(task, Heads(4, 4, 8), Recipe(steps=150, batch_size=32))
    assert row["accuracy"] > 0.99
    assert row["loss"] == pytest.approx(task.evaluate(model)["loss"])


def test_the_same_seed_is_the_same_run_and_another_is_not():
    torch.manual_seed(5)
    one = tiny_run()
    torch.manual_seed(6)
    assert same(one, tiny_run(), rel=1e-9)
    _, other = train(TINY, HEADS, RECIPE, seed=4)
    assert other[-1]["loss"] != one[1][-1]["loss"]


def test_torchs_own_generator_is_left_as_it_was():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    tiny_run()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_models_with_one_seed_are_shown_the_same_batches(monkeypatch):
    shown = []

    class Watched(RecallTask):
        def batch(self, size, generator):
            drawn = super().batch(size, generator)
            shown.append(drawn[1])
            return drawn

    for heads in (Heads(4, 4, 2), Heads(4, 1, 5)):
        train(Watched(held_out=4), heads, Recipe(steps=3, batch_size=2), seed=1)
    of_one, of_other = (
        [one for one in shown if len(one) == 2][:3],
        [one for one in shown if len(one) == 2][3:],
    )
    assert all(torch.equal(a, b) for a, b in zip(of_one, of_other, strict=True))
    assert not torch.equal(of_one[0], of_one[1])


def test_a_kill_whenever_it_changes_a_file_costs_nothing(tmp_path):
    whole, kills = tiny_run(), 0
    path = tmp_path / "run.pt"
    for _ in every_step(lambda: tiny_run(path), lambda: path.unlink(missing_ok=True)):
        assert same(tiny_run(path), whole)
        kills += 1
    assert kills > 3 * RECIPE.steps


def test_going_on_twice_from_one_checkpoint_and_other_intervals(tmp_path):
    whole, path = tiny_run(), tmp_path / "run.pt"
    for stop in range(1, 7):

        class Stops(RecallTask):
            drawn = 0

            def batch(self, size, generator):
                if size == RECIPE.batch_size:
                    type(self).drawn += 1
                    if type(self).drawn > stop:  # noqa: B023
                        raise KeyboardInterrupt
                return super().batch(size, generator)

        path.unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            train(Stops(**vars(TINY)), HEADS, RECIPE, seed=3, path=path, keep_every=2)
        assert same(tiny_run(path, keep_every=5), whole), stop


def test_a_process_that_is_killed_goes_on(tmp_path):
    path = tmp_path / "run.pt"
    here = Path(training.__file__)
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, here, path], env=env) as process:
        while process.poll() is None and not path.exists():
            pass
        process.kill()
    assert process.returncode in (0, -signal.SIGKILL)
    assert path.exists()
    assert same(tiny_run(path), tiny_run())


def test_a_finished_run_is_read_and_not_run_again(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    whole = tiny_run(path)
    monkeypatch.setattr(RecallTask, "loss", None)
    assert same(tiny_run(path), whole)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 4}, "seed is 3, and here it is 4"),
        ({"recipe": replace(RECIPE, lr=0.1)}, r"lr is 0\.005, and here it is 0\.1"),
        ({"heads": Heads(4, 1, 3)}, "heads is"),
        ({"task": replace(TINY, num_values=4)}, "num_values is 3, and here it is 4"),
    ],
)
def test_another_runs_checkpoint_is_refused(tmp_path, changed, told):
    path = tmp_path / "run.pt"
    tiny_run(path)
    arguments = {"task": TINY, "heads": HEADS, "recipe": RECIPE, "seed": 3} | changed
    before = path.read_bytes()
    with pytest.raises(ValueError, match=told):
        train(**arguments, path=path)
    assert path.read_bytes() == before


def test_a_run_goes_on_from_the_weights_that_it_started_from_only(tmp_path):
    path, one = str(tmp_path / "run.pt"), TINY.new_model(HEADS)
    start = {name: weight.clone() for name, weight in one.state_dict().items()}
    rows = fit(one, TINY, RECIPE, path=path)
    with pytest.raises(ValueError, match="another run: it started from other weights"):
        fit(TINY.new_model(HEADS), TINY, RECIPE, path=path)
    again = TINY.new_model(HEADS)
    again.load_state_dict(start)
    assert fit(again, TINY, RECIPE, path=path) == rows
    torch.testing.assert_close(again.state_dict(), one.state_dict())


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and no more"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no checkpoint"):
        tiny_run(path)


def test_a_checkpoint_runs_no_code(tmp_path):
    path = tmp_path / "run.pt"
    torch.save({"of": Path(), "step": 1}, path)  # any class would do
    with pytest.raises(ValueError, match="no checkpoint"):
        tiny_run(path)


def test_a_loss_that_is_no_number_ends_the_run():
    with pytest.raises(ValueError, match=r"the loss of step \d+ is (nan|inf)"):
        train(TINY, HEADS, Recipe(steps=40, batch_size=4, lr=1e30, warmup_steps=0, clip=1e30))


def test_a_last_step_that_loses_the_weights_ends_the_run():
    with pytest.raises(ValueError, match="the held-out loss after step 1 is nan"):
        train(TINY, HEADS, Recipe(steps=1, batch_size=4, lr=1e38, warmup_steps=0))
    model = TINY.new_model(HEADS)
    model.head.weight.data[0] = math.nan
    with pytest.raises(ValueError, match=r"step 0 is nan.* whose weights are finite"):
        fit(model, TINY, RECIPE)


def test_what_a_task_of_ones_own_evaluates_is_kept(tmp_path):
    class OnesOwn(RecallTask):
        def evaluate(self, model):
            return {name: np.float64(one) for name, one in super().evaluate(model).items()}

    arguments = OnesOwn(**vars(TINY)), HEADS, RECIPE
    _, rows = train(*arguments, path=tmp_path / "run.pt")
    assert train(*arguments, path=tmp_path / "run.pt")[1] == rows


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"task": "recall"}, "RecallTask"),
        ({"heads": (4, 2, 3)}, "Heads"),
        ({"recipe": {}}, "Recipe"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"path": 3}, "path=3"),
        ({"path": f"{__file__}/run.pt"}, "is a file"),
        ({"keep_every": 0}, "keep_every=0"),
        ({"bar": 1}, "bar=1"),
    ],
)
def test_arguments_that_are_none_end_no_run_late(wrong, told):
    with pytest.raises(ValueError, match=told):
        train(**{"task": TINY, "heads": HEADS, "recipe": RECIPE} | wrong)


def test_any_whole_number_is_a_seed():
    _, rows = train(TINY, HEADS, Recipe(steps=1, batch_size=2), seed=10**30)
    assert math.isfinite(rows[-1]["loss"])


def test_the_learning_rate_rises_in_a_line_and_falls_in_a_cosine():
    recipe = Recipe(steps=200, warmup_steps=10, lr=0.5)
    half = recipe.lr_at(101)
    assert half == pytest.approx(0.25)
    assert recipe.lr_at(5) == pytest.approx(0.25, rel=0.01)
    assert recipe.lr_at(10) == pytest.approx(0.5, rel=0.01)
    assert 0 < recipe.lr_at(200) < 1e-4
    assert Recipe(steps=10, warmup_steps=0, lr=2.0).lr_at(1) == 2


def test_gradients_are_cut_to_the_norm(monkeypatch):
    norms = []
    real = torch.nn.utils.clip_grad_norm_

    def watched(parameters, most):
        weights = list(parameters)
        found = real(weights, most)
        norms.append(math.sqrt(sum(float((one.grad**2).sum()) for one in weights)))
        return found

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    train(TINY, HEADS, replace(RECIPE, clip=0.01))
    assert norms == pytest.approx([0.01] * 7, rel=1e-3)


def test_bfloat16_computes_otherwise_and_keeps_weights_in_float32():
    model, rows = train(TINY, HEADS, replace(RECIPE, precision="bfloat16"), seed=3)
    assert {one.dtype for one in model.parameters()} == {torch.float32}
    expected = tiny_run()[1][-1]["loss"]
    assert rows[-1]["loss"] != expected
    assert rows[-1]["loss"] == pytest.approx(expected, rel=0.05)


def test_auto_is_bfloat16_only_where_it_is_native_and_pays(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert precision_of(Recipe(), cpu, 512) == "bfloat16"
    assert precision_of(Recipe(), cpu, 64) == "float32"
    assert precision_of(Recipe(precision="float32"), cpu, 512) == "float32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert precision_of(Recipe(), cpu, 512) == "float32"
    assert precision_of(Recipe(precision="bfloat16"), cpu, 64) == "bfloat16"


def test_a_given_model_is_trained_as_it_stands():
    model = TINY.new_model(HEADS)
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    fit(model, TINY, Recipe(steps=1, lr=1e-30, weight_decay=0.0))
    torch.testing.assert_close(model.state_dict(), start)
    fit(model, TINY, Recipe(steps=1, warmup_steps=0))
    assert not torch.equal(model.head.weight, start["head.weight"])


def test_a_bar_shows_the_steps(capsys):
    tiny_run(bar=True)
    assert "7/7" in capsys.readouterr().err


def test_a_bar_in_a_notebook_is_text_and_no_error(capsys, monkeypatch):
    shell = SimpleNamespace(get_ipython=object)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    tiny_run(bar=True)
    shown = capsys.readouterr()
    assert "7/7" in shown.out
    assert not shown.err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": 0}, "steps=0"),
        ({"lr": -1}, "lr=-1"),
        ({"precision": "float16"}, "float16"),
        ({"warmup_steps": 1.5}, "warmup_steps=1.5"),
        ({"clip": float("nan")}, "clip=nan"),
        ({"evaluate_first": "no"}, "evaluate_first='no'"),
    ],
)
def test_recipes_that_are_none_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        Recipe(**wrong)
