"""`gqa bench --list`, `--help` and `--json`; `gqa --version`; `gqa info` for programs."""

import json

import pytest

from gqa_lib import __version__, bench
from gqa_lib.bench import notebooks, now
from gqa_lib.cli import main
from gqa_lib.records.keep import main as keep


def ended(arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    return ending.value.code, *capsys.readouterr()


def test_every_benchmark_is_listed_with_whether_it_times_and_its_seconds(capsys):
    assert main(["bench", "--list"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(bench.benchmarks())
    untimed = ("kv-footprint", "quality", "uptraining")
    assert all(("no timing" in line) == line.startswith(untimed) for line in lines)
    assert all(line.rstrip().endswith("?") for line in lines)
    assert "two free CPU cores" in last
    assert main(["bench", "--list", "--json", "roofline", "kv-footprint"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["times"]) for row in rows] == [
        ("roofline", True),
        ("kv-footprint", False),
    ]
    assert all(row["seconds"] >= 10 for row in rows)


@pytest.mark.parametrize("name", bench.benchmarks())
@pytest.mark.parametrize("order", [1, -1])
def test_help_on_a_benchmark_has_every_parameter_its_default_and_meaning(name, order, capsys):
    code, out, err = ended(["bench", *[name, "--help"][::order]], capsys)
    assert (code, err) == (0, "")
    known = notebooks.described(bench.benchmarks()[name])
    assert known.pop("out_dir")
    for one in known.values():
        assert one.help, f"{name} has a parameter {one.name} without a word on it"
        assert f"  {one.name}=" in out
        assert one.help in out
        default = one.default if isinstance(one.default, str) and one.default else None
        assert f"{one.name}={default or json.dumps(one.default)}" in out


def test_help_without_a_name_is_the_commands(capsys):
    code, out, _ = ended(["bench", "-h"], capsys)
    assert code == 0
    assert "--timeout" in out


def test_the_records_are_printed_as_json_alone(capsys, monkeypatch, tmp_path):
    asked = []

    def one(notebook, params, out, *, timeout_s, waits):
        asked.append((notebook.stem, params, out, timeout_s))
        return {"benchmark": notebook.stem, "status": "ok" if len(asked) < 2 else "error"}

    monkeypatch.setattr(now, "run_one", one)
    out = ["--out", str(tmp_path), "--timeout", "9.5", "--json"]
    assert main(["bench", "roofline", "kv-footprint", "-p", "dtype=bfloat16", *out]) == 1
    records = json.loads(capsys.readouterr().out)
    assert [record["benchmark"] for record in records] == ["roofline", "kv-footprint"]
    assert asked[0] == ("roofline", {"dtype": "bfloat16"}, tmp_path, 9.5)


def test_the_version(capsys):
    assert ended(["--version"], capsys)[:2] == (0, f"gqa-course {__version__}\n")


def test_info_for_programs(capsys):
    assert main(["info", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["gqa-course"]
    assert told["decoding"]["float32"]["auto"] not in told["decoding"]["float32"]["cannot"]
    assert main(["info", "Llama-3-8B", "nope", "--json"]) == 1
    model, refused = json.loads(capsys.readouterr().out)
    assert model["parameters"] == 8030261248
    held = {one["context"]: one for one in model["contexts"]}
    assert held[8192] == {
        "context": 8192,
        "beyond_max_context": False,
        "kib_per_token": 128.0,
        "gib": 1.0,
    }
    assert held[32768]["beyond_max_context"]
    assert refused["name"] == "nope"
    assert "no model called 'nope'" in refused["refused"]


def test_a_backend_that_there_is_not_is_refused_by_info(capsys, monkeypatch):
    monkeypatch.setenv("GQA_BACKEND", "nope")
    assert main(["info"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("gqa: GQA_BACKEND: backend 'nope' does not exist")
    assert shown.out == ""


def test_the_program_that_keeps_records_says_what_it_takes(capsys, tmp_path):
    with pytest.raises(SystemExit) as ending:
        keep(["--help"])
    assert ending.value.code == 0
    assert "decode-latency" in capsys.readouterr().out
    assert keep([str(tmp_path)]) == 1
    assert "has no result.json" in capsys.readouterr().err


def test_ctrl_c_is_a_line_and_the_shells_code(capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(now, "run_one", stop)
    assert main(["bench", "kv-footprint"]) == 130
    assert capsys.readouterr().err == "gqa: stopped by Ctrl-C\n"
