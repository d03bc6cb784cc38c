"""Checkpoints that are odd or hostile: refused in a line, before they cost memory or time."""

import json
import os
import shutil

import pytest
import torch
from checkpoints import change_config, save
from safetensors.torch import load_file, save_file

from gqa_lib.model import LanguageModel, load
from gqa_lib.model.hugging_face import config as config_file
from gqa_lib.model.hugging_face import read

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
Q_PROJ = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint whose config.json leaves the rotations to its class."""
    folder = save(tmp_path_factory.mktemp("saved") / "one", "llama")
    change_config(folder, remove=("rope_parameters",))
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def assert_refused(folder, *words, error=ValueError, dtype=None):
    """Loading is refused in one line with these words."""
    with pytest.raises(error) as refused:
        load(folder, dtype)
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert message.isprintable()
    assert len(message) < 500


def change_tensors(folder, **tensors):
    save_file(load_file(folder / FILE) | tensors, folder / FILE)


def set_raw(folder, key, text):
    """Set a key of config.json to what json.dumps would not write."""
    path = folder / "config.json"
    keys = {k: v for k, v in json.loads(path.read_text()).items() if k != key}
    path.write_text(f'{json.dumps(keys)[:-1]}, "{key}": {text}}}')


SIZES = ("hidden_size", "head_dim", "vocab_size", "num_hidden_layers", "intermediate_size")
NUMBERS = (*SIZES, "num_attention_heads", "num_key_value_heads", "rms_norm_eps", "rope_theta")


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("text", ["NaN", "1e400", "-Infinity", '"3"', "true", "-3", "{}"])
def test_numbers_that_are_none(key, text, folder):
    set_raw(folder, key, text)
    assert_refused(folder, "copy: ", key)


def test_a_number_of_more_digits_than_python_reads(folder):
    set_raw(folder, "initializer_range", "9" * 5000)
    assert_refused(folder, "config.json is not JSON")


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("size", [10**9, 9999])
def test_sizes_that_the_files_do_not_have_cost_nothing(key, size, folder, monkeypatch):
    """No memory for weights, none for rotations, and no time for modules of 9999 layers."""
    monkeypatch.setattr(read, "_allocate", lambda *_: pytest.fail("weights were given memory"))
    ropes_of, make = config_file.ropes_of, LanguageModel.__init__

    def ropes(keys, family, config):
        assert config.head_dim < 10**5
        return ropes_of(keys, family, config)

    def model(self, config, *args, **options):
        assert config.num_layers < 10
        make(self, config, *args, **options)

    monkeypatch.setattr(config_file, "ropes_of", ropes)
    monkeypatch.setattr(LanguageModel, "__init__", model)
    change_config(folder, **{key: size})
    assert_refused(folder, "copy")


def test_of_a_key_that_is_there_twice_the_last_counts_as_in_transformers(folder):
    text = (folder / "config.json").read_text().rstrip().removesuffix("}")
    (folder / "config.json").write_text(text + ', "rms_norm_eps": 1.0, "rms_norm_eps": 0.5}')
    assert load(folder).variant.norm_eps == 0.5
    (folder / "config.json").write_text(text + ', "hidden_size": 96}')
    assert_refused(folder, "lm_head.weight has shape (67, 48) and should have (67, 96)")


@pytest.mark.parametrize("name", [FILE, "config.json", INDEX])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_in_a_files_place_is_not_opened(name, make, folder):
    """A pipe would be waited for forever."""
    if name == INDEX:
        (folder / FILE).unlink()
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    assert_refused(folder, f"{name} is not a file")


def test_links_that_lead_nowhere(folder):
    (folder / FILE).unlink()
    (folder / FILE).symlink_to("loop")
    (folder / "loop").symlink_to(FILE)
    assert_refused(folder, "neither model.safetensors nor", error=FileNotFoundError)


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        (Q_PROJ, torch.zeros(0, 48), "has shape (0, 48) and should have (48, 48)"),
        ("model.norm.weight", torch.tensor(1.0), "has shape () and should have (48,)"),
        ("empty", torch.zeros(0), "empty is not a weight of this model"),
        ("größe 大小", torch.tensor(1.0), "größe 大小 is not a weight of this model"),
        ("a\nb\x1b[31m", torch.tensor(1.0), r"a\nb\x1b[31m is not a weight of this model"),
        ("x" * 10_000, torch.tensor(1.0), "xxx... is not a weight of this model"),
    ],
)
def test_odd_tensors(name, tensor, words, folder):
    change_tensors(folder, **{name: tensor})
    assert_refused(folder, FILE, words)


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        (Q_PROJ, f"{'x' * 300}.safetensors", "is not the name of a .safetensors file"),
        (Q_PROJ, "\ud800.safetensors", r"'\ud800.safetensors', which is not the name"),
        (Q_PROJ, "a\n.safetensors", r"'a\n.safetensors', which is not the name"),
        ("a\nb", 7, r"a\nb is in 7, which is not the name"),
        (Q_PROJ, ["x.safetensors"], "is not the name"),
    ],
)
def test_an_index_of_odd_names(name, file, words, folder):
    (folder / FILE).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": {name: file}}))
    assert_refused(folder, INDEX, words)


def test_an_index_with_a_byte_order_mark_is_read_as_config_json_is(folder):
    names = load_file(folder / FILE)
    (folder / FILE).rename(folder / "part.safetensors")
    text = json.dumps({"weight_map": dict.fromkeys(names, "part.safetensors")})
    (folder / INDEX).write_text(text, encoding="utf-8-sig")
    assert load(folder).embedding.weight.shape == (67, 48)


def test_paths_of_any_kind(saved, tmp_path, monkeypatch):
    unicode = shutil.copytree(saved, tmp_path / "größe 大小 😀")
    monkeypatch.chdir(unicode)
    for path in (str(saved), f"{saved}/", saved, unicode, "."):
        assert torch.equal(load(path).norm.weight, load(saved).norm.weight)
    for path in (saved / FILE, saved / "config.json", "größe"):
        assert_refused(path, "is not a folder", error=FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        load("a\0b")


@pytest.mark.parametrize("dtype", ["float32", torch.int8, torch.complex64, torch.float8_e4m3fn])
def test_dtypes_in_which_no_model_computes(dtype, saved):
    assert_refused(saved, f"dtype={dtype!r}", "torch.bfloat16", dtype=dtype)


def test_weights_that_would_become_infinite_in_float16(folder):
    stored = load_file(folder / FILE)[Q_PROJ].bfloat16()
    stored[3, 5] = -70_000.0
    change_tensors(folder, **{Q_PROJ: stored})
    words = f"{Q_PROJ} has a weight of 7.014e+04, and torch.float16 ends at 65504"
    assert_refused(folder, FILE, words, dtype=torch.float16)
    assert load(folder, torch.bfloat16).layers[1].attention.qkv_proj.weight[3, 5] == -70144
    stored[3, 5] = 65_000.0
    change_tensors(folder, **{Q_PROJ: stored})
    assert load(folder, torch.float16).layers[1].attention.qkv_proj.weight.isfinite().all()
