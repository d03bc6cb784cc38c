"""What an engine draws for a request is what `generate` draws for it alone, whatever else runs."""

import re

import numpy as np
import pytest
import torch
from serving_cases import VOCAB, Watched, tiny_model

from gqa_lib.model import generate
from gqa_lib.serving import Engine

MODEL = tiny_model()
KINDS = (
    {"temperature": 0.8},
    {},
    {"temperature": 1.5, "top_k": 7},
    {"temperature": 1.0, "top_p": 0.7},
    {"temperature": 0.9, "top_k": 20, "top_p": 0.95},
)


def prompt(length, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB, (length,), generator=rng).tolist()


def alone(request, options, stop=()):
    return generate(MODEL, [request.prompt], request.max_new_tokens, stop=stop, **options)[0]


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("num_blocks", [6, 8, 40])
@pytest.mark.parametrize("prefix_sharing", [True, False])
def test_a_request_draws_what_it_draws_alone(num_blocks, prefix_sharing):
    """With few blocks requests are preempted: tokens that are there are computed, not drawn."""
    watched = Watched(
        *(MODEL, num_blocks),
        block_size=4,
        max_num_seqs=4,
        max_num_batched_tokens=9,
        prefix_sharing=prefix_sharing,
    )
    expected = []
    for number in range(10):
        options = {**KINDS[number % 5], "seed": number // 2}
        begin = prompt(5, number % 2) + prompt(number % 4, number)
        request = watched.add(begin, 4 + number, **options)
        expected.append(alone(request, options))
        if number > 4:
            watched.step()
    watched.run()
    assert [request.output for request in watched.requests] == expected
    again = sum(request.preemptions for request in watched.requests)
    assert again > 4 if num_blocks < 8 else num_blocks == 8 or again == 0


def test_equal_requests_of_one_seed_say_the_same_and_of_others_do_not():
    watched = Watched(MODEL, 40, block_size=4, max_num_seqs=6)
    requests = [watched.add(prompt(6), 12, temperature=1.0, seed=s) for s in (0, 1, 0, 1, 2)]
    watched.run()
    first, second, third, fourth, fifth = (request.output for request in requests)
    assert first == third
    assert second == fourth
    assert len({tuple(first), tuple(second), tuple(fifth)}) == 3


def test_what_ends_or_is_cancelled_changes_no_other():
    options = {"temperature": 0.8, "seed": 4}
    watched = Watched(MODEL, 40, block_size=4, max_num_seqs=6)
    going, gone = (watched.add(prompt(6), 12, temperature=0.8, seed=s) for s in (4, 5))
    whole = alone(going, options)
    end = next(i for i, token in enumerate(whole) if i > 3 and token not in whole[:i])
    ends = watched.add(prompt(6), 12, [whole[end]], **options)
    for _ in range(3):
        watched.step()
    watched.engine.cancel(gone)
    watched.run()
    assert going.output == whole
    assert (ends.output, ends.ending) == (whole[: end + 1], "stop")
    assert gone.output == alone(gone, options | {"seed": 5})[:3]


def test_a_request_whose_logits_are_not_numbers_is_named_and_once_cancelled_stops_no_other():
    model = tiny_model()
    with torch.no_grad():
        model.embedding.weight[5] = torch.nan
    watched = Watched(model, 40, block_size=4, max_num_seqs=4, prefix_sharing=False)
    options = {"temperature": 1.0, "seed": 3}
    fine = watched.add([1, 2, 3], 6, **options)
    watched.engine.step()
    broken = watched.engine.add([4, 5], 6)
    for _ in range(2):
        refused("request 1: the model's logits are not finite", watched.engine.step)
    watched.engine.cancel(broken)
    while not fine.finished:
        watched.engine.step()
    assert fine.output == generate(model, [[1, 2, 3]], 6, **options)[0]
    assert broken.output == []
    assert watched.engine.pool.num_used == 0


def test_numbers_out_of_range_are_refused_and_change_nothing():
    watched = Watched(MODEL, 8, block_size=4, max_num_seqs=np.int64(2))
    for message, options in {
        "temperature=-1": {"temperature": -1},
        "top_k=0": {"top_k": 0},
        "top_p=2": {"top_p": 2},
        "seed=0.5": {"seed": 0.5},
        "seed=-1": {"seed": -1},
    }.items():
        refused(message, lambda one=options: watched.engine.add([1], 3, **one))
    refused("memory_bytes=nan", lambda: Engine(MODEL, memory_bytes=float("nan")))
    refused("memory_bytes=inf", lambda: Engine(MODEL, memory_bytes=float("inf")))
    refused("max_num_seqs=2.0", lambda: Engine(MODEL, 4, max_num_seqs=2.0))
    refused("max_new_tokens=True", lambda: watched.engine.add([1], True))
    assert watched.engine.waiting == []
    request = watched.add(
        np.array([1, 2]), np.int64(3), temperature=np.float32(0.5), seed=np.uint8(7)
    )
    assert request.number == 0
    watched.run()
    assert request.output == generate(MODEL, [[1, 2]], 3, temperature=0.5, seed=7)[0]
