"""Requests served from one memory, contiguous and paged: by hand, and what holds for any."""

import re
from random import Random

import pytest

from gqa_lib.cache.paging import Fragmentation, serve_contiguous, serve_paged


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def some_requests(seed=0, number=300):
    """Prompts and outputs of which a few are long, as in real traffic."""
    rng = Random(seed)
    return [
        (int(rng.lognormvariate(3.2, 0.8)), 1 + int(rng.expovariate(0.1))) for _ in range(number)
    ]


def test_a_run_by_hand_with_exact_ranges():
    served = serve_contiguous([(2, 2), (1, 1), (3, 1)], 7, "exact")
    assert served.steps == [  # 4 and 2 places; the third waits for 4 and finds 1, then 3 and 2
        Fragmentation(7, 6, 3 + 2, later=1),
        Fragmentation(7, 4, 4),
        Fragmentation(7, 4, 4),
    ]
    assert (served.running, served.waiting) == ([2, 1, 1], [1, 1, 0])
    assert served.total == Fragmentation(21, 14, 13, later=1)
    assert served.while_waiting == Fragmentation(14, 10, 9, later=1)
    assert (served.preemptions, served.recomputed_tokens) == (0, 0)


def test_free_places_in_ranges_that_are_too_short_are_external():
    requests = [(1, 1), (1, 3), (1, 1), (1, 3)]  # 2, 4, 2 of 9 places; the last needs 4
    served = serve_contiguous(requests, 9, "exact")
    assert [step.external for step in served.steps] == [0, 5, 5, 0, 0, 0]
    assert [step.free for step in served.steps[:3]] == [1, 5, 5]
    assert [step.external for step in serve_paged(requests, 9, 1).steps] == [0] * 3


def test_a_run_by_hand_in_blocks_with_a_preemption():
    served = serve_paged([(3, 3), (3, 2)], 3, block_size=2)
    # Two blocks for the first; then one is free and the second waits until the first has ended.
    assert (served.running, served.waiting) == ([1, 1, 1, 1, 1], [1, 1, 1, 0, 0])
    assert [step.used for step in served.steps] == [4, 5, 6, 4, 5]
    assert [step.reserved for step in served.steps] == [4, 6, 6, 4, 6]
    assert [step.later for step in served.steps] == [0, 1, 0, 0, 0]
    assert [step.internal for step in served.steps] == [0, 0, 0, 0, 1]
    served = serve_paged([(1, 4), (1, 4)], 3, block_size=2)
    # Both run until each needs a second block: the first takes the last one.
    assert served.running == [2, 1, 1, 1, 1, 1, 1]
    assert [step.used for step in served.steps] == [4, 3, 4, 5, 3, 4, 5]
    assert (served.preemptions, served.recomputed_tokens) == (1, 2)


@pytest.mark.parametrize(("block_size", "least"), [(1, 0.95), (4, 0.93), (16, 0.82)])
def test_blocks_hold_more_tokens_than_any_way_to_reserve_ranges(block_size, least):
    requests, slots = some_requests(), 2048
    shares = [
        serve_contiguous(requests, slots, rule).while_waiting.used_share
        for rule in ("longest", "power_of_two", "exact")
    ]
    paged = serve_paged(requests, slots // block_size, block_size)
    shares.append(paged.while_waiting.used_share)
    assert shares == sorted(shares)
    assert shares[0] < 0.5 < shares[2] < 0.82
    assert shares[3] > least


@pytest.mark.parametrize("kind", ["longest", "power_of_two", "exact", 1, 4, 16])
def test_every_request_gets_its_tokens_and_no_place_is_counted_twice(kind):
    requests, slots = some_requests(1, 120), 1024
    if isinstance(kind, str):
        served = serve_contiguous(requests, slots, kind)
    else:
        served = serve_paged(requests, slots // kind, kind)
    for step, running in zip(served.steps, served.running, strict=True):
        assert step.total == slots
        assert running <= step.used <= step.used + step.later <= step.reserved <= slots
        assert 0 <= step.external <= step.free
        assert isinstance(kind, str) or step.internal <= running * (kind - 1)
    # Each step gives each request that runs one token of its output.
    assert sum(served.running) == sum(output for _, output in requests)
    assert served.running[-1] > 0
    assert served.waiting == sorted(served.waiting, reverse=True) or served.preemptions


def test_a_memory_for_one_request_at_a_time_serves_them_one_after_the_other():
    served = serve_contiguous([(3, 2), (1, 3)], 5, "longest")
    assert served.running == [1] * 5
    assert [step.used for step in served.steps] == [4, 5, 2, 3, 4]
    assert served.total.internal == 0 + 3 * 1


def test_nothing_to_serve():
    for served in (serve_contiguous([], 5, "exact"), serve_paged([], 5)):
        assert served.steps == []
        assert served.total.used_share == 0.0


def test_requests_that_never_fit_and_wrong_numbers_are_errors():
    refused("a request needs 9 places and the memory has 8", lambda: serve_paged([(8, 1)], 2, 4))
    refused("needs 16 places", lambda: serve_contiguous([(8, 1)], 9, "power_of_two"))
    refused("needs 64 places", lambda: serve_contiguous([(8, 1)], 9, "longest", 64))
    refused("over max_length=8", lambda: serve_contiguous([(8, 1)], 9, "longest", 8))
    refused("rule='paged' is not known here", lambda: serve_contiguous([], 9, "paged"))
    refused("requests[1]=[3, 0]", lambda: serve_paged([(3, 1), (3, 0)], 9))
    refused("requests[0]=[3]", lambda: serve_paged([(3,)], 9))
    refused("requests[0][1]=1.5", lambda: serve_paged([(3, 1.5)], 9))
    refused("requests[0]=3 is one value", lambda: serve_paged([3], 9))
    refused("num_slots=0", lambda: serve_contiguous([], 0, "exact"))
    refused("num_blocks=0", lambda: serve_paged([], 0))
    refused("block_size=0", lambda: serve_paged([], 3, 0))
