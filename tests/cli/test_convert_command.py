"""`gqa convert` and `gqa uptrain`: folders that load, and one line on what is refused."""

import json
from argparse import ArgumentParser

import checkpoints
import pytest
import torch
from safetensors import SafetensorError

from gqa_lib.cli import main
from gqa_lib.cli.convert import convert_arguments
from gqa_lib.model import convert, load, save_llama
from gqa_lib.model.convert import METHODS, folder
from gqa_lib.model.hugging_face import write
from gqa_lib.train import next_token

TEXT = "what a head is, and what sharing keys and values between heads costs. " * 60


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkpoint that reads bytes."""
    folder = tmp_path_factory.mktemp("saved") / "bytes"
    heads = {"num_attention_heads": 6, "num_key_value_heads": 6}
    return checkpoints.save(folder, "llama", vocab_size=256, **heads)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_folder_with_fewer_heads_is_written(source, tmp_path, capsys):
    new = tmp_path / "new"
    code, out, err = run(capsys, "convert", source, new, "--num-kv-heads", 2)
    assert (code, err) == (0, "")
    assert "6 KV heads became 2 (subspace); 0.5625 KiB per cached token became 0.1875" in out
    assert load(new).config.num_kv_heads == 2
    code, out, err = run(capsys, "convert", source, new, "--num-kv-heads", 2)
    assert (code, out) == (2, "")
    assert err.startswith("gqa: ")
    assert "is not overwritten" in err
    assert err.count("\n") == 1


def test_options_reach_the_conversion(source, text, tmp_path, capsys):
    options = ("--method", "mean", "--regroup", "--calibration", text, "--seed", 3)
    code, _, err = run(capsys, "convert", source, tmp_path / "n", "--num-kv-heads", 3, *options)
    assert (code, err) == (0, "")
    about = json.loads((tmp_path / "n" / "config.json").read_text())["gqa_conversion"]
    assert about["method"] == "mean"
    assert about["regroup"]
    assert about["calibrated"]
    assert about["seed"] == 3


def test_all_methods_can_be_asked_for():
    parser = ArgumentParser()
    convert_arguments(parser)
    (method,) = (one for one in parser._actions if one.dest == "method")
    assert method.choices == METHODS


def test_training_on_lowers_the_loss_on_the_text(source, text, tmp_path, capsys):
    new, trained = tmp_path / "new", tmp_path / "trained"
    run(capsys, "convert", source, new, "--num-kv-heads", 2)
    options = ("--text", text, "--steps", 20, "--lr", 0.003, "--context", 32)
    code, out, _ = run(capsys, "uptrain", new, trained, *options)
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.split()[0].isdigit()]
    assert [int(row[0]) for row in rows] == [0, 4, 8, 12, 16, 20]
    assert float(rows[-1][2]) < 0.7 * float(rows[0][2])
    before, after = load(new), load(trained)
    assert after.config == load(trained).config
    assert after.config.num_kv_heads == 2
    assert not torch.equal(before.head.weight, after.head.weight)
    theirs = checkpoints.theirs(trained)
    tokens = checkpoints.tokens()
    with torch.no_grad():
        torch.testing.assert_close(
            theirs(tokens).logits, after.float()(tokens), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("convert", "{tmp}/none", "{tmp}/new", "--num-kv-heads", "2"), "is not a folder"),
        (("convert", "{source}", "{tmp}/new", "--num-kv-heads", "4"), "does not divide"),
        (("uptrain", "{source}", "{tmp}/new", "--text", "{tmp}/none"), "none"),
        (("uptrain", "{source}", "{source}", "--text", "{tmp}/text.txt"), "not overwritten"),
        (
            ("uptrain", "{source}", "{tmp}/new", "--text", "{tmp}/text.txt", "--context", "900"),
            "longer than the 64 tokens",
        ),
    ],
)
def test_what_is_refused_is_told_in_a_line(source, text, tmp_path, capsys, line, told):
    filled = [one.format(source=source, tmp=tmp_path) for one in line]
    code, out, err = run(capsys, *filled)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def uptrain(capsys, source, target, text, *more):
    options = ("--text", text, "--steps", 10, "--lr", 0.003, "--context", 32, "--device", "cpu")
    return run(capsys, "uptrain", source, target, *options, *more)


def test_training_that_was_stopped_goes_on(source, text, tmp_path, capsys, monkeypatch):
    _, expected, _ = uptrain(capsys, source, tmp_path / "whole", text)
    steps = []
    real = next_token.loss

    def stops(model, batch):
        steps.append(1)
        if len(steps) == 20:  # each step, and one for 16 held-out sequences of an evaluation
            raise KeyboardInterrupt
        return real(model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(next_token, "loss", stops)
        assert uptrain(capsys, source, tmp_path / "new", text)[0] != 0
    assert len(steps) == 20
    assert (tmp_path / "new.pt").exists()
    assert not (tmp_path / "new").exists()
    capsys.readouterr()
    code, out, _ = uptrain(capsys, source, tmp_path / "new", text)
    first, *others = out.splitlines()
    assert code == 0
    assert first == f"It goes on from {tmp_path / 'new.pt'}."
    assert others[:-1] == expected.splitlines()[:-1]
    assert not (tmp_path / "new.pt").exists()
    one, other = (load(tmp_path / name) for name in ("whole", "new"))
    torch.testing.assert_close(other.state_dict(), one.state_dict())


def test_training_says_what_it_did(source, text, tmp_path, capsys):
    uptrain(capsys, source, tmp_path / "one", text)
    uptrain(capsys, tmp_path / "one", tmp_path / "two", text, "--seed", 4)
    first, second = (
        json.loads((tmp_path / name / "config.json").read_text())["gqa_uptraining"]
        for name in ("one", "two")
    )
    assert (first["steps"], first["lr"], first["seed"]) == (10, 0.003, 0)
    assert first["result"]["step"] == 10
    assert second["before"] == first
    assert second["seed"] == 4
    assert load(tmp_path / "two").config.kv_layers == load(source).config.kv_layers


@pytest.mark.parametrize("where", ["new.partial", "file"])
def test_what_cannot_be_written_is_refused_before_training(
    source, text, tmp_path, capsys, monkeypatch, where
):
    monkeypatch.setattr(next_token, "loss", None)
    target = tmp_path / "new"
    if where == "file":
        (tmp_path / "file").write_text("mine")
        target = tmp_path / "file" / "new"
    else:
        (tmp_path / where).mkdir()
    code, _, err = uptrain(capsys, source, target, text)
    assert code == 2
    assert where in err
    assert err.count("\n") == 1


def test_a_calibration_is_not_computed_twice(source, text, tmp_path, capsys, monkeypatch):
    """With other threads its last bits would differ, and what is written already not fit."""
    line = ("convert", source, tmp_path / "new", "--num-kv-heads", 2, "--calibration", text)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_others", None)
        with pytest.raises(TypeError):
            run(capsys, *line)
    assert (tmp_path / "new.partial").exists()
    with monkeypatch.context() as patch:
        patch.setattr(convert, "second_moments", None)
        code, _, err = run(capsys, *line)
    assert (code, err) == (0, "")
    about = json.loads((tmp_path / "new" / "config.json").read_text())["gqa_conversion"]
    assert about["calibrated"].keys() == {"text_sha256", "context", "sequences"}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["new", "text.txt"]


def test_a_calibration_of_a_float16_model_is_in_float32(text, tmp_path, capsys):
    heads = {"num_attention_heads": 6, "num_key_value_heads": 6}
    made = checkpoints.save(tmp_path / "made", "llama", vocab_size=256, **heads)
    model = load(made)
    model.layers[1].attention_norm.weight.data.fill_(6e4)  # 6e4 times 2 is infinite in float16
    save_llama(model, tmp_path / "half", torch.float16)
    line = ("convert", tmp_path / "half", tmp_path / "new", "--num-kv-heads", 2)
    code, _, err = run(capsys, *line, "--calibration", text)
    assert (code, err) == (0, "")


def test_a_full_disk_is_one_line(source, tmp_path, capsys, monkeypatch):
    def full(tensors, path, metadata):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(write, "save_file", full)
    code, _, err = run(capsys, "convert", source, tmp_path / "new", "--num-kv-heads", 2)
    assert code == 2
    assert "Make room on that disk" in err
    assert err.count("\n") == 1
