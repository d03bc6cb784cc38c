"""The requests that come with the library are those that its README names."""

from itertools import pairwise

import pytest

from gqa_lib.serving import azure_lengths


@pytest.mark.parametrize(
    ("kind", "first", "prompt", "output"),
    [
        ("conv", (0.0, 374, 44), 1104.8, 264.9),
        ("code", (0.0, 4808, 10), 1986.6, 29.5),
    ],
)
def test_requests_come_in_order_with_the_tokens_of_the_trace(kind, first, prompt, output):
    requests = azure_lengths(kind)
    assert len(requests) == 2000
    assert requests[0] == first
    arrivals = [one.arrival_s for one in requests]
    assert arrivals == sorted(arrivals)
    assert sum(one.prompt_tokens for one in requests) / 2000 == pytest.approx(prompt, abs=0.05)
    assert sum(one.output_tokens for one in requests) / 2000 == pytest.approx(output, abs=0.05)
    assert all(one.prompt_tokens >= 1 <= one.output_tokens for one in requests)


def test_of_bursts_the_coding_assistant_has_more():
    spread = {}
    for kind in ("conv", "code"):
        times = [one.arrival_s for one in azure_lengths(kind)]
        gaps = [after - before for before, after in pairwise(times)]
        mean = sum(gaps) / len(gaps)
        spread[kind] = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5 / mean
    assert spread["code"] > 10 > 1.2 > spread["conv"] > 0.9


def test_an_unknown_service_is_refused():
    with pytest.raises(ValueError, match=r"kind='chat'.*conv, code"):
        azure_lengths("chat")
