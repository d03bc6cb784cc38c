"""The small model that ships: what its page says is so, and its command makes another."""

import json
import re

import pytest

from gqa_lib.model import load
from gqa_lib.train import Recipe, python_sources, small_checkpoint, tokens_of
from gqa_lib.train.small.__main__ import main
from gqa_lib.train.small.make import make


def said(folder, pattern):
    return float(re.search(pattern, (folder / "README.md").read_text())[1])


def test_it_is_small_and_mha():
    folder = small_checkpoint()
    assert sum(one.stat().st_size for one in folder.iterdir()) < 8e6
    keys = json.loads((folder / "config.json").read_text())
    assert keys["num_key_value_heads"] == keys["num_attention_heads"] == 8


def test_it_reads_held_out_files_as_well_as_its_page_says():
    folder = small_checkpoint()
    text = tokens_of(folder, python_sources(max_bytes=1_000_000), context=512)
    bits = text.evaluate(load(folder))["bits_per_byte"]
    assert bits == pytest.approx(said(folder, r"which is ([\d.]+) bits"), rel=0.1)
    for name in ("5-gram", "zlib"):  # what costs nothing, from as many bytes
        assert bits < said(folder, rf"{name} ([\d.]+)")


def test_its_command_makes_a_model_like_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gqa_lib.train.small.__main__.make", lambda folder, bar: {"loss": folder})
    assert main([str(tmp_path / "new")]) == 0
    assert f"{tmp_path / 'new'}" in capsys.readouterr().out
    monkeypatch.undo()
    assert main([str(tmp_path)]) == 1
    assert "is not overwritten" in capsys.readouterr().err
    (tmp_path / "new.partial").mkdir()
    assert main([str(tmp_path / "new")]) == 1  # at once, and not after training
    assert "until it is complete" in capsys.readouterr().err


def test_a_model_made_in_a_few_steps_has_the_same_form(tmp_path, monkeypatch):
    small = python_sources(max_bytes=200_000)
    monkeypatch.setattr("gqa_lib.train.small.make.python_sources", lambda: small)
    folder = tmp_path / "new"
    made = make(folder, Recipe(steps=2, batch_size=2, evaluate_every=1))
    assert said(folder, r"which is ([\d.]+) bits") == pytest.approx(made["bits_per_byte"], abs=1e-4)
    theirs, ours = (
        json.loads((one / "config.json").read_text()) for one in (small_checkpoint(), folder)
    )
    assert theirs == ours
    assert load(folder).config.max_context == 512
    assert [one.name for one in tmp_path.iterdir()] == ["new"]
