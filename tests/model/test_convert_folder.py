"""Converted folders: transformers runs them, whatever the family; a kill leaves none half made."""

import hashlib
import json
import math
import os
import re
from pathlib import Path

import checkpoints
import numpy as np
import pytest
import torch
from filelock import FileLock
from interrupting import every_step
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from gqa_lib.model import load
from gqa_lib.model.convert import convert_checkpoint, convert_model, second_moments
from gqa_lib.model.convert import folder as module
from gqa_lib.model.hugging_face import write as writing

FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "olmo2", "smollm3", "phi3", "gemma3_text"]
HEADS = {"num_attention_heads": 6, "num_key_value_heads": 6}
KEYS = {
    "phi3": {"partial_rotary_factor": 0.5},
    "gemma3_text": {"head_dim": 16, "query_pre_attn_scalar": 9},
    "qwen2": {"num_attention_heads": 12},
}


@pytest.fixture
def source(tmp_path):
    return checkpoints.save(tmp_path / "source", "llama", **HEADS)


def in_pieces(folder):
    """Save a checkpoint again, its layers' projections spread over several files."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.save_pretrained(folder.with_name("pieces"), max_shard_size="30KB")
    return folder.with_name("pieces")


def logits(folder):
    with torch.no_grad():
        return checkpoints.theirs(folder)(checkpoints.tokens()).logits


def contents(folder):
    return {one.name: one.read_bytes() for one in sorted(folder.iterdir())}


def test_others_may_read_what_the_umask_lets_them(source, tmp_path):
    before = os.umask(0o027)
    try:
        convert_checkpoint(source, tmp_path / "new", 2)
    finally:
        os.umask(before)
    modes = {one.name: one.stat().st_mode & 0o777 for one in (tmp_path / "new").iterdir()}
    assert modes["model.safetensors"] == modes["config.json"] == 0o640


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["aligned", "mean"])
def test_transformers_runs_it_as_our_converted_model(family, method, tmp_path):
    source = checkpoints.save(tmp_path / "source", family, **HEADS | KEYS.get(family, {}))
    about = convert_checkpoint(source, tmp_path / "new", 2, method, regroup=True)
    new = load(tmp_path / "new", dtype=torch.float32)
    assert new.config.num_kv_heads == 2
    theirs = logits(tmp_path / "new")
    with torch.no_grad():
        ours, by_model = (
            one(checkpoints.tokens())
            for one in (new, convert_model(load(source), 2, method, regroup=True))
        )
    scale = theirs.abs().max()
    assert (ours - theirs).abs().max() < checkpoints.CLOSE * scale
    assert (by_model - theirs).abs().max() < checkpoints.CLOSE * scale
    assert (theirs - logits(source)).abs().max() > checkpoints.OTHER * scale
    assert ("keys" in about) == (
        family in ("qwen3", "olmo2", "gemma3_text") and method == "aligned"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_lost_where_heads_are_equal(family, tmp_path):
    source = checkpoints.save(tmp_path / "source", family, **HEADS | KEYS.get(family, {}))
    (file,) = source.glob("*.safetensors")
    weights = load_file(file)
    head_dim = load(source).config.head_dim
    for name, one in weights.items():
        kv = [one] if "self_attn" in name and ("k_proj" in name or "v_proj" in name) else []
        if "k_norm" in name and len(one) > head_dim:
            kv = [one]
        if "qkv_proj" in name:
            kv = list(one.split([len(one) // 3] * 3)[1:])
        for rows in kv:
            heads = rows.unflatten(0, (6, head_dim))
            heads[1:3], heads[4:6] = heads[0].clone(), heads[3].clone()
    save_file(weights, file, {"format": "pt"})
    before = logits(source)
    for method in ("aligned", "subspace", "mean", "first"):
        convert_checkpoint(source, tmp_path / method, 2, method)
        apart = (logits(tmp_path / method) - before).abs().max()
        assert apart < checkpoints.CLOSE * before.abs().max(), method


def test_config_says_what_was_done(source, tmp_path):
    (source / "tokenizer.json").write_text("{}")
    (source / "pytorch_model.bin").write_text("old weights")
    about = convert_checkpoint(source, tmp_path / "new", 3, "mean", seed=4)
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    before = json.loads((source / "config.json").read_text())
    assert config.pop("gqa_conversion") == about
    assert config.pop("num_key_value_heads") == 3
    before.pop("num_key_value_heads")
    assert config == before
    assert about["from_num_kv_heads"] == 6
    assert (about["method"], about["seed"], about["calibrated"]) == ("mean", 4, False)
    assert set(contents(tmp_path / "new")) == set(contents(source)) - {"pytorch_model.bin"}
    assert [one.name for one in tmp_path.iterdir() if "partial" in one.name] == []


def test_pieces_come_out_as_one_file_does(source, tmp_path):
    pieces = in_pieces(source)
    files = sorted(pieces.glob("*.safetensors"))
    assert len(files) > 4
    for one, name in ((source, "of-one"), (pieces, "of-pieces")):
        convert_checkpoint(one, tmp_path / name, 2, regroup=True)
    (whole,) = (tmp_path / "of-one").glob("*.safetensors")
    expected = load_file(whole)
    found = {}
    for file in files:
        part = load_file(tmp_path / "of-pieces" / file.name)
        assert part.keys() == load_file(file).keys()
        found |= part
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    index = json.loads((tmp_path / "of-pieces" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(4 * one.numel() for one in found.values())
    torch.testing.assert_close(logits(tmp_path / "of-pieces"), logits(tmp_path / "of-one"))


def test_a_file_and_a_layer_are_in_memory_at_a_time(source, tmp_path, monkeypatch):
    pieces, held, most = in_pieces(source), [], []

    class Watched:
        def __init__(self, file, framework):
            self.opened = safe_open(file, framework)

        def __enter__(self):
            self.opened.__enter__()
            return self

        def __exit__(self, *trouble):
            return self.opened.__exit__(*trouble)

        def __getattr__(self, name):
            return getattr(self.opened, name)

        def get_tensor(self, name):
            held.append(self.opened.get_tensor(name))
            return held[-1]

    def saved(tensors, path, metadata):
        most.append(sum(one.nbytes for one in held))
        held.clear()
        save_file(tensors, path, metadata)

    monkeypatch.setattr(module, "safe_open", Watched)
    monkeypatch.setattr(writing, "save_file", saved)
    convert_checkpoint(pieces, tmp_path / "new", 2)
    largest = max(one.stat().st_size for one in pieces.glob("*.safetensors"))
    attention = 4 * 48 * 48 * 4
    assert len(most) == len(list(pieces.glob("*.safetensors")))
    assert max(most) <= largest + 2 * attention  # two layers may meet in a file


def test_a_kill_at_any_step_leaves_nothing_half_made(source, tmp_path):
    pieces, count = in_pieces(source), 0
    convert_checkpoint(pieces, tmp_path / "whole", 2)
    expected = contents(tmp_path / "whole")
    target = tmp_path / "new"

    def fresh():
        for one in (target, tmp_path / "new.partial"):
            for file in one.iterdir() if one.exists() else ():
                file.unlink()
            if one.exists():
                one.rmdir()

    for power in every_step(lambda: convert_checkpoint(pieces, target, 2), fresh):
        if target.exists():
            assert contents(target) == expected
        else:
            convert_checkpoint(pieces, target, 2)
            assert contents(target) == expected
        count += power.dead
    assert count > 20


def test_what_was_written_is_not_written_again(source, tmp_path, monkeypatch):
    pieces = in_pieces(source)
    written = []
    real = writing.save_file

    def stops(tensors, path, metadata):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(Path(path).name)
        real(tensors, path, metadata)

    monkeypatch.setattr(writing, "save_file", stops)
    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(pieces, tmp_path / "new", 2)
    assert not (tmp_path / "new").exists()
    done = written.copy()
    monkeypatch.setattr(
        writing, "save_file", lambda t, path, m: (written.append(Path(path).name), real(t, path, m))
    )
    convert_checkpoint(pieces, tmp_path / "new", 2)
    assert len(written) == len(set(written))
    assert set(done) < set(written)


@pytest.mark.parametrize("other", [{"method": "mean"}, {"num_kv_heads": 3}, {"regroup": True}])
def test_an_unfinished_folder_of_another_conversion_is_refused(
    source, tmp_path, monkeypatch, other
):
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_others", None)
        with pytest.raises(TypeError):
            convert_checkpoint(source, tmp_path / "new", 2)
    before = contents(tmp_path / "new.partial")
    with pytest.raises(ValueError, match="is of another conversion"):
        convert_checkpoint(source, tmp_path / "new", **{"num_kv_heads": 2} | other)
    assert contents(tmp_path / "new.partial") == before
    convert_checkpoint(source, tmp_path / "new", 2)


def test_what_is_there_is_not_overwritten(source, tmp_path):
    for target in (source, tmp_path / "file", tmp_path / "folder"):
        if target.name == "file":
            target.write_text("mine")
        if target.name == "folder":
            target.mkdir()
        with pytest.raises(ValueError, match="is not overwritten"):
            convert_checkpoint(source, target, 2)
    (tmp_path / "new.partial").mkdir()
    with pytest.raises(ValueError, match="is of another conversion"):
        convert_checkpoint(source, tmp_path / "new", 2)
    with (
        FileLock(tmp_path / "late.partial.lock"),
        pytest.raises(ValueError, match="another process"),
    ):
        convert_checkpoint(source, tmp_path / "late", 2)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"num_kv_heads": 6}, "6 KV heads already"),
        ({"num_kv_heads": 4}, "does not divide the 6 KV heads"),
        ({"method": "svd"}, "svd"),
        ({"regroup": 1}, "regroup=1"),
    ],
)
def test_what_cannot_be_converted_is_refused(source, tmp_path, wrong, told):
    with pytest.raises(ValueError, match=told):
        convert_checkpoint(source, tmp_path / "new", **{"num_kv_heads": 2} | wrong)
    assert [one.name for one in tmp_path.iterdir()] == ["source"]


def test_quantised_weights_are_refused(source, tmp_path):
    (file,) = source.glob("*.safetensors")
    weights = load_file(file)
    name = next(one for one in weights if "k_proj" in one)
    save_file(weights | {name: weights[name].to(torch.float8_e4m3fn)}, file, {"format": "pt"})
    with pytest.raises(ValueError, match="quantised"):
        convert_checkpoint(source, tmp_path / "new", 2)


def test_a_converted_folder_can_be_converted_again(source, tmp_path):
    convert_checkpoint(source, tmp_path / "three", 3, "mean")
    convert_checkpoint(tmp_path / "three", tmp_path / "one", 1, "mean")
    convert_checkpoint(source, tmp_path / "at-once", 1, "mean")
    torch.testing.assert_close(logits(tmp_path / "one"), logits(tmp_path / "at-once"))


def test_by_moments_of_a_text(source, tmp_path):
    moments = second_moments(load(source), [checkpoints.tokens()])
    about = convert_checkpoint(source, tmp_path / "new", 2, moments=moments)
    assert about["calibrated"]
    expected = convert_model(load(source), 2, moments=moments)
    with torch.no_grad():
        expected = expected(checkpoints.tokens())
    torch.testing.assert_close(logits(tmp_path / "new"), expected, rtol=1e-4, atol=1e-4)


def test_what_was_done_before_and_to_which_weights_is_kept(source, tmp_path):
    first = convert_checkpoint(source, tmp_path / "three", 3, "mean")
    (file,) = source.glob("*.safetensors")
    assert first["source_weights_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert "before" not in first
    second = convert_checkpoint(tmp_path / "three", tmp_path / "one", 1, "mean")
    assert second["before"] == {"gqa_conversion": first}
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert config["gqa_conversion"] == second


def test_what_the_moments_are_of_is_kept(source, tmp_path):
    moments = second_moments(load(source), [checkpoints.tokens()])
    of = {"text_sha256": "ab"}
    about = convert_checkpoint(source, tmp_path / "n", 2, moments=moments, calibration=of)
    assert about["calibrated"] == of


def test_inside_of_the_source_nothing_unfinished_is_copied(source):
    convert_checkpoint(source, source / "new", 2)
    assert [one.name for one in (source / "new").iterdir() if "partial" in one.name] == []
    assert load(source / "new").config.num_kv_heads == 2


def good_moments(layers=3):
    return [torch.eye(49, dtype=torch.float64) for _ in range(layers)]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"moments": good_moments(2)}, "moments has 2 entries for 3 layers"),
        ({"moments": [one[:48] for one in good_moments()]}, r"shape \(48, 49\)"),
        ({"moments": [one.long() for one in good_moments()]}, "int64"),
        ({"moments": [one * math.nan for one in good_moments()]}, "finite fractions"),
        ({"moments": 3}, "moments=3 is one value"),
        ({"seed": 1.5}, "seed=1.5"),
    ],
)
def test_a_refused_call_leaves_nothing_in_the_way(source, tmp_path, wrong, told):
    with pytest.raises(ValueError, match=told):
        convert_checkpoint(source, tmp_path / "new", 2, **wrong)
    assert [one.name for one in tmp_path.iterdir()] == ["source"]
    convert_checkpoint(source, tmp_path / "new", np.int64(2), moments=iter(good_moments()))


def test_any_whole_number_is_a_seed(source, tmp_path):
    about = convert_checkpoint(source, tmp_path / "new", 2, "random", seed=10**23)
    assert about["seed"] == 10**23


def test_a_weight_that_is_nan_is_named_with_its_file(source, tmp_path):
    (file,) = source.glob("*.safetensors")
    weights = load_file(file)
    weights["model.layers.1.self_attn.v_proj.weight"][3, 4] = math.nan
    save_file(weights, file, {"format": "pt"})
    told = f"{file}: model.layers.1.self_attn.v_proj.weight has a weight that is infinite or NaN"
    with pytest.raises(ValueError, match=re.escape(told)):
        convert_checkpoint(source, tmp_path / "new", 2)
    assert [one.name for one in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_is_told_and_the_same_call_goes_on(source, tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"the beginning")
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writing, "save_file", full)
        with pytest.raises(OSError, match=r"model.safetensors cannot be written .*Make room"):
            convert_checkpoint(source, tmp_path / "new", 2)
    assert [one.name for one in tmp_path.iterdir()] == ["source"]
    convert_checkpoint(source, tmp_path / "new", 2)


def test_heads_of_zeros_are_like_no_others(source, tmp_path):
    (file,) = source.glob("*.safetensors")
    weights = load_file(file)
    weights["model.layers.0.self_attn.v_proj.weight"][8:32] = 0  # heads 1 to 3 of 8 rows
    save_file(weights, file, {"format": "pt"})
    convert_checkpoint(source, tmp_path / "new", 3, regroup=True)
    assert load(tmp_path / "new").config.num_kv_heads == 3


def test_moments_that_overflow_name_the_layer(source):
    model = load(source, dtype=torch.float32)
    model.layers[1].attention_norm.weight.data.fill_(1e30)
    model.layers[1].attention_norm.weight.data[0] = math.inf
    with pytest.raises(
        ValueError, match=r"into layer 1 on this text is not finite in torch.float32"
    ):
        second_moments(model, [checkpoints.tokens()])


def test_a_damaged_note_of_an_unfinished_folder_is_told(source, tmp_path):
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial.json").write_text('{"gqa')
    with pytest.raises(ValueError, match=r"new.partial.json does not say of which.*Remove it"):
        convert_checkpoint(source, tmp_path / "new", 2)


def test_a_place_inside_a_file_is_refused(source, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file is a file, in which nothing can be written"):
        convert_checkpoint(source, tmp_path / "file" / "new", 2)
