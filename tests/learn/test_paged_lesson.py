"""Lesson 11: what its exercises accept, and that the lesson's statements are the library's."""

import re

import pytest
import torch

from gqa_lib.cache import BlockAllocator
from gqa_lib.cache import PagedKVCache as LibraryCache
from gqa_lib.learn import check
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.exercises.lesson11 import shares
from gqa_lib.learn.exercises.paged_caches import Model
from gqa_lib.learn.exercises.wrong_pages import Paged
from gqa_lib.serving.traffic import sample

DRAWN = [{"draws": n} for n in range(1, 9)]


def said_to(name, yours, **how):
    with pytest.raises(NotYet) as refused:
        check(name, yours, **how)
    return " ".join(str(refused.value).split())


@pytest.mark.parametrize("case", [*find_exercise("BlockAllocator").cases, *DRAWN])
def test_the_librarys_allocator_is_a_right_answer(case):
    exercise = find_exercise("BlockAllocator")
    arguments = exercise.make(torch.Generator().manual_seed(5), **case)
    assert exercise.call(BlockAllocator, *arguments) == exercise.oracle(*arguments)


@pytest.mark.parametrize("name", ["PagedKVCache", "ForkableKVCache"])
@pytest.mark.parametrize("seed", range(3))
def test_drawn_scripts_have_refused_appends_and_are_passed(name, seed):
    exercise, refused, copied = find_exercise(name), 0, 0
    for case in DRAWN:
        generator = torch.Generator().manual_seed(seed)
        *_, num_blocks, block_size, steps = exercise.make(generator, **case)
        model = Model(num_blocks, block_size, steps)
        for _, action, *_, missing in model.walk():
            refused += missing > 0
            copied += action == "append" and not missing and model.replaced
    assert refused > len(DRAWN), "the last but one step of each script asks for all slots"
    assert bool(copied) == (name == "ForkableKVCache")
    check(name, Paged, cases=DRAWN, seed=seed)


@pytest.mark.parametrize(
    ("block_size", "steps", "blocks", "free"),
    [
        (4, "a.append(4); a.append(1)", {"a": 2}, 4),
        (4, "a.append(5); b = a.fork(); b.append(1)", {"a": 2, "b": 2}, 3),
        (4, "a.append(4); b = a.fork(); b.append(1); a.append(1)", {"a": 2, "b": 2}, 3),
        (4, "a.append(5); b = a.fork(); a.reset(); b.append(1)", {"a": 0, "b": 2}, 4),
        (2, "a.append(3); b = a.another(); b.append(9)", {"a": 2, "b": 0}, 4),
    ],
)
def test_blocks_of_the_model_by_hand(block_size, steps, blocks, free):
    model = Model(6, block_size, steps.split("; "))
    *_, last = model.walk()
    assert {name: len(one) for name, one in model.blocks.items()} == blocks
    assert model.num_free == free
    assert last[-1] == (5 if "append(9)" in steps else 0)


class Elsewhere(Paged):
    def fork(self):
        new = super().fork()
        new.k, new.v = self.k.clone(), self.v.clone()
        return new


class Names(Paged):
    def append(self, k, v):
        both = super().append(k, v)
        self.blocks = [str(block) for block in self.blocks]
        return both


class Mute(Paged):
    def append(self, k, v):
        try:
            return super().append(k, v)
        except ValueError:
            raise ValueError("full") from None


class Keeps(Paged):
    def append(self, k, v):
        super().append(k, v)


@pytest.mark.parametrize(
    ("name", "yours", "says"),
    [
        ("ForkableKVCache", Elsewhere, "has a memory of its own"),
        ("PagedKVCache", Names, "It holds the numbers of its blocks"),
        ("PagedKVCache", Mute, "Its reader needs both numbers"),
        ("PagedKVCache", Keeps, "return the pair k_all, v_all"),
    ],
)
def test_what_no_comparison_names_is_said(name, yours, says):
    assert says in said_to(name, yours)


def test_shares_add_up_and_small_rests_of_rounding_are_none():
    def by_subtraction(lengths, block_size, reserved):
        found = shares(lengths, block_size, reserved)
        if sum(found.values()):
            found["internal"] = 1 - found["used"] - found["reserved"]
        return found

    check("fragmentation", by_subtraction)
    check("fragmentation", by_subtraction, cases=DRAWN, seed=3)
    assert "expected used, reserved, internal" in said_to("fragmentation", lambda *_: 0.5)
    assert sum(shares([6, 11, 3], 4, [20, 0, 9]).values()) == pytest.approx(1)


def test_half_a_block_per_sequence_is_lost_on_real_lengths():
    trace = sample("azure-conv-2023")
    requests = zip(trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)
    now = [p + done for p, o in requests for done in range(1, o + 1)][::50]
    for size in (16, 64, 256):
        half, mean = (size - 1) / 2, sum(now) / len(now)
        lost = shares(now, size, [0] * len(now))["internal"]
        assert lost == pytest.approx(half / (mean + half), rel=0.01)


def test_the_lessons_cache_holds_what_the_librarys_does():
    generator = torch.Generator().manual_seed(0)
    k, v = (torch.randn(1, 2, 11, 3, generator=generator) for _ in range(2))
    mine = Paged(2, 3, 6, 4, torch.float32, None)
    theirs = LibraryCache(1, 2, 6, 3, 4)
    for start, end in ((0, 5), (5, 6), (6, 11)):
        k_all, v_all = mine.append(k[:, :, start:end], v[:, :, start:end])
        theirs.append(k[:, :, start:end], v[:, :, start:end])
        assert torch.equal(k_all, k[:, :, :end])
        assert torch.equal(v_all, v[:, :, :end])
        assert len(mine.blocks) == len(theirs.blocks[0])
        assert mine.allocator.num_free == theirs.num_free


def test_numbers_in_an_error_of_the_reference_are_those_that_a_check_asks_for():
    cache = Paged(1, 2, 2, 4, torch.float32, None)
    with pytest.raises(ValueError, match=re.escape("3 needed, 2 free")):
        cache.append(torch.zeros(1, 1, 9, 2), torch.zeros(1, 1, 9, 2))
