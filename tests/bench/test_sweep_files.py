"""What a sweep may ask: grids and lists become jobs, and what makes no sense is refused."""

import json

import pytest
from toys import toy

from gqa_lib.bench import jobs
from gqa_lib.bench.jobs import Job, folder_name, point, result_of
from gqa_lib.bench.sweeps.sweep import as_sweep, jobs_of, read_sweep
from gqa_lib.cli import main

YAML = """\
runs:
  - notebook: decode-latency
    params: {dtype: bfloat16}
    grid:
      num_kv_heads: [1, 8]
      context: [64, 128]
  - notebook: [kv-footprint, quality]
    list:
      - {context: 512}
      - {context: 1024}
repeat: 2
"""


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a sweep's file."""

    def write(text):
        path = tmp_path / "night.yaml"
        path.write_text(text)
        return path

    return write


def asked(text, file, **how):
    return [(job.name, job.params, job.repeat) for job in jobs_of(read_sweep(file(text)), **how)]


def test_a_grid_is_every_combination_and_a_list_what_it_lists(file):
    each = [
        *(
            ("decode-latency", {"dtype": "bfloat16", "num_kv_heads": kv, "context": context})
            for kv in (1, 8)
            for context in (64, 128)
        ),
        *((name, {"context": n}) for name in ("kv-footprint", "quality") for n in (512, 1024)),
    ]
    expected = [(*one, repeat) for repeat in (0, 1) for one in each]
    assert asked(YAML, file) == expected  # A B C A B C
    grouped = [(*one, repeat) for one in each for repeat in (0, 1)]
    assert asked(YAML + "order: grouped\n", file) == grouped  # A A B B C C


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("grid:", "gird:"), r"runs\[0\].gird is not something .* has: did you mean grid\?"),
        (("repeat: 2", "repat: 2"), r"repat is not something .* has: did you mean repeat\?"),
        (("repeat: 2", "colour: 2"), "colour is not something that a sweep has: runs, repeat,"),
        (("repeat: 2", "repeat: two"), "repeat='two': it has to be a valid integer"),
        (("repeat: 2", "repeat: 0"), "repeat=0: it has to be greater than or equal to 1"),
        (("repeat: 2", "order: random"), "order='random': it has to be 'interleaved' or 'grouped'"),
        (("repeat: 2", "timeout_s: -3"), "timeout_s=-3: it has to be greater than 0"),
        (("repeat: 2", "repeat: 2\nrepeat: 3"), "line 12 has 'repeat' a second time"),
        (("[64, 128]", "[64, 128]\n      context: [1]"), "has 'context' a second time"),
        (("[64, 128]", "[]"), "no value for context"),
        (("[64, 128]", "64"), "context=64: it has to be a valid list"),
        (("[64, 128]", "[64, 64]"), r"grid.context has 64 twice"),
        (("[64, 128]", "[64, [64]]"), "context=.64. is there twice"),
        (("[64, 128]", "[64, long]"), "context='long': .* does not fit"),
        (("[64, 128]", "[64]\n      budget_s: [.nan]"), "budget_s=nan cannot be measured"),
        (("[64, 128]", f"[64]\n      budget_s: [1{'0' * 400}]"), "budget_s=10+ cannot be measured"),
        (("[64, 128]", "[64, 0]"), "cannot be measured with"),
        (("[1, 8]", "[1, 5]"), "num_kv_heads=5"),
        (("      context", "      contxt"), "no parameter 'contxt': did you mean context"),
        (("      context", "      dtype"), "has dtype in params and in grid"),
        (("      context", "      out_dir"), "has out_dir: each run gets a folder of its own"),
        (("decode-latency", "decode-latancy"), "'decode-latancy': did you mean decode-latency"),
        (("decode-latency", "no.ipynb"), "there is no notebook no.ipynb"),
        (("[kv-footprint, quality]", "[]"), "notebook is empty"),
        (("- {context: 1024}", "- {context: 512}"), "context=512 is there twice"),
        (("    list:", "    grid: {dtype: [float32]}\n    list:"), "has both grid and list"),
        (("- notebook: decode-latency", "- params: {}"), "notebook is missing|a second time"),
        ((YAML, "runs: []"), "at least 1 item"),
        ((YAML, "[1, 2]"), "not a sweep"),
        ((YAML, ""), "not a sweep"),
        ((YAML, "runs: [unclosed"), "cannot be read as YAML"),
        ((YAML, "!!python/object/apply:os.getcwd []"), "cannot be read as YAML"),
        (("repeat: 2", "repeat: 10000"), None),
        (("[64, 128]", str(list(range(64, 4064)))), "more than 100,000 runs"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(change, said, file):
    text = YAML.replace(*change)
    assert text != YAML
    if said is None:
        assert asked(text, file)
        return
    text = text.replace("repeat: 2", "repeat: 100") if "more than" in said else text
    with pytest.raises(ValueError, match=said) as refused:
        asked(text, file)
    assert "pydantic" not in str(refused.value)


def test_a_number_without_a_point_is_a_number(file):
    text = "runs: [{notebook: quality, grid: {lr: [1e-3, 2E-3, .5, 1]}}]"
    assert [params["lr"] for _, params, _ in asked(text, file)] == [1e-3, 2e-3, 0.5, 1]


def test_what_an_anchor_has_is_taken_over(file):
    text = "runs:\n  - &a {notebook: kv-footprint, grid: {context: [1, 2]}}\n"
    text += "  - {<<: *a, grid: {context: [3]}}\n"
    assert [params["context"] for _, params, _ in asked(text, file)] == [1, 2, 3]


def test_devices_of_other_machines_are_theirs_to_check(file):
    text = "runs: [{notebook: quality, params: {device: 'cuda:7'}}]"
    with pytest.raises(ValueError, match="not available"):
        asked(text, file)
    assert asked(text, file, here=False)


def test_a_notebook_that_is_not_the_courses_is_named_by_its_path(tmp_path, monkeypatch):
    notebook = toy(tmp_path / "mine.ipynb")
    monkeypatch.chdir(tmp_path)
    sweep = as_sweep({"runs": [{"notebook": "./mine.ipynb"}]}, "this")
    (job,) = jobs_of(sweep)
    assert (job.name, job.notebook) == ("mine", notebook)
    (tmp_path / "other").mkdir()
    alike = str(toy(tmp_path / "other" / "mine.ipynb"))
    for second, said in ((str(notebook), "twice"), (alike, "is called mine, too")):
        both = as_sweep({"runs": [{"notebook": ["mine.ipynb", second]}]}, "this")
        with pytest.raises(ValueError, match=said):
            jobs_of(both)


# What a run is known by


def test_the_same_meaning_is_the_same_point(tmp_path):
    notebook = toy(tmp_path / "toy.ipynb")
    alike = [{}, {"size": 1}, {"share": 1}, {"kinds": "a"}, {"kinds": ["a"], "share": 1.0}]
    assert len({point(notebook, params) for params in alike}) == 1
    assert len({point(notebook, {"size": size}) for size in (1, 2, 3)}) == 3


def test_the_folder_is_anothers_if_anything_differs_that_matters(tmp_path, monkeypatch):
    one = Job(str(toy(tmp_path / "toy.ipynb")), {"size": 2})
    first = folder_name(one, "a CPU")
    assert first == folder_name(Job(one.benchmark, {"size": 2}, 0, 9.5, again=True), "a CPU")
    others = {
        folder_name(one, "another CPU"),
        folder_name(Job(one.benchmark, {"size": 2}, 1), "a CPU"),
        folder_name(Job(one.benchmark, {"size": 3}), "a CPU"),
    }
    monkeypatch.setattr(jobs, "library_digest", lambda: "other sources")
    others.add(folder_name(one, "a CPU"))
    monkeypatch.undo()
    toy(tmp_path / "toy.ipynb", "pass")
    others.add(folder_name(one, "a CPU"))
    assert len(others | {first}) == 6


@pytest.mark.parametrize(
    ("record", "job", "counts"),
    [
        ({"status": "ok"}, {}, True),
        ({"status": "error"}, {}, True),
        ({"status": "error"}, {"again": True}, False),
        ({"status": "killed"}, {}, False),
        ({"status": "interrupted"}, {}, False),
        ({"status": "timeout", "timeout_s": 60}, {"timeout_s": 60}, True),
        ({"status": "timeout", "timeout_s": 60}, {"timeout_s": 61}, False),
        ({"status": "timeout", "timeout_s": 60}, {}, False),
        ({"status": "timeout", "timeout_s": 60}, {"timeout_s": 60, "again": True}, False),
        ("half a reco", {}, False),
        (["a list"], {}, False),
        (None, {}, False),
    ],
)
def test_what_counts_as_a_result(record, job, counts, tmp_path):
    if record is not None:
        text = record if isinstance(record, str) else json.dumps(record)
        (tmp_path / "record.json").write_text(text)
    found = result_of(tmp_path, Job("toy", **job))
    assert found == (record if counts else None)


# On a command line


def listed(capsys, *arguments):
    assert main(["bench", "run", *arguments, "--dry-run"]) == 0
    return [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()]


def test_a_grid_on_a_command_line(capsys):
    found = listed(
        capsys, "decode-latency", "--grid", "num_kv_heads=1,8", "--grid", "context=[64]",
        "-p", "dtype=bfloat16", "--repeat", "2",
    )  # fmt: skip
    every = [f"decode-latency dtype=bfloat16 num_kv_heads={kv} context=64" for kv in (1, 8)]
    assert found == [*every, *(f"{one} (repeat 2)" for one in every)]
    names = listed(capsys, "kv-footprint", "--grid", "models=Llama-3-8B, Qwen3-0.6B")
    assert names == ["kv-footprint models=Llama-3-8B", "kv-footprint models=Qwen3-0.6B"]
    lists = listed(capsys, "decode-latency", "--grid", "num_kv_heads=[[32, 8], 1]")
    assert lists == [f"decode-latency num_kv_heads={kv}" for kv in ([32, 8], 1)]


def test_a_files_repeats_can_be_changed_and_its_runs_not(file, capsys):
    path = str(file(YAML))
    assert len(listed(capsys, path)) == 16
    assert len(listed(capsys, path, "--repeat", "1")) == 8
    for more, said in [
        (["--grid", "context=1"], "write --grid and -p into it"),
        (["roofline"], "is a whole sweep"),
    ]:
        assert main(["bench", "run", path, *more]) == 1
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grid", "context"], "--grid context: write it as name=value"),
        (["--grid", "context=1", "--grid", "context=2"], "--grid context is there twice"),
        (["--grid", "context=1,,2"], "does not fit"),
        (["-p", "context=1", "--grid", "context=2"], "in params and in grid"),
        (["--slots", "1000"], "slots=1000, but this machine has"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(arguments, said, capsys, tmp_path):
    out = tmp_path / "out"
    assert main(["bench", "run", "decode-latency", *arguments, "--out", str(out)]) == 1
    assert said in capsys.readouterr().err
    assert not out.exists()
