"""What a step's record says, against an example worked out by hand."""

import json

import pytest
import torch
from clocks import Clock
from serving_cases import tiny_model

from gqa_lib.cache.paging import Pages
from gqa_lib.serving import Engine, Step
from gqa_lib.serving.packed import Packed, StepCache
from gqa_lib.serving.record import totals
from gqa_lib.serving.request import Request
from gqa_lib.serving.scheduler import Chunk

# tiny_model: 2 layers, one with a window of 5; Hkv 2, D 4, float64.
TOKEN = 2 * 2 * 4 * 8  # bytes of K and V of a token in one layer
LAYER = 24 * (24 + 8 + 8) + 24 * 24 + 24 * 2 * 20 + 20 * 24 + 2 * 24  # q k v, o, gate up, down
BODY, HEAD, ROW = (2 * LAYER + 24) * 8, 48 * 24 * 8, 24 * 8  # bytes; with the last norm


def served(model, prompts, **options):
    engine = Engine(model, 20, block_size=4, clock=Clock(1.0), **options)
    requests = [engine.add(tokens, new) for tokens, new in prompts]
    return requests, list(engine.run())


def test_bytes_of_a_prompt_in_chunks_and_of_decoding():
    (request,), steps = served(
        tiny_model(), [(range(11), 2)], max_num_seqs=3, max_num_batched_tokens=4
    )
    read = [  # tokens in the first layer, tokens in the second: those of 4 queries, and 4 before
        (4, 4),
        (8, 8),
        (11, 7),  # 3 queries
        (12, 5),
    ]
    assert [step.kv_bytes_read for step in steps] == [TOKEN * (a + b) for a, b in read]
    assert [step.kv_bytes_written for step in steps] == [2 * TOKEN * n for n in (4, 4, 3, 1)]
    assert [step.prefill_tokens for step in steps] == [4, 4, 3, 0]
    assert [step.num_decodes for step in steps] == [0, 0, 0, 1]
    assert [step.context_tokens for step in steps] == [4, 8, 11, 12]
    assert [step.blocks_used for step in steps] == [1, 2, 3, 3]
    assert [step.weight_bytes for step in steps] == [
        BODY + 4 * ROW,
        BODY + 4 * ROW,
        BODY + HEAD + 3 * ROW,
        BODY + HEAD + ROW,
    ]
    assert len(request.output) == 2


def test_sequences_of_a_batch_are_added_up():
    _, steps = served(tiny_model(), [(range(7), 3), (range(20, 23), 3)], max_num_seqs=3)
    assert steps[0].num_seqs == 2
    assert steps[0].prefill_tokens == 10
    assert steps[1].num_decodes == 2
    assert steps[1].context_tokens == 8 + 4
    assert steps[1].kv_bytes_read == TOKEN * (8 + 5 + 4 + 4)
    assert steps[1].weight_bytes == BODY + HEAD + 2 * ROW
    assert [step.blocks_used for step in steps] == [3, 3, 5]
    assert (steps[0].admitted, steps[2].finished) == ((0, 1), (0, 1))
    assert [(step.running, step.waiting) for step in steps] == [(2, 0), (2, 0), (0, 0)]


def test_tied_weights_are_read_once_and_half_the_bytes_in_half_the_precision():
    model = tiny_model(torch.float32)
    model.head.weight = model.embedding.weight
    _, (step,) = served(model, [(range(7), 1)], max_num_seqs=1)
    assert step.weight_bytes == (BODY + HEAD + 7 * ROW) // 2
    assert step.kv_bytes_read == TOKEN * 14 // 2


def test_what_preempted_requests_compute_again_is_no_decoding():
    options = {"block_size": 4, "max_num_seqs": 2, "prefix_sharing": False}
    engine = Engine(tiny_model(), 5, clock=Clock(1.0), **options)
    requests = [engine.add(range(n, n + 7), 8) for n in (0, 20)]
    steps = list(engine.run())
    (gave_way,) = [step for step in steps if step.preempted]
    (back,) = [step for step in steps[1:] if step.admitted]
    assert gave_way.preempted == back.admitted == (1,)
    assert gave_way.waiting == 1
    again = 7 + gave_way.number  # a token of each step before
    assert back.prefill_tokens == again
    decodes = sum(step.num_decodes for step in steps)
    assert decodes == sum(len(request.output) - 1 for request in requests) - 1
    assert requests[1].to_dict()["preemptions"] == 1
    assert requests[1].scheduled_s == steps[0].start_s < back.start_s


def test_times_are_those_of_the_clock_that_was_handed_in():
    (first, second), steps = served(tiny_model(), [([1, 2, 3], 2), ([4], 1)], max_num_seqs=1)
    # Each look at the clock is a second later: two when they are added, two in each step.
    assert [(step.start_s, step.seconds) for step in steps] == [(3, 1), (5, 1), (7, 1)]
    assert first.to_dict() == {
        "request": 0,
        "prompt_tokens": 3,
        "output_tokens": 2,
        "arrived_s": 1.0,
        "scheduled_s": 3.0,
        "first_token_s": 4.0,
        "finished_s": 6.0,
        "ending": "length",
        "preemptions": 0,
        "reused_tokens": 0,
    }
    assert (second.arrived_s, second.scheduled_s, second.finished_s) == (2, 7, 8)


def test_a_record_is_a_line_of_json():
    _, steps = served(tiny_model(), [(range(7), 2)], max_num_seqs=1)
    for step in steps:
        line = json.loads(json.dumps(step.to_dict()))
        read = {key: tuple(one) if isinstance(one, list) else one for key, one in line.items()}
        assert Step(**read) == step


def test_a_step_with_nothing_to_do_says_so():
    engine = Engine(tiny_model(), 3, max_num_seqs=1, clock=Clock(1.0))
    step = engine.step()
    assert (step.num_seqs, step.kv_bytes_read, step.weight_bytes, step.blocks_used) == (0, 0, 0, 0)
    assert list(engine.run()) == []


def test_the_cache_of_a_step_takes_that_steps_tokens_only():
    pages = Pages(4, 2, 4, 3)
    request = Request(0, [1, 2, 3, 4, 5], 1)
    request.blocks = [2, 1]
    cache = StepCache(pages, Packed([Chunk(request, 0, 5)], 4, torch.device("cpu")))
    q, k, v = torch.randn(1, 6, 5, 3), *torch.randn(2, 1, 2, 5, 3)
    cache.append(k, v)
    for call in (
        lambda: cache.append(k[:, :, :4], v[:, :, :4]),
        lambda: cache.append(k, v, [3]),
        lambda: cache.attend(q[:, :, :4]),
        lambda: cache.positions(6),
    ):
        with pytest.raises(ValueError, match="for a step of 5"):
            call()
    for call in (lambda: cache.reorder([0]), lambda: cache.truncate(0)):
        with pytest.raises(ValueError, match="1 sequences are packed for one step"):
            call()
    assert cache.lengths.tolist() == [5]
    assert cache.positions(5).tolist() == [0, 1, 2, 3, 4]
    assert cache.nbytes == pages.nbytes
    assert torch.equal(pages.k[1, :, 0], k[0, :, 4])


def test_totals_of_steps_by_hand():
    shared = dict.fromkeys(Step.__dataclass_fields__, 0) | {"preempted": ()}
    steps = [
        Step(**shared | {"seconds": 3.0, "num_seqs": 2, "num_decodes": 1, "prefill_tokens": 9}),
        Step(**shared | {"seconds": 1.0, "num_seqs": 6, "num_decodes": 6, "preempted": (4, 5)}),
    ]
    assert totals(steps) == {
        "num_steps": 2,
        "seconds": 4.0,
        "mean_seqs": 3.0,
        "most_seqs": 6,
        "preemptions": 2,
        "decode_tokens_per_s": 6.0,
        "prefill_share": 0.75,
    }
    assert totals(steps[:1])["decode_tokens_per_s"] == 0
