"""`gqa models` and `gqa info MODEL`: the shipped models and files of one's own."""

import codecs
import csv
import io
import json

import pytest

from gqa_lib.cli import main
from gqa_lib.configs import find_models, list_models

PLAIN = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}


def run(capsys, *arguments):
    code = main([*arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_all_models_are_listed_and_filtered(capsys):
    assert run(capsys, "models")[1].count("\n") == len(list_models()) + 2
    _, text, _ = run(capsys, "models", "--kind", "hybrid", "--max-kib", "30", "--context", "131072")
    assert "Kimi-K3" in text
    assert "Llama-3-8B" not in text
    _, text, _ = run(capsys, "models", "--family", "qwen3.5", "--json")
    rows = json.loads(text)
    assert {row["name"] for row in rows} >= {"Qwen3.5-27B", "Qwen3.5-397B-A17B"}
    assert all(row["source"] and row["checked"] for row in rows)


def test_csv_has_what_the_table_has(capsys):
    rows = list(csv.DictReader(io.StringIO(run(capsys, "models", "llama-3-8b", "--csv")[1])))
    assert [row["name"] for row in rows] == ["Llama-3-8B"]
    assert float(rows[0]["kib_per_token"]) == 128


def test_a_context_beyond_a_models_longest_is_starred(capsys):
    _, text, _ = run(capsys, "models", "Llama-3-8B", "--context", "8193")
    assert "*" in text.splitlines()[1]
    assert "longer than the model is made for" in text


def test_files_are_rows_and_a_refused_one_is_a_row_with_its_reason(capsys, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(PLAIN))
    (tmp_path / "odd.json").write_text(json.dumps(PLAIN | {"kv_map": [1]}))
    paths = [str(tmp_path / name) for name in ("mine.json", "odd.json")]
    code, text, _ = run(capsys, "models", *paths)
    assert code == 1
    assert text.splitlines()[1].startswith("mine ")
    assert "refused: odd.json: kv_map=[1] is not understood" in text


def test_what_editors_and_folders_do_to_a_file_is_no_fault(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps(PLAIN))
    (tmp_path / "marked.json").write_bytes(codecs.BOM_UTF8 + json.dumps(PLAIN).encode())
    bloom = {k: v for k, v in PLAIN.items() if k != "hidden_size"}
    bloom |= {"model_type": "bloom", "n_embed": 64}
    (tmp_path / "bloom.json").write_text(json.dumps(bloom))
    paths = [str(tmp_path / name) for name in ("mine", "marked.json", "bloom.json")]
    code, text, _ = run(capsys, "models", *paths, "--json")
    assert code == 0
    rows = json.loads(text)
    assert [row["name"] for row in rows] == ["mine", "marked", "bloom"]
    assert {row["kib_per_token"] for row in rows} == {2 * 2 * 64 * 2 / 1024}


def test_a_typo_names_close_ones(capsys):
    code, text, _ = run(capsys, "models", "Llamma-3-8B", "Qwen3-8B")
    assert code == 1
    assert "Did you mean" in text
    assert "\nQwen3-8B " in text


def test_filters_that_nothing_passes_say_so(capsys):
    assert "no model passes" in run(capsys, "models", "--kind", "zzz")[1]
    assert run(capsys, "models", "--min-kib", "9", "--max-kib", "3")[0] == 1


def test_what_a_hybrid_keeps(capsys):
    code, text, _ = run(capsys, "info", "Qwen3.5-27B")
    assert code == 0
    for told in (
        "48 linear or state-space, 16 full (4 x 256)",
        "64 KiB per token",
        "constant state",
        "26.9 billion parameters",
        "beyond its longest",
    ):
        assert told in text


def test_what_each_of_some_ranks_keeps(capsys):
    code, text, _ = run(capsys, "info", "Llama-3.1-8B", "--tp", "16")
    assert code == 0
    for told in (
        "128 KiB per token; 16 MiB in each of 16 ranks",
        "8.03 billion parameters; 989.3 MiB in each of 16 ranks",
        "16 ranks share 8 KV heads, and 2 of them hold the same one: past 8 ranks",
        "Each rank sends 30 KiB per token and layer",
    ):
        assert told in text
    eight = json.loads(run(capsys, "info", "Llama-3.1-8B", "--tp", "8", "--json")[1])[0]
    assert [one["rank_gib"] for one in eight["contexts"]] == [
        one["gib"] / 8 for one in eight["contexts"]
    ]
    assert (eight["tensor_parallel"], eight["bytes_sent_per_token_and_layer"]) == (8, 28672)
    assert "tensor_parallel" not in run(capsys, "info", "Llama-3.1-8B", "--json")[1]
    code, text, _ = run(capsys, "info", "Llama-3.1-8B", "--tp", "3")
    assert code == 1
    assert "num_heads=32 cannot be divided over tensor_parallel=3" in text


def test_a_file_that_is_refused_is_told(capsys, tmp_path):
    (tmp_path / "odd.json").write_text("[1]")
    code, text, _ = run(capsys, "info", "Llama-3-8B", str(tmp_path / "odd.json"))
    assert code == 1
    assert "Llama-3-8B" in text
    assert "refused: odd.json holds list" in text


def test_files_that_are_called_alike_are_told_apart_by_their_folders(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "same.json").write_text(json.dumps(PLAIN))
    paths = [str(tmp_path / name / "same.json") for name in ("one", "two")]
    configs, refused = find_models([*paths, "Llama-3-8B", "no such model"])
    assert [config.name for config in configs] == ["one/same", "two/same", "Llama-3-8B"]
    assert list(refused) == ["no such model"]


@pytest.mark.parametrize("arguments", [["--context", "0"], ["--bytes", "0"]])
def test_sizes_that_cannot_be_are_refused(arguments):
    with pytest.raises(SystemExit) as refused:
        main(["models", *arguments])
    assert refused.value.code == 2
