"""The files of a checkpoint: one or several, links, and what is refused before a weight is read."""

import json
import re
import struct
import subprocess
import sys

import pytest
import torch
from checkpoints import CLOSE, change_config, difference, save, theirs
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from gqa_lib.model import LanguageModel, load
from gqa_lib.model.hugging_face import read

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
Q_PROJ = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint in one file, and the same in several."""
    folder = tmp_path_factory.mktemp("saved")
    save(folder / "one", "llama")
    model = AutoModelForCausalLM.from_pretrained(folder / "one")
    model.save_pretrained(folder / "shards", max_shard_size="60KB")
    assert len(list((folder / "shards").glob("*.safetensors"))) > 2
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the one in one file, of which nothing may be copied into a model."""
    return _copy(saved / "one", tmp_path / "copy")


@pytest.fixture
def shards(saved, tmp_path):
    return _copy(saved / "shards", tmp_path / "copy")


def _copy(source, target):
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def change_tensors(folder, change):
    tensors = load_file(folder / FILE)
    change(tensors)
    save_file(tensors, folder / FILE)


def change_index(folder, **files):
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] |= files
    (folder / INDEX).write_text(json.dumps(index))


def assert_refused(folder, *words, error=ValueError):
    """Loading is refused with these words, and no memory for weights was taken before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "_allocate", lambda *_: pytest.fail("weights were given memory"))
        with pytest.raises(error) as refused:
            load(folder)
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert message.count("\n") == 0


def test_shards_load_like_one_file(saved):
    assert difference(saved / "shards", theirs(saved / "one")) < CLOSE


def test_a_snapshot_of_the_cache_is_full_of_links(shards, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, file in enumerate(shards.iterdir()):
        file.rename(blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert load(snapshot).embedding.weight.shape == (67, 48)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_as_it_is_and_converted(dtype, tmp_path):
    theirs(save(tmp_path / "full", "qwen2")).to(dtype).save_pretrained(tmp_path / "half")
    ours = load(tmp_path / "half")
    assert {parameter.dtype for parameter in ours.parameters()} == {dtype}
    stored = load_file(tmp_path / "half" / FILE)
    rows = ours.layers[1].attention.qkv_proj.weight.split([48, 16, 16])
    for name, part in zip("qkv", rows, strict=True):
        assert torch.equal(part, stored[f"model.layers.1.self_attn.{name}_proj.weight"])
    wide = load(tmp_path / "half", torch.float64)
    assert torch.equal(wide.norm.weight, stored["model.norm.weight"].double())


def test_without_a_word_in_the_config_tensors_say_the_dtype(folder):
    change_config(folder, remove=("dtype",))
    change_tensors(folder, lambda t: t.update({k: v.bfloat16() for k, v in t.items()}))
    assert load(folder).norm.weight.dtype == torch.bfloat16
    change_tensors(folder, lambda t: t.update({Q_PROJ: t[Q_PROJ].half()}))
    assert load(folder).norm.weight.dtype == torch.float32


def test_nothing_is_initialised(folder, monkeypatch):
    """The model is made once, without memory; a random number drawn would be one too many."""
    made = []
    initialise = LanguageModel.__init__

    def spy(self, *args, **kwargs):
        made.append(kwargs["device"])
        initialise(self, *args, **kwargs)

    monkeypatch.setattr(LanguageModel, "__init__", spy)
    before = torch.get_rng_state()
    load(folder)
    assert made == ["meta"]
    assert torch.equal(torch.get_rng_state(), before)


MEASURE = """
import re, sys
from gqa_lib.model import load
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
load(sys.argv[1])
before = peak()
model = load(sys.argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_memory_is_that_of_the_model_and_one_file(folder, tmp_path):
    sizes = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 12, "head_dim": 64}
    model = theirs(save(tmp_path / "large", "llama", **sizes))
    size = sum(one.numel() * 4 for one in model.parameters()) / 2**20
    model.save_pretrained(tmp_path / "shards", max_shard_size="8MB")
    assert size > 60
    command = [sys.executable, "-c", MEASURE, folder, tmp_path / "shards"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert size * 0.8 < float(done.stdout) < size * 1.5, size


def test_extras_that_are_known_to_be_harmless(folder, tmp_path):
    change_tensors(
        folder,
        lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
    )
    load(folder)
    tied = save(tmp_path / "tied", "llama", tie_word_embeddings=True)
    reference = theirs(tied)
    change_tensors(
        tied, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()})
    )
    assert difference(tied, reference) < CLOSE
    ours = load(tied)
    assert ours.head.weight is ours.embedding.weight
    change_tensors(tied, lambda t: t["lm_head.weight"][66].zero_())
    assert_refused(tied, FILE, "lm_head.weight differs from the input embedding")


def test_tensors_that_are_not_the_models(folder):
    original = (folder / FILE).read_bytes()
    changes = {
        "is missing from its files": lambda t: t.pop(Q_PROJ),
        "has shape (48, 47) and should have (48, 48)": lambda t: t.update(
            {Q_PROJ: torch.ones(48, 47)}
        ),
        "has shape (96, 24) and should": lambda t: t.update({Q_PROJ: t[Q_PROJ].reshape(96, 24)}),
        "is of type I8": lambda t: t.update({Q_PROJ: t[Q_PROJ].to(torch.int8)}),
        "is of type F8_E4M3": lambda t: t.update({Q_PROJ: t[Q_PROJ].to(torch.float8_e4m3fn)}),
        "is of type F64": lambda t: t.update({Q_PROJ: t[Q_PROJ].double()}),
    }
    for words, change in changes.items():
        change_tensors(folder, change)
        assert_refused(folder, Q_PROJ, words)
        (folder / FILE).write_bytes(original)
    for extra in ("model.layers.1.self_attn.q_proj.bias", "score.weight", "model.layers.3.x"):
        change_tensors(folder, lambda t, extra=extra: t.update({extra: torch.ones(48)}))
        assert_refused(folder, FILE, f"{extra} is not a weight of this model")
        (folder / FILE).write_bytes(original)


def header(tensors, data=b"", length=None):
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(start, end, shape=(4,)):
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


HOSTILE = {
    "empty": b"",
    "no JSON": header(b"{nonsense"),
    "not UTF-8": header(b"\xff\xfe"),
    "a list": header(b"[]"),
    "a header longer than any file": header({}, length=2**62),
    "a header longer than this file": header({}, length=1000),
    "offsets that overlap": header({"a": tensor(0, 16), "b": tensor(8, 24)}, bytes(24)),
    "offsets beyond the end": header({"a": tensor(0, 16)}, bytes(8)),
    "bytes that are nobody's": header({"a": tensor(0, 16)}, bytes(20)),
    "a shape of more bytes than there are": header({"a": tensor(0, 16, (9,))}, bytes(16)),
    "a shape beyond all numbers": header({"a": tensor(0, 16, (2**40, 2**40))}, bytes(16)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_not_safetensors(name, folder):
    (folder / FILE).write_bytes(HOSTILE[name])
    assert_refused(folder, FILE, "cannot be read as safetensors")


def test_a_file_that_was_cut_off(folder):
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-4])
    assert_refused(folder, FILE, "cannot be read as safetensors")


def test_shards_that_do_not_belong_together(shards):
    first, second, *_ = sorted(file.name for file in shards.glob("*.safetensors"))
    name = next(iter(load_file(shards / first)))
    original = (shards / INDEX).read_text()
    change_index(shards, **{name: second})
    assert_refused(shards, first, name, "not in model.safetensors.index.json")
    (shards / INDEX).write_text(original)
    change_index(shards, **{"model.layers.9.x": first})
    assert_refused(shards, first, "model.layers.9.x is not in it")
    (shards / INDEX).write_text(original)
    (shards / second).unlink()
    assert_refused(shards, second, "is missing", error=FileNotFoundError)


@pytest.mark.parametrize(
    "file",
    [
        *("../one/model.safetensors", "/etc/passwd", "/x.safetensors", "a\\b.safetensors"),
        *("config.json", "..", "", "\0.safetensors", 7, None),
    ],
)
def test_an_index_that_names_files_elsewhere(file, shards):
    change_index(shards, **{Q_PROJ: file})
    assert_refused(shards, INDEX, Q_PROJ, repr(file))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', "[" * 100_000, "\udcff"])
def test_an_index_that_is_none(text, shards):
    (shards / INDEX).write_bytes(text.encode(errors="surrogateescape"))
    assert_refused(shards, INDEX, "weight_map")


def test_folders_without_weights_that_can_be_read(folder, tmp_path):
    (folder / FILE).unlink()
    assert_refused(folder, "neither model.safetensors nor", error=FileNotFoundError)
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert_refused(folder, "pytorch_model.bin", "pickle", "save_pretrained")
    assert_refused(tmp_path / "nowhere", "is not a folder", error=FileNotFoundError)
    assert_refused("meta-llama/Llama-3.1-8B", "nothing is downloaded", error=FileNotFoundError)
    (folder / "config.json").unlink()
    assert_refused(folder, "config.json", error=FileNotFoundError)


def test_an_untied_head_that_is_missing_is_not_made_up(folder):
    change_tensors(folder, lambda t: t.pop("lm_head.weight"))
    assert_refused(folder, "lm_head.weight is missing, and tie_word_embeddings is false")
    with pytest.raises(ValueError, match=re.escape(str(folder))):
        load(folder)
