"""A trace's own rules, and the traces that come with the course."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refusing import assert_refused

from gqa_lib.serving import traffic
from gqa_lib.serving.traffic import SAMPLES, Trace, sample


def small():
    blocks = np.empty(4, object)
    blocks[:] = [np.array([i]) for i in range(4)]
    times = {"ttft_s": np.array([0.1, np.nan, 0.3, 0.4])}
    return Trace([0, 1, 1, 5], [10, 20, 30, 40], [1, 2, 3, 4], blocks, 512, times)


def test_select_takes_all_columns():
    trace = small().select([0, 2])
    assert len(trace) == 2
    assert trace.arrival_s.tolist() == [0, 1]
    assert (trace.prompt_tokens.tolist(), trace.output_tokens.tolist()) == ([10, 30], [1, 3])
    assert [one.tolist() for one in trace.hash_ids] == [[0], [2]]
    assert trace.measured["ttft_s"].tolist() == [0.1, 0.3]
    assert small().select(slice(2, None)).prompt_tokens.tolist() == [30, 40]
    assert small().select(np.array([1, 0, 0, 1], bool)).arrival_s.tolist() == [0, 5]


@pytest.mark.parametrize("which", [slice(0, 0), 2, np.zeros(4, bool)])
def test_nothing_is_no_trace(which):
    assert_refused(lambda: small().select(which), "leaves no list of requests of these 4")


def test_a_sample_keeps_pairs_and_order():
    trace = sample("azure-conv-2023")
    one, again, other = trace.sample(500, 3), trace.sample(500, 3), trace.sample(500, 4)
    assert one.prompt_tokens.tolist() == again.prompt_tokens.tolist()
    assert one.prompt_tokens.tolist() != other.prompt_tokens.tolist()
    assert (np.diff(one.arrival_s) >= 0).all()
    rows = set(zip(trace.arrival_s, trace.prompt_tokens, trace.output_tokens, strict=True))
    drawn = set(zip(one.arrival_s, one.prompt_tokens, one.output_tokens, strict=True))
    assert len(drawn) == 500
    assert drawn <= rows
    assert_refused(lambda: trace.sample(2001), "n=2001 requests of 2000")
    assert_refused(lambda: trace.sample(0), "n=0")


def test_a_trace_is_not_changed():
    given = np.array([10, 20])
    trace = Trace(None, given, given)
    given[0] = 7
    assert trace.prompt_tokens.tolist() == [10, 20]
    with pytest.raises(ValueError, match="read-only"):
        trace.prompt_tokens[0] = 1


@pytest.mark.parametrize(
    ("columns", "phrase"),
    [
        ((None, [], []), "prompt_tokens=[]"),
        ((None, [1, 0], [1, 1]), "prompt_tokens[1]=0"),
        ((None, [1, 2], [1.5, 1]), "output_tokens[0]=1.5"),
        ((None, [1, np.nan], [1, 1]), "prompt_tokens has numbers that are not finite"),
        ((None, [1, 2], [1]), "output_tokens has the shape (1,) and prompt_tokens (2,)"),
        (([0], [1, 2], [1, 1]), "arrival_s has the shape (1,)"),
        (([0, -1], [1, 2], [1, 1]), "arrival_s has numbers below 0"),
        (([3, 1], [1, 2], [1, 1]), "arrival_s[1]=1.0"),
        ((None, ["a"], [1]), "prompt_tokens=['a']"),
    ],
)
def test_columns_that_are_no_trace(columns, phrase):
    assert_refused(lambda: Trace(*columns), phrase)


def test_kv_token_steps_are_the_sum_over_decode_steps():
    assert small().kv_token_steps.tolist() == [11, 21 + 22, 31 + 32 + 33, 41 + 42 + 43 + 44]


def test_the_samples_are_what_their_readme_says():
    sizes = {name: len(sample(name)) for name in SAMPLES}
    assert sizes == {"azure-conv-2023": 2000, "azure-code-2023": 2000, "vllm-rtx4090": 300}
    folder = Path(traffic.__file__).parent / "data"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for file in SAMPLES.values():
        assert f"`{file}`" in readme
    assert "CC-BY 4.0" in readme
    assert "CASYS Lab at KAIST" in (folder / "LICENSE-LLMServingSim").read_text(encoding="utf-8")
    assert sum(
        (folder / SAMPLES[f"azure-{one}-2023"]).stat().st_size for one in ("conv", "code")
    ) < (60_000)
    assert_refused(lambda: sample("azure"), "name='azure'")


def test_the_log_is_of_an_engine_under_pressure():
    """Its means are those that LLMServingSim prints for it."""
    log = sample("vllm-rtx4090")
    assert log.format == "vllm-log"
    assert log.measured["ttft_s"].mean() == pytest.approx(65.4566, abs=1e-4)
    assert log.measured["e2e_s"].mean() == pytest.approx(86.5783, abs=1e-4)


def test_traffic_needs_no_torch():
    code = (
        "import sys; from gqa_lib.serving import traffic; traffic.sample('vllm-rtx4090').summary()"
    )
    code += "; print({'torch', 'scipy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_names_of_blocks_may_be_equally_many_for_all():
    trace = Trace(None, [5, 5], [1, 1], hash_ids=[[1], [2]])
    assert [list(one) for one in trace.hash_ids] == [[1], [2]]


def test_rows_that_are_not_there_cannot_be_selected():
    with pytest.raises(ValueError, match="leaves no list of requests"):
        Trace(None, [5, 5], [1, 1]).select([7])
