"""Results name files, and never the folders of the machine that they were made on."""

import json
import os

import pytest

from gqa_lib import bench
from gqa_lib.bench.paths import clean, without_paths


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("/home/me/models/llama/config.json", "config.json"),
        ("no /home/me/models/llama: there is none", "no llama: there is none"),
        ("File '/usr/lib/python3.12/x.py', line 3", "File 'x.py', line 3"),
        ('models = ["/home/me/My Models/llama one"]', 'models = ["llama one"]'),
        ("in /home/me/models/ and", "in models and"),
        (r"C:\Users\me\x.json", "x.json"),
        ("12.5 GB/s, 3 FLOP/byte/s", "12.5 GB/s, 3 FLOP/byte/s"),
        (
            "meta-llama/llama-models/models/sku_list.py",
            "meta-llama/llama-models/models/sku_list.py",
        ),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("path/to/config.json, ../up/x", "path/to/config.json, ../up/x"),
        ("1/2 of /tmp", "1/2 of /tmp"),
    ],
)
def test_an_absolute_path_is_cut_to_its_name(text, cut):
    assert without_paths(text) == cut
    assert without_paths({"a": [text, 3, None, {"b": (text,)}]}) == {
        "a": [cut, 3, None, {"b": [cut]}]
    }


def test_pictures_are_left_alone():
    picture = {"image/png": "iVBOR+/ab/cd/ef", "text/plain": "/ab/cd/ef"}
    assert without_paths(picture) == {"image/png": "iVBOR+/ab/cd/ef", "text/plain": "ef"}


def test_files_that_a_killed_run_left_in_half_are_cleaned_too(tmp_path):
    (tmp_path / "samples.jsonl").write_text('{"p_model": "/home/me/a/b"}\n{"p_mod')
    (tmp_path / "executed.ipynb").write_text('{"metadata": {"x": "/home/me/a/b"}, "cel')
    clean(tmp_path)
    assert "/home" not in "".join(path.read_text() for path in tmp_path.iterdir())


def test_a_model_from_a_folder_is_called_by_it_and_nothing_else_of_the_machine_is_kept(tmp_path):
    plain = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4}
    for name, keys in {
        "a private place/my model": plain | {"hidden_size": 64, "_name_or_path": "/root/secret"},
        "other": plain | {"hidden_size": 64, "kv_map": [1]},
    }.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps(keys))
    asked = [tmp_path / "a private place" / "my model", tmp_path / "other", tmp_path / "none.json"]
    notebook = bench.benchmarks()["kv-footprint"]
    record = bench.run_one(notebook, {"models": list(map(str, asked))}, tmp_path / "out")
    assert record["status"] == "ok", record["error"]
    assert record["params"] == {"models": ["my model", "other", "none.json"]}
    assert {row["p_model"] for row in record["result"]["rows"]} == {
        *("my model", "other", "none.json"),
    }
    (folder,) = (tmp_path / "out").iterdir()
    assert record["folder"] == folder.name
    for path in folder.iterdir():
        text = path.read_text()
        assert str(tmp_path) not in text, path.name
        assert "a private place" not in text, path.name
        assert "/root/secret" not in text, path.name


@pytest.mark.parametrize("text", ["/" + "9j" * 5000, "/a\0b"])
def test_a_text_that_cannot_be_a_path_is_a_text(text):
    assert without_paths({"error": text}) == {"error": text}


def test_a_path_that_only_others_may_see_is_cut_as_well(monkeypatch):
    def refused(path, **how):
        raise PermissionError(path)

    monkeypatch.setattr(os, "stat", refused)
    assert without_paths("/root/runs/model.json") == "model.json"
