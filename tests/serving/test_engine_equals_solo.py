"""Whatever the schedule, every request gets what it would get alone, token for token."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_cases import VOCAB, Solo, Watched, tiny_model

MODEL = tiny_model()
SOLO = Solo(MODEL)
BASES = [torch.randint(VOCAB, (24,), generator=torch.Generator().manual_seed(n)) for n in range(2)]


def schedules(fewest, shared, max_new_tokens, steps, block_sizes, most_spare, max_num_seqs):
    """Schedules of requests that come between steps, as keyword arguments of `serve`."""
    arrival = st.fixed_dictionaries(
        {
            "base": st.sampled_from([0, 0, 0, 1]),
            "shared": st.sampled_from(shared),
            "own": st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=4),
            "max_new_tokens": st.sampled_from(max_new_tokens),
            "step": st.sampled_from(steps),
            "stop_after": st.sampled_from([None, None, None, 1, 5]),
            "cancel_after": st.sampled_from([None] * 7 + [2]),
        }
    )
    return st.fixed_dictionaries(
        {
            "arrivals": st.lists(arrival, min_size=fewest, max_size=7),
            "block_size": st.sampled_from(block_sizes),
            "spare": st.integers(0, most_spare),
            "max_num_seqs": st.sampled_from(max_num_seqs),
            "more_tokens": st.sampled_from([3, 0, 1, 10, 60]),
            "prefix_sharing": st.sampled_from([True, True, False]),
        }
    )


SCHEDULES = {
    "any": schedules(
        1,
        [5, 0, 2, 4, 7, 8, 12, 24],
        [10, 1, 3, 6, 14],
        [0, 1, 3, 8],
        [2, 1, 3, 4, 8, 40],
        6,
        [4, 1],
    ),
    "short prompts and long answers": schedules(
        3, [4, 0, 1, 8], [12, 9, 14], [0, 0, 1, 2, 4], [2, 1, 3, 4], 2, [4, 3, 6]
    ),
}
FEWEST = {  # schedules in which something happened
    "any": {"reused": 50, "more chunks than prompts": 50, "cancelled": 20, "stopped": 20},
    "short prompts and long answers": {
        "preempted": 100,
        "preempted twice": 20,
        "reused and preempted": 50,
        "decodes with a prompt": 50,
    },
}


def prompt_of(arrival):
    return BASES[arrival["base"]].tolist()[: arrival["shared"]] + arrival["own"]


def serve(model, solo, arrivals, block_size, spare, max_num_seqs, more_tokens, prefix_sharing):
    """Serve requests as they arrive; return the engine after all of them had what they get alone.

    The pool holds the largest request, and some blocks more.
    """
    most = max(len(prompt_of(one)) + one["max_new_tokens"] - 1 for one in arrivals)
    watched = Watched(
        model,
        -(-most // block_size) + spare,
        block_size=block_size,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_seqs + more_tokens,
        prefix_sharing=prefix_sharing,
    )
    arrivals = sorted(arrivals, key=lambda one: one["step"])
    added, number = [], 0
    while len(added) < len(arrivals) or watched.engine.running or watched.engine.waiting:
        while len(added) < len(arrivals) and arrivals[len(added)]["step"] <= number:
            one = arrivals[len(added)]
            alone = solo(prompt_of(one), one["max_new_tokens"])
            stop = () if one["stop_after"] is None else alone[one["stop_after"] :][:1]
            request = watched.add(prompt_of(one), one["max_new_tokens"], stop)
            added.append((request, one, solo(prompt_of(one), one["max_new_tokens"], stop)))
        if watched.engine.running or watched.engine.waiting:
            watched.step()
        for request, one, _ in added:
            if one["cancel_after"] is not None and len(request.output) == one["cancel_after"]:
                watched.engine.cancel(request)
                watched.check()
        number += 1
    watched.check_empty()
    for request, _, alone in added:
        if request.ending == "cancelled":
            assert request.output == alone[: len(request.output)]
        else:
            assert request.output == alone
            assert request.ending == ("stop" if alone[-1] in request.stop else "length")
    return watched


def kinds(watched):
    """Yield what happened in a run."""
    requests, steps = watched.requests, watched.steps
    if any(request.preemptions for request in requests):
        yield "preempted"
    if any(request.preemptions > 1 for request in requests):
        yield "preempted twice"
    if any(request.reused_tokens for request in requests):
        yield "reused"
    if any(request.reused_tokens and request.preemptions for request in requests):
        yield "reused and preempted"
    if sum(step.prefill_tokens > 0 for step in steps) > len(requests):
        yield "more chunks than prompts"
    if any(step.num_decodes and step.prefill_tokens for step in steps):
        yield "decodes with a prompt"
    if any(request.ending == "cancelled" for request in requests):
        yield "cancelled"
    if any(request.ending == "stop" for request in requests):
        yield "stopped"


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_request_gets_what_it_would_get_alone(kind):
    counts = Counter()

    @settings(max_examples=200)
    @given(SCHEDULES[kind])
    def check(schedule):
        counts.update(["all", *kinds(serve(MODEL, SOLO, **schedule))])

    check()
    print(dict(counts))
    assert counts["all"] >= 200
    assert {one for one, fewest in FEWEST[kind].items() if counts[one] < fewest} == set()
