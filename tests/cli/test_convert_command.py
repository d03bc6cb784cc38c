"""`gqa convert` and `gqa uptrain`: folders that load, and one line on what is refused."""

import json
from argparse import ArgumentParser

import checkpoints
import pytest
import torch

from gqa_lib.cli import main
from gqa_lib.cli.convert import convert_arguments
from gqa_lib.model import load
from gqa_lib.model.convert import METHODS

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
    assert "6 KV heads became 2 (aligned); 0.5625 KiB per cached token became 0.1875" in out
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
