"""A checkpoint trained on: whose text, in which tokens, and what is written."""

import math
from dataclasses import replace

import checkpoints
import pytest
import torch
from safetensors.torch import load_file

from gqa_lib.model import convert_checkpoint, load, save
from gqa_lib.train import GENTLE, Recipe, TokenTask, tokens_of, uptrain

TEXT = "what a head is, and what sharing keys and values between heads costs. " * 60
SHORT = replace(GENTLE, steps=12, lr=3e-3, warmup_steps=2, evaluate_every=6)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def bytes_model(folder, family="llama", **keys):
    heads = {"num_attention_heads": 6, "num_key_value_heads": 6, "vocab_size": 256}
    return checkpoints.save(folder, family, **heads | keys)


def test_a_converted_model_gets_some_of_it_back(text, tmp_path):
    source = bytes_model(tmp_path / "source")
    uptrain(source, text, tmp_path / "good", replace(SHORT, steps=60), context=32)
    convert_checkpoint(tmp_path / "good", tmp_path / "fewer", 2, "first")
    rows = uptrain(tmp_path / "fewer", text, recipe=SHORT, context=32)
    assert [row["step"] for row in rows] == [0, 6, 12]
    assert rows[0]["loss"] > 1.1 * rows[-1]["loss"]
    assert rows[0]["bits_per_byte"] == pytest.approx(rows[0]["loss"] / math.log(2))


def test_what_is_written_is_the_trained_model_in_the_form_of_the_source(text, tmp_path):
    source = bytes_model(tmp_path / "source", dtype="bfloat16")
    (source / "tokenizer_config.json").write_text("{}")
    uptrain(source, text, tmp_path / "new", SHORT, context=32)
    assert {one.name for one in source.iterdir()} == {
        one.name for one in (tmp_path / "new").iterdir()
    }
    before, after = (load_file(one / "model.safetensors") for one in (source, tmp_path / "new"))
    assert before.keys() == after.keys()
    assert {one.dtype for one in after.values()} == {one.dtype for one in before.values()}
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("family", ["llama", "qwen2", "phi3", "gemma3_text", "olmo2"])
def test_a_model_that_is_saved_unchanged_is_the_same(family, tmp_path):
    keys = {"gemma3_text": {"head_dim": 16, "query_pre_attn_scalar": 9}}.get(family, {})
    source = bytes_model(tmp_path / "source", family, **keys)
    save(load(source), source, tmp_path / "new")
    (file,) = source.glob("*.safetensors")
    expected, found = load_file(file), load_file(tmp_path / "new" / file.name)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert (tmp_path / "new" / "config.json").read_bytes() == (source / "config.json").read_bytes()


def test_another_models_form_is_refused(tmp_path):
    source = bytes_model(tmp_path / "source")
    other = bytes_model(tmp_path / "other", num_key_value_heads=2)
    with pytest.raises(ValueError, match="other weights than config"):
        save(load(other), source, tmp_path / "new")
    with pytest.raises(ValueError, match="not overwritten"):
        save(load(source), source, other)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other", "source"]


def test_what_stands_where_a_model_is_written_is_kept(tmp_path):
    source = bytes_model(tmp_path / "source")
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "model.safetensors").write_text("of an unfinished conversion")
    with pytest.raises(ValueError, match="Remove it, or choose another name"):
        save(load(source), source, tmp_path / "new")
    assert (tmp_path / "new.partial" / "model.safetensors").exists()
    assert not (tmp_path / "new").exists()


def test_bits_per_byte_count_the_bytes_of_tokens():
    tokens = torch.arange(40) % 7

    class Uniform(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, tokens):
            return self.weight.expand(*tokens.shape, 8)

    found = TokenTask(tokens, tokens, 5, bytes_per_token=4.0).evaluate(Uniform())
    assert found == pytest.approx({"loss": math.log(8), "bits_per_byte": 3 / 4})


def test_a_checkpoint_without_a_tokenizer_reads_bytes(text, tmp_path):
    task = tokens_of(bytes_model(tmp_path / "source"), text, 16)
    assert bytes(task.train.tolist() + task.held_out.tolist()) == TEXT.encode()
    assert task.bytes_per_token == 1


def test_what_cannot_be_trained_is_refused_before_it_is(text, tmp_path):
    source = bytes_model(tmp_path / "source")
    with pytest.raises(ValueError, match="longer than the 64 tokens"):
        uptrain(source, text, context=65)
    with pytest.raises(ValueError, match="not overwritten"):
        uptrain(source, text, source)
    with pytest.raises(FileNotFoundError):
        uptrain(source, tmp_path / "none")
    for wrong in ({"recipe": {"steps": 3}}, {"recipe": None}):
        with pytest.raises(ValueError, match="Recipe"):
            uptrain(source, text, **wrong)
    with pytest.raises(ValueError, match="context='8'"):
        uptrain(source, text, context="8")
    with pytest.raises(ValueError, match="call fit"):
        tokens_of(source, text, 16).new_model(None)
    assert Recipe().steps == 600


def test_another_checkpoints_run_is_not_gone_on_with(text, tmp_path):
    source = bytes_model(tmp_path / "source")
    recipe = replace(SHORT, steps=2)
    for method in ("mean", "aligned"):
        convert_checkpoint(source, tmp_path / method, 2, method)
    kept = str(tmp_path / "kept.pt")
    rows = uptrain(tmp_path / "mean", text, recipe=recipe, context=16, path=kept)
    with pytest.raises(ValueError, match="another run: it started from other weights"):
        uptrain(tmp_path / "aligned", text, tmp_path / "new", recipe, context=16, path=kept)
    assert not (tmp_path / "new").exists()
    assert uptrain(tmp_path / "mean", text, recipe=recipe, context=16, path=kept) == rows


def test_infinite_weights_are_not_written(text, tmp_path):
    source = bytes_model(tmp_path / "source", dtype="float16")
    # Adam's first step moves each weight by the rate itself, on every machine.
    wild = Recipe(steps=1, lr=7e4, batch_size=2, warmup_steps=0, clip=1.0)
    with pytest.raises(ValueError, match=r"which torch.float16 does not reach"):
        uptrain(source, text, tmp_path / "new", wild, context=16)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["source", "text.txt"]
