"""`gqa bench report`: what the page says of runs that are made up, and that all of it is text."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from fabricated_runs import sweep, write_notebook, write_run

from gqa_lib.bench import benchmarks
from gqa_lib.bench.results.kept import read_runs
from gqa_lib.bench.results.points import blocks
from gqa_lib.bench.results.report import write_report
from gqa_lib.bench.results.series import all_series
from gqa_lib.cli import main

HOSTILE = "<script>alert(1)</script>\"'{{ 7*7 }} $x_$ $"


class Page(HTMLParser):
    """The text of a page, its links, what it embeds, and its ids."""

    def __init__(self, text):
        super().__init__()
        self.words, self.links, self.loads, self.tags, self.ids = [], [], [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" and "href" in found else []
        self.loads += [found[name] for name in ("src", "xlink:href") if name in found]
        self.loads += [found["href"]] if tag in ("link", "use") and "href" in found else []

    def handle_data(self, data):
        self.words.append(data)


def page_of(folder):
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_a_sweep_has_its_findings_points_and_verdicts_on_one_page(tmp_path, capsys):
    sweep(tmp_path)
    error = "Traceback\nValueError: 5 is too many"
    write_run(tmp_path, "bad", [], status="error", error=error, params={"num_heads": 5})
    (tmp_path / "going").mkdir()
    (tmp_path / "going" / "log.txt").touch()
    assert main(["bench", "report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 error, 6 ok, 1 never ended")
    report = tmp_path / "report"
    assert {path.name for path in report.iterdir()} == {
        *("index.html", "notebooks", "samples.csv", "samples.parquet")
    }
    page = page_of(report)
    assert "How long does a decoding step of an attention layer take" in page.text
    for number in range(3):
        assert f"run{number}-4096 found it." in page.text
    assert "differ in: torch" in page.text
    assert "ValueError: 5 is too many" in page.text
    assert "going" in page.text
    assert "1,024 1 1.03 1.02 – 1.03 3 runs, 27 samples 25% 8 (8 – 8) faster fold" in page.text
    assert "against num_kv_heads 8" in page.text
    assert "Other arms: 4 points" in page.text
    assert page.text.count("slower") >= 4, "the peer at each of the points"
    for link in page.links:
        assert link[1:] in page.ids if link.startswith("#") else (report / link).is_file(), link


def test_the_pages_load_nothing_and_run_nothing(tmp_path):
    sweep(tmp_path)
    write_report(tmp_path, tmp_path / "page")
    for path in [tmp_path / "page" / "index.html", *(tmp_path / "page").rglob("notebooks/*.html")]:
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert "script" not in page.tags
        assert all(one.startswith(("data:", "#")) for one in page.loads), path
        assert not re.findall(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", text), path
        assert "default-src 'none'" in text
        assert not any(link.startswith("http") for link in page.links)


def test_whatever_runs_say_is_text(tmp_path):
    odd = {"p_device_name": HOSTILE, "p_size": 1, "metric": HOSTILE, "unit": HOSTILE, "value": 1.0}
    folder = write_run(
        tmp_path,
        "one",
        [odd | {"arm": HOSTILE}, odd | {"arm": "b", "p_size": 2}],
        params={"dtype": HOSTILE},
        benchmark=HOSTILE,
        environment={"cpu_model": HOSTILE},
    )
    write_notebook(folder, HOSTILE, HOSTILE)
    record = json.loads((folder / "record.json").read_text())
    record["result"]["finding"] = HOSTILE
    (folder / "record.json").write_text(json.dumps(record))
    write_run(tmp_path, "two", [], status="error", error=HOSTILE, benchmark=HOSTILE)
    write_report(tmp_path, tmp_path / "report")
    pages = [*(tmp_path / "report").rglob("*.html")]
    assert len(pages) == 2
    for path in pages:
        page = Page(path.read_text(encoding="utf-8"))
        assert "script" not in page.tags
        assert "alert(1)" in page.text
        assert "49" not in page.text


def test_formulas_of_a_notebook_are_shown_without_scripts(tmp_path):
    write_notebook(write_run(tmp_path, "one", []), "print()", "")
    write_report(tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "notebooks" / "one.html").read_text()
    assert "<mo>&#x000D7;</mo>" in text or "<mo>×</mo>" in text
    assert "head_dim</mtext>" in text
    assert "<code>$HOME</code>" in text


def test_a_notebook_is_converted_once_and_again_when_it_is_newer(tmp_path, monkeypatch):
    sweep(tmp_path)
    (tmp_path / "run0-1024" / "executed.ipynb").write_text('{"cells": [')  # cut off
    write_report(tmp_path, tmp_path / "report")
    pages = tmp_path / "report" / "notebooks"
    assert not (pages / "run0-1024.html").exists()
    assert "True and &lt;b&gt;bold" in (pages / "run1-1024.html").read_text()
    assert (pages / "run1-1024.ipynb").is_file()
    before = {path: path.stat().st_mtime_ns for path in pages.glob("*.html")}
    write_notebook(tmp_path / "run2-4096", "print()", "newer")
    write_report(tmp_path, tmp_path / "report")
    changed = [path.stem for path, at in before.items() if path.stat().st_mtime_ns != at]
    assert changed == ["run2-4096"]


def test_links_lead_to_folders_of_any_name(tmp_path):
    name = "50 % #1?"
    write_run(tmp_path, name, [])
    write_notebook(tmp_path / name, "print()", "text")
    write_report(tmp_path, tmp_path / "report")
    links = [link for link in page_of(tmp_path / "report").links if link.startswith("notebooks/")]
    assert len(links) == 2
    assert all((tmp_path / "report" / unquote(urlsplit(one).path)).is_file() for one in links)


def test_a_report_without_a_run_that_ended_well_says_so(tmp_path):
    write_run(tmp_path, "bad", [], status="killed", error="ended by signal 9")
    write_report(tmp_path, tmp_path / "report")
    assert "No run of it ended well" in page_of(tmp_path / "report").text


def test_a_folder_without_runs_is_refused_and_nothing_is_written(tmp_path, capsys):
    assert main(["bench", "report", str(tmp_path / "empty")]) == 1
    assert "is not there" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_points_are_compared_with_the_first_that_differs_in_one_parameter_alone(tmp_path):
    sweep(tmp_path)
    [block] = blocks(all_series(read_runs(tmp_path)[0]), 0.05)
    assert (block.names, block.base) == (["context", "num_kv_heads"], "num_kv_heads")
    assert [row["verdict"] for row in block.rows] == ["first", "faster"] * 2
    assert block.counts == {"faster": 2}
    assert [len(points) for points in block.groups.values()] == [2, 2]
    [block] = blocks(all_series(read_runs(tmp_path)[0]), 9)
    assert [row["verdict"] for row in block.rows] == ["first", "same"] * 2


@pytest.mark.parametrize("name", benchmarks())
def test_samples_of_a_notebook_say_which_point_they_are_of(name):
    """Each list among its parameters is told by its samples: else two points would be one."""
    source = benchmarks()[name].read_text(encoding="utf-8")
    by_arm = {"roofline": {"num_kv_heads", "linear_tokens"}, "decode-latency": {"backends"}}
    called = {"models": "model", "methods": "method", "request_rate": "load"}
    from_points = {  # `time_points` and `time_steps` put them there
        *("context", "batch_size", "num_kv_heads", "head_dim"),
        "prompt_length",  # the context of a prefill
    }
    for one in re.findall(r'"(\w+): list = ', source):
        told = f"p_{called.get(one, one)}" in source or one in by_arm.get(name, set())
        timed = re.search("time_points|time_steps", source) and one in from_points
        assert told or timed, f"{name}: no sample says which {one} it is of"
