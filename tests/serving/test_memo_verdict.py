"""The answer of a memo: measurements decide, the simulation only says what to measure."""

from dataclasses import replace

import pytest
from memo_cases import TRACE, lm_eval, question, runs, vllm_result

from gqa_lib.serving.memo import judge, read_evidence, study
from gqa_lib.serving.memo.loads import pace


@pytest.fixture(scope="module")
def found():
    return study(question())


def verdict(found, *, results=(), scores=()):
    return judge(found, read_evidence(found.question, [], results, scores))


def scores(folder, **by_heads):
    return [f"{n[1:]}={lm_eval(folder / f'{n}.json', score)}" for n, score in by_heads.items()]


def test_without_measurements_it_cannot_be_said_and_the_runs_are_named(found):
    said = verdict(found)
    assert said.answer == "cannot be said yet"
    assert said.num_kv_heads == 8  # the model as it is
    assert list(said.missing_runs) == [32, 8]
    assert not said.missing_quality  # its quality is known: it is the model as it is


def test_the_model_as_it_is_is_adopted_on_measured_speed_alone(found, tmp_path):
    results = [*runs(tmp_path, 32, 50, 51), *runs(tmp_path, 8, 100, 104)]
    said = verdict(found, results=results)
    assert (said.answer, said.num_kv_heads) == ("adopt", 8)
    speed = said.judged[0].speed
    assert speed.ratio == pytest.approx(204 / 101)
    assert (speed.low, speed.high) == (pytest.approx(100 / 51), pytest.approx(104 / 50))


def test_fewer_heads_need_scores_too(found, tmp_path):
    results = [*runs(tmp_path, 32, 50, 51), *runs(tmp_path, 8, 52, 50), *runs(tmp_path, 4, 99, 98)]
    said = verdict(found, results=results)
    assert (said.answer, said.num_kv_heads) == ("cannot be said yet", 4)
    assert said.missing_quality
    assert not said.missing_runs
    good = verdict(found, results=results, scores=scores(tmp_path, n8=0.800, n4=0.801))
    assert (good.answer, good.num_kv_heads) == ("adopt", 4)
    bad = verdict(found, results=results, scores=scores(tmp_path, n8=0.80, n4=0.70))
    assert [one.answer for one in bad.judged] == ["do not adopt", "do not adopt"]
    assert bad.answer == "do not adopt"


def test_heads_are_given_up_only_for_more_than_the_margin(found, tmp_path):
    results = [*runs(tmp_path, 32, 50, 51), *runs(tmp_path, 8, 100, 101)]
    results += runs(tmp_path, 4, 102, 103)
    said = verdict(found, results=results, scores=scores(tmp_path, n8=0.8, n4=0.8))
    assert [one.answer for one in said.judged] == ["adopt", "adopt"]
    assert said.num_kv_heads == 8


def test_one_run_says_nothing_of_the_spread(found, tmp_path):
    said = verdict(found, results=[*runs(tmp_path, 32, 50), *runs(tmp_path, 8, 100)])
    assert said.answer == "cannot be said yet"
    assert list(said.missing_runs) == [32, 8]


@pytest.mark.parametrize(
    ("rates", "answer"),
    [((50.5, 50.6), "do not adopt"), ((40, 41), "do not adopt"), ((50, 60), "cannot be said yet")],
)
def test_no_gain_is_a_reason_and_an_open_one_is_none(found, tmp_path, rates, answer):
    said = verdict(found, results=[*runs(tmp_path, 32, 50, 51), *runs(tmp_path, 8, *rates)])
    assert said.judged[0].answer == answer
    assert said.answer == "cannot be said yet"  # of 4 heads nothing is known


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware": "H100 SXM"},
        {"total_input_tokens": 40 * 200.0},
        {"request_rate": 0.5},
        {"request_rate": None},
        {"max_concurrency": 1},
        {"failed": 20},
    ],
    ids=[
        *("another machine", "other traffic", "not at capacity", "a load not told"),
        *("one at a time", "failed requests"),
    ],
)
def test_runs_of_something_else_do_not_count(found, tmp_path, changes):
    results = [*runs(tmp_path, 32, 50, 51), *runs(tmp_path, 8, 100, 104, **changes)]
    said = verdict(found, results=results)
    assert said.answer == "cannot be said yet"
    assert said.judged[0].speed.runs == (0, 2)


def test_a_latency_measured_to_be_exceeded_is_a_reason(tmp_path):
    found = study(question(goodput="tpot:50"))
    results = [*runs(tmp_path, 32, 50, 51), *runs(tmp_path, 8, 100, 104)]
    rate = 0.9 * pace(TRACE)

    def at(name, tpot, factor=1.0):
        asked = {"request_rate": factor * rate, "p99_tpot_ms": tpot}
        return str(vllm_result(tmp_path / f"{name}.json", 20.0, **asked))

    slow, keeps, slower = f"8={at('a', 51.0)}", f"32={at('b', 49.0)}", f"32={at('c', 120.0)}"
    assert verdict(found, results=results).answer == "adopt"
    said = verdict(found, results=[*results, slow, keeps])
    assert said.judged[0].too_slow == ["tpot"]
    assert said.judged[0].answer == "do not adopt"
    for others in ([slow], [slow, slower], [slow, f"32={at('d', 49.0, 0.5)}"]):
        assert verdict(found, results=[*results, *others]).answer == "adopt"
    hurried = [f"8={at('e', 51.0, 3)}", f"32={at('f', 49.0, 3)}"]  # nobody asked for that pace
    assert verdict(found, results=[*results, *hurried]).answer == "adopt"


def test_runs_are_held_against_the_requests_that_every_variant_can_serve(tmp_path):
    """A plan leaves out what one variant cannot serve, and its runs have other means for that."""
    long = TRACE.prompt_tokens.copy()
    long[:15] = 60_000  # more than 32 KV heads can cache
    found = study(question(trace=replace(TRACE, prompt_tokens=long)))
    sent = found.question.fits
    assert len(sent) < len(TRACE) - 14
    lengths = {
        "total_input_tokens": 40 * float(sent.prompt_tokens.mean()),
        "total_output_tokens": 40 * float(sent.output_tokens.mean()),
    }
    results = []
    for heads, rates in ((32, (50.0, 51.0)), (8, (100.0, 104.0))):
        for rate in rates:
            path = tmp_path / f"{heads}-{rate:g}.json"
            more = lengths | {"duration": lengths["total_output_tokens"] / rate}
            results.append(f"{heads}={vllm_result(path, rate, **more)}")
    assert verdict(found, results=results).judged[0].speed.runs == (2, 2)
