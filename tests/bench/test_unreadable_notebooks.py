"""Notebooks of one's own that are odd: refused before they run, or a result with its error."""

import json

import pytest
from toys import PARAMETERS, Scripted, toy

from gqa_lib.bench.notebooks import check_params, find_benchmark

EMPTY = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("size: int = 1", "mine.ipynb has no parameter out_dir"),
        ('out_dir = "runs"', "no parameter out_dir"),
        ("size: int = = 1", "`parameters` that cannot be read: invalid syntax"),
        ("size: int = (1", "`parameters` that cannot be read"),
        ("size: int = 2**10", "`parameters` that cannot be read"),
    ],
)
def test_a_notebook_whose_parameters_cannot_be_known_is_refused(parameters, said, tmp_path):
    notebook = toy(tmp_path / "mine.ipynb", parameters=parameters)
    with pytest.raises(ValueError, match=said):
        find_benchmark(str(notebook))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        json.dumps(EMPTY),
        json.dumps(EMPTY | {"cells": []}),
        json.dumps(EMPTY | {"cells": 5}),
        json.dumps(EMPTY | {"cells": [5]}),
        json.dumps(EMPTY | {"cells": [{"cell_type": "code", "source": "", "metadata": None}]}),
        json.dumps(EMPTY | {"cells": [{"cell_type": "code", "source": ""}]}),
    ],
)
def test_what_is_no_notebook_is_refused_in_words(text, tmp_path):
    notebook = tmp_path / "mine.ipynb"
    notebook.write_text(text)
    with pytest.raises(ValueError, match=r"mine.ipynb (is not a notebook|has no cell tagged)"):
        find_benchmark(str(notebook))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_number_that_no_float_can_hold_is_refused(value, tmp_path):
    with pytest.raises(ValueError, match=r"share=.* not a number that a float can hold"):
        check_params(toy(tmp_path / "mine.ipynb"), {"share": value})


@pytest.mark.parametrize("kind", ["int | None", "None | int", "Optional[int]"])
@pytest.mark.parametrize("default", [None, 3])
def test_a_parameter_that_may_be_nothing_takes_both(kind, default, tmp_path):
    maybe = f"maybe: {kind} = {default}\n"
    notebook = toy(tmp_path / "mine.ipynb", parameters=PARAMETERS + maybe)
    check_params(notebook, {"maybe": None})
    check_params(notebook, {"maybe": 1})
    for value in ("1", 1.5, True, [1]):
        with pytest.raises(ValueError, match=r"maybe=.* does not fit"):
            check_params(notebook, {"maybe": value})


BEFORE = "import os, pathlib, shutil, sys; out = pathlib.Path(sys.argv[1])\n"
WRITE = "out.joinpath('result.json').write_bytes({!r})"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("shutil.rmtree(out)", "ended without writing its result"),
        ("shutil.rmtree(out); sys.exit(1)", None),
        ("out.joinpath('result.json').mkdir()", "ended without writing its result"),
        (WRITE.format(b'{"finding": tru'), "result.json cannot be read as JSON"),
        (WRITE.format(b"\xff\xfe{"), "result.json cannot be read as JSON"),
        (WRITE.format(b"[" * 100_000), "result.json cannot be read as JSON"),
        (WRITE.format(b"[1]"), "result.json is not like"),
    ],
)
def test_whatever_a_notebook_does_to_its_folder_is_a_record(code, said, tmp_path):
    folder = tmp_path / "run"
    run = Scripted(tmp_path / "toy.ipynb", {"code": BEFORE + code}, folder)
    record = run.poll(60)
    assert (record["status"], record["result"]) == ("error", None)
    assert record["error"] is None if said is None else said in record["error"]
    assert json.loads((folder / "record.json").read_text()) == record


def test_odd_files_next_to_a_result_do_not_matter(tmp_path):
    code = (
        "out.joinpath('models.json').mkdir(); out.joinpath('gone.txt').symlink_to('/nowhere')\n"
        "out.joinpath('a.ipynb').write_text('{}'); out.joinpath('b.ipynb').write_text('[1]')\n"
        "out.joinpath('c.ipynb').write_text('{\"metadata\": 1, \"cells\": 1}')\n"
        "out.joinpath('d.jsonl').write_text('[' * 100000)\n"
        + WRITE.format(b'{"finding": "as ever", "rows": []}')
    )
    run = Scripted(tmp_path / "toy.ipynb", {"code": BEFORE + code}, tmp_path / "run")
    record = run.poll(60)
    assert (record["status"], record["result"]["finding"]) == ("ok", "as ever")
