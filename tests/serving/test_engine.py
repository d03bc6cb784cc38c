"""Single cases of the engine: what is shared, who gives way, what ends and what is refused."""

import re

import numpy as np
import pytest
import torch
from serving_cases import VOCAB, Solo, Watched, tiny_model

from gqa_lib.attention import Rope
from gqa_lib.attention.rope_scaling import DynamicScaling
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, Variant
from gqa_lib.serving import Engine

MODEL = tiny_model()
SOLO = Solo(MODEL)


def prompt(length, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB, (length,), generator=rng).tolist()


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def assert_alone(watched, model=None):
    solo = SOLO if model is None else Solo(model)
    for request in watched.requests:
        assert request.output == solo(request.prompt, request.max_new_tokens, request.stop)


# ---- sharing


@pytest.mark.parametrize(("block_size", "computed"), [(4, 4), (1, 1), (8, 8), (3, 2), (16, 8)])
def test_of_a_prompt_that_is_cached_whole_the_last_token_is_computed(block_size, computed):
    """nano-vllm #144: with all of it found, there is no query to choose the next token by."""
    watched = Watched(MODEL, 40, block_size=block_size, max_num_seqs=4)
    watched.add(prompt(8), 3)
    watched.run()
    again = watched.add(prompt(8), 3)
    assert watched.step().prefill_tokens == computed
    assert again.reused_tokens == 8 - computed
    watched.run()
    assert_alone(watched)


def test_sequences_that_run_share_the_blocks_of_a_common_beginning():
    watched = Watched(MODEL, 40, block_size=4, max_num_seqs=4)
    first = watched.add([*prompt(10), 1], 6)
    watched.step()
    second, third = watched.add([*prompt(10), 2], 6), watched.add(prompt(3) + [2] * 5, 6)
    step = watched.step()
    assert second.blocks[:2] == first.blocks[:2]
    assert second.blocks[2] != first.blocks[2]
    assert not set(third.blocks) & {*first.blocks, *second.blocks}
    assert step.reused_tokens == 8
    assert step.blocks_used == 3 + 3 + 2 - 2
    watched.run()
    assert_alone(watched)


def test_equal_prompts_that_are_computed_at_once_have_blocks_of_their_own():
    watched = Watched(MODEL, 40, block_size=2, max_num_seqs=4)
    requests = [watched.add(prompt(9), 5) for _ in range(3)]
    assert watched.step().reused_tokens == 0
    assert len({block for request in requests for block in request.blocks}) == 15
    watched.run()
    assert_alone(watched)


def test_without_sharing_nothing_is_found():
    watched = Watched(MODEL, 40, block_size=2, max_num_seqs=4, prefix_sharing=False)
    for _ in range(2):
        watched.add(prompt(9), 3)
        watched.run()
    assert [request.reused_tokens for request in watched.requests] == [0, 0]
    assert watched.engine.pool.num_idle == 0
    assert_alone(watched)


def test_the_beginning_that_was_not_used_for_longest_makes_room_and_its_end_goes_first():
    watched = Watched(MODEL, 6, block_size=4, max_num_seqs=1)
    for seed in (0, 1, 0):  # two full blocks of each; those of 0 are used last
        watched.add(prompt(9, seed), 2)
        watched.run()
    watched.add(prompt(12, 2), 5)  # four blocks: the two that hold nothing, and both of prompt 1
    watched.run()
    reused = [watched.add(prompt(9, seed), 2) for seed in (0, 1)]
    watched.step()
    watched.run()
    assert [request.reused_tokens for request in reused] == [8, 0]
    watched = Watched(MODEL, 4, block_size=4, max_num_seqs=1)
    watched.add(prompt(13), 1)
    watched.run()  # three full blocks and one that holds nothing for others
    watched.add(prompt(5, 3), 1)
    watched.run()
    again = watched.add(prompt(13), 1)
    watched.run()
    assert again.reused_tokens == 8
    assert_alone(watched)


def test_blocks_that_are_found_are_not_counted_as_free_too():
    watched = Watched(MODEL, 5, block_size=4, max_num_seqs=2)
    watched.add(prompt(9), 1)
    watched.run()  # two blocks can be found, three hold nothing
    watched.add(prompt(9, 5), 4)  # three blocks
    watched.step()
    other = watched.add(prompt(8) + [7] * 4, 2)  # two found and two more, of none that are free
    watched.step()
    assert not other.blocks
    watched.run()
    assert other.reused_tokens == 8
    assert_alone(watched)


# ---- giving way


def test_a_sequence_that_shares_a_beginning_gives_way_and_comes_back():
    """nano-vllm #233: what was found before counts as computed although its blocks are gone."""
    watched = Watched(MODEL, 7, block_size=4, max_num_seqs=2)
    watched.add([*prompt(8), 3], 1)
    watched.run()
    first, second = watched.add(prompt(8, 9), 16), watched.add([*prompt(8), 5], 10)
    watched.step()
    assert second.reused_tokens == 8
    watched.run()
    assert second.preemptions > 0
    assert second.reused_tokens > 8
    assert first.preemptions == 0
    assert_alone(watched)


@pytest.mark.parametrize(
    ("new_tokens", "prefix_sharing", "found"), [(6, True, 12), (9, True, 8), (6, False, 0)]
)
def test_who_gave_way_finds_its_own_blocks_as_far_as_nobody_needed_them(
    new_tokens, prefix_sharing, found
):
    watched = Watched(MODEL, 6, block_size=4, max_num_seqs=2, prefix_sharing=prefix_sharing)
    first, second = watched.add(prompt(7), new_tokens), watched.add(prompt(9, 1), 12)
    while not second.preemptions:  # with 12 tokens cached, when it needs a fourth block
        watched.step()
    assert watched.engine.running == [first]
    watched.run()  # with 9 new tokens, the first one needs one of those three
    assert second.preemptions == 1
    assert second.reused_tokens == found
    assert_alone(watched)


def test_the_last_that_was_admitted_gives_way_and_waits_as_the_first():
    watched = Watched(MODEL, 6, block_size=2, max_num_seqs=3)
    requests = [watched.add(prompt(3, seed), 8) for seed in range(4)]
    while not any(request.preemptions for request in requests):
        step = watched.step()
    assert step.preempted == (2,)
    assert step.admitted == ()
    assert watched.engine.running == requests[:2]
    assert watched.engine.waiting == requests[2:]
    assert step.num_decodes == 2
    watched.run()
    assert_alone(watched)
    ends = [request.finished_s for request in requests]
    assert ends == sorted(ends)


@pytest.mark.parametrize("block_size", [1, 4, 12])
def test_a_pool_for_exactly_one_sequence_serves_them_one_after_the_other(block_size):
    watched = Watched(MODEL, 12 // block_size, block_size=block_size, max_num_seqs=3)
    requests = [watched.add(prompt(7, seed), 6) for seed in range(3)]  # 7 + 6 - 1 = 12 tokens
    watched.run()
    assert_alone(watched)
    assert [request.ending for request in requests] == ["length"] * 3


def test_decoding_goes_on_in_every_step_while_a_long_prompt_is_computed():
    watched = Watched(MODEL, 60, block_size=2, max_num_seqs=3, max_num_batched_tokens=4)
    quick = [watched.add(prompt(1, seed), 20) for seed in range(2)]
    watched.step()
    long = watched.add(prompt(21, 7), 3)
    chunks = []
    while not long.output:
        before = [len(request.output) for request in quick]
        chunks.append(watched.step().prefill_tokens)
        assert [len(request.output) for request in quick] == [n + 1 for n in before]
    assert chunks == [2] * 10 + [1]
    watched.run()
    assert_alone(watched)


# ---- beginning and ending


def test_a_prompt_of_one_token_and_an_answer_of_one():
    watched = Watched(MODEL, 1, block_size=1, max_num_seqs=2)
    watched.add([5], 1)
    watched.run()
    assert len(watched.steps) == 1
    assert_alone(watched)


def test_a_stop_token_ends_a_request_and_is_its_last():
    alone = SOLO(prompt(6), 12)
    token = next(one for one in alone[2:] if one not in alone[:2])
    watched = Watched(MODEL, 20, block_size=4, max_num_seqs=2)
    request = watched.add(prompt(6), 12, stop=[token, (token + 1) % VOCAB])
    watched.run()
    assert request.ending == "stop"
    assert request.output[-1] == token
    assert_alone(watched)


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_a_request_can_be_cancelled_at_any_time(after):
    watched = Watched(MODEL, 20, block_size=2, max_num_seqs=2, max_num_batched_tokens=5)
    first, second, third = (watched.add(prompt(8, seed), 6) for seed in range(3))
    for _ in range(after):
        watched.step()
    output = second.output
    watched.engine.cancel(second)
    watched.check()
    assert second.finished
    watched.engine.cancel(second)  # nothing happens
    watched.run()
    watched.engine.cancel(first)
    assert [one.ending for one in (first, second, third)] == ["length", "cancelled", "length"]
    assert second.output == output
    watched.requests.remove(second)
    assert_alone(watched)


def test_a_request_of_another_engine_is_not_cancelled_here():
    engines = [Engine(MODEL, 8, max_num_seqs=2) for _ in range(2)]
    request = engines[0].add([1, 2], 4)
    refused("request 0 neither runs nor waits here", lambda: engines[1].cancel(request))
    assert not request.finished


def test_requests_can_be_added_while_others_run():
    engine = Engine(MODEL, 40, block_size=4, max_num_seqs=4)
    requests = [engine.add(prompt(5), 6)]
    for step in engine.run():
        if step.number in (1, 3):
            requests.append(engine.add(prompt(5, step.number), 6))
    assert len(requests) == 3
    assert all(one.output == SOLO(one.prompt, 6) for one in requests)


def test_a_step_that_failed_can_be_made_again():
    model = tiny_model()
    watched = Watched(model, 12, block_size=2, max_num_seqs=3)
    for seed in range(3):
        watched.add(prompt(5, seed), 6)
    for _ in range(2):
        watched.step()
        with model.layers[1].mlp.register_forward_pre_hook(fail), pytest.raises(KeyboardInterrupt):
            watched.engine.step()
    watched.run()
    assert_alone(watched)


def fail(module, arguments):
    raise KeyboardInterrupt


# ---- models


@pytest.mark.parametrize("num_kv_heads", [1, 3, 6])
@pytest.mark.parametrize("windows", [None, (3, 1)])
def test_any_number_of_kv_heads_and_windows(num_kv_heads, windows):
    config = ModelConfig("other", 2, 6, num_kv_heads, 4, 20, 16, VOCAB, windows)
    model = LanguageModel(config, dtype=torch.float64)
    assert_served(model)


def test_layers_that_turn_in_their_own_ways_norms_and_tied_weights():
    variant = Variant(
        rope=[Rope(4, 50.0), None],
        qk_norm="head",
        norms="both",
        qkv_bias=True,
        embedding_scale=3.0,
        tied=True,
    )
    config = ModelConfig("other", 2, 6, 2, 4, 20, 16, VOCAB)
    assert_served(LanguageModel(config, variant, dtype=torch.float64))


def test_in_float32_as_well():
    assert_served(tiny_model(torch.float32))


def test_with_the_native_operator_that_reads_blocks_in_place(built):
    config = ModelConfig("other", 2, 6, 2, 8, 20, 16, VOCAB, (None, 4))
    assert_served(LanguageModel(config))


def assert_served(model):
    """Serve requests of which some give way, some share and some come in chunks."""
    watched = Watched(model, 10, block_size=3, max_num_seqs=4, max_num_batched_tokens=6)
    for length, new in ((4, 12), (9, 8), (1, 12), (7, 8), (12, 3)):
        watched.add(prompt(length), new)
        watched.step()
    watched.run()
    assert sum(request.preemptions for request in watched.requests) > 0
    assert sum(request.reused_tokens for request in watched.requests) > 0
    assert_alone(watched, model)


def test_a_model_whose_keys_hang_on_the_length_is_served_as_far_as_they_do_not():
    config = ModelConfig("other", 2, 6, 2, 4, 20, 16, VOCAB)
    variant = Variant(rope=Rope(4, scaling=DynamicScaling(2.0, 16)))
    model = LanguageModel(config, variant, dtype=torch.float64)
    watched = Watched(model, 20, block_size=3, max_num_seqs=4)
    refused("make 18, and beyond 16", lambda: watched.engine.add(prompt(9), 9))
    watched.add(prompt(9), 8)
    watched.run()
    assert_alone(watched, model)


# ---- what it refuses


def test_a_request_that_can_never_fit_is_refused_and_changes_nothing():
    watched = Watched(MODEL, 3, block_size=4, max_num_seqs=2)
    refused(
        "8 tokens and max_new_tokens=6 make 14, which need 4 blocks of 4 tokens, and the engine "
        "has 3",
        lambda: watched.engine.add(prompt(8), 6),
    )
    assert watched.engine.waiting == []
    request = watched.add(prompt(8), 5)
    assert request.number == 0
    watched.run()
    assert_alone(watched)
    model = tiny_model(max_context=10)
    engine = Engine(model, 30, max_num_seqs=2)
    refused("make 11, over the model's max_context=10", lambda: engine.add(prompt(8), 3))
    engine.add(prompt(8), 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, VOCAB, 2], f"prompt[1]={VOCAB} is not a token: the model has {VOCAB}"),
        ([1, 2, -1], "prompt[2]=-1 is not a token"),
        ([1, 2.0], "prompt[1]=2.0 is not a token"),
        ([[1, 2]], "prompt[0]=[1, 2] is not a token"),
        (torch.tensor([1.0, 2.0]), "prompt[0]=1.0 is not a token"),
        ([True], "prompt[0]=True is not a token"),
        (7, "prompt=7 is not a token"),
        ("text", "prompt[0]='t' is not a token"),
        ([], "a prompt of 0 tokens"),
    ],
)
def test_what_is_not_a_prompt_is_refused(given, message):
    engine = Engine(MODEL, 8, max_num_seqs=2)
    refused(message, lambda: engine.add(given, 3))
    assert engine.waiting == []


def test_numbers_that_are_none_are_refused():
    engine = Engine(MODEL, 8, max_num_seqs=2)
    refused("max_new_tokens=0", lambda: engine.add([1], 0))
    refused("max_new_tokens=1.5", lambda: engine.add([1], 1.5))
    refused("stop[0]=48 is not a token", lambda: engine.add([1], 2, stop=[48]))


@pytest.mark.parametrize("kind", [tuple, torch.tensor, np.array])
def test_a_prompt_may_come_in_any_kind(kind):
    engine = Engine(MODEL, 8, max_num_seqs=2)
    request = engine.add(kind(prompt(5)), 3)
    for _ in engine.run():
        pass
    assert request.prompt == prompt(5)
    assert request.output == SOLO(prompt(5), 3)


def test_what_an_engine_cannot_be_made_with_is_refused():
    refused("num_blocks=None, memory_bytes=None", lambda: Engine(MODEL))
    refused("num_blocks=4, memory_bytes=9", lambda: Engine(MODEL, 4, memory_bytes=9))
    refused("num_blocks=0", lambda: Engine(MODEL, 0))
    refused("block_size=0", lambda: Engine(MODEL, 4, block_size=0))
    refused("max_num_seqs=0", lambda: Engine(MODEL, 4, max_num_seqs=0))
    message = "max_num_batched_tokens=7 for max_num_seqs=8"
    refused(message, lambda: Engine(MODEL, 4, max_num_seqs=8, max_num_batched_tokens=7))


def test_memory_is_divided_into_blocks():
    block_bytes = 2 * 2 * 2 * 3 * 4 * 8  # K and V x layers x Hkv x block_size x D x bytes
    engine = Engine(MODEL, memory_bytes=5 * block_bytes + 1, block_size=3)
    assert (engine.block_bytes, engine.pool.num_blocks) == (block_bytes, 5)
    assert sum(pages.nbytes for pages in engine._pages) == 5 * block_bytes
    message = f"memory_bytes={block_bytes - 1} is less than a block's {block_bytes} bytes"
    refused(message, lambda: Engine(MODEL, memory_bytes=block_bytes - 1, block_size=3))
