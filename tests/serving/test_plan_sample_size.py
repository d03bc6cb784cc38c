"""How many requests a benchmark needs: known numbers, and what they do with the variance."""

import math

import numpy as np
import pytest

from gqa_lib.serving.plan import (
    prefix_sharing,
    quotable_percentiles,
    requests_for_percentile,
    required_requests,
    sample_size,
)
from gqa_lib.serving.traffic import Trace, sample

# CV of token-steps of all requests of the Azure 2023 traces, and n of performance notes (z = 1.96).
AZURE_CONV, AZURE_CODE = 0.95153, 2.97862


@pytest.mark.parametrize(("cv", "known"), [(AZURE_CONV, 1392), (AZURE_CODE, 13634)])
def test_the_azure_traces_need_what_was_computed_for_them(cv, known):
    assert required_requests(cv) == pytest.approx(known, abs=1)


def test_half_the_error_takes_four_times_the_requests():
    assert required_requests(1.0, 0.1) == math.ceil(1.959964**2 / 0.01)
    assert required_requests(1.0, 0.05) == pytest.approx(4 * required_requests(1.0, 0.1), abs=3)
    assert required_requests(2.0, 0.1) == pytest.approx(4 * required_requests(1.0, 0.1), abs=3)
    assert required_requests(0.0) == 1


def test_that_many_requests_do_bring_the_mean_within_the_error():
    rng = np.random.default_rng(0)
    n = required_requests(0.7, 0.05)
    means = rng.gamma(1 / 0.49, 0.49, (2000, n)).mean(1)  # of mean 1 and CV 0.7
    assert 0.93 < (np.abs(means - 1) < 0.05).mean() < 0.97


@pytest.mark.parametrize(
    ("percentile", "needed"), [(50, 200), (90, 1000), (95, 2000), (99, 10_000), (99.9, 100_000)]
)
def test_a_percentile_needs_100_requests_above_it(percentile, needed):
    assert requests_for_percentile(percentile) == needed
    assert percentile in quotable_percentiles(needed)
    assert percentile not in quotable_percentiles(needed - 1)


def test_the_samples_have_their_own_numbers():
    conv, code = (sample_size(sample(f"azure-{name}-2023")) for name in ("conv", "code"))
    assert (conv.pilot, conv.for_mean, conv.requests) == (2000, 1369, 2000)  # p95 takes more
    assert (code.for_mean, code.requests, max(code.quotable)) == (12_725, 12_725, 99.0)
    assert code.for_mean_low < code.for_mean < code.for_mean_high
    assert conv.cv_low < conv.cv < conv.cv_high


def test_requests_of_one_size_have_no_variance():
    one = sample_size(Trace(None, [100] * 50, [10] * 50), percentile=90)
    assert (one.cv, one.for_mean, one.requests, one.quotable) == (0, 1, 1000, (50.0, 90.0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: required_requests(-1.0), "cv=-1"),
        (lambda: required_requests(1.0, 0.0), "relative_error=0"),
        (lambda: required_requests(1.0, 0.1, 1.0), "no interval is certain"),
        (lambda: requests_for_percentile(100), "percentile=100: no request is above"),
        (lambda: requests_for_percentile(float("nan")), "percentile=nan"),
        (lambda: quotable_percentiles(-1), "num_requests=-1"),
    ],
)
def test_what_cannot_be_planned_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_shared_prompts_are_counted_in_full_blocks_from_the_beginning():
    blocks = [[1, 2, 3], [1, 2, 9], [7, 2, 3], [1, 2]]
    trace = Trace(
        None, [24, 24, 24, 17], [5] * 4, hash_ids=np.array(blocks, object), hash_block_tokens=8
    )
    found = prefix_sharing(trace)
    # The second shares two blocks, the third none from its beginning, the fourth both full ones.
    assert (found.requests, found.tokens) == (0.5, (16 + 16) / 89)
    assert prefix_sharing(sample("azure-code-2023")) is None
