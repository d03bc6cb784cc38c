"""What benchmarks train on, and whether anything was learnt of it."""

import math

import pytest

from gqa_lib.bench import benchmarks, check_params, parameters, small_task


def of(**changed):
    return small_task(parameters(benchmarks()["quality"]) | changed)


def test_of_recall_chance_is_nothing():
    small = of(num_values=5)
    assert small.nothing == small.known["chance"] == 0.2
    assert small.text is None
    assert not small.learnt([0.2, 0.24], margin=0.02)
    assert small.learnt([0.22, 0.26], margin=0.02)
    assert not small.learnt([0.1, 0.1], margin=0.02)


def test_of_a_text_how_often_each_byte_comes_is_nothing(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"ab" * 3000)
    small = of(task="text", text=str(path), context=16)
    assert small.nothing == pytest.approx(math.log(2), rel=1e-2)
    assert not small.learnt([math.log(256), math.log(256)], margin=0.02)
    assert not small.learnt([small.nothing - 0.01], margin=0.02)
    assert small.learnt([0.5, 0.6], margin=0.02)
    assert small.text == {"origin": small.task.corpus.origin, "digest": small.task.corpus.digest}


def test_an_uptraining_of_nothing_is_refused():
    with pytest.raises(ValueError, match="num_kv_heads=8 is num_heads: nothing would be conv"):
        check_params(benchmarks()["uptraining"], {"num_kv_heads": 8})
