"""What ways of reserving memory leave unused: by hand, and in a served run."""

import re
from random import Random

import pytest
import torch

from gqa_lib.cache import PagedKVCache
from gqa_lib.cache.paging import (
    RULES,
    ContiguousAllocator,
    Fragmentation,
    block_size_study,
    fragmentation,
    reserved_slots,
)


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# ---- rules


def test_places_of_each_rule_by_hand():
    places = {
        rule: [reserved_slots(n, rule, max_length=100) for n in (0, 1, 16, 17, 64, 65, 100)]
        for rule in RULES
    }
    assert places == {
        "longest": [100] * 7,
        "power_of_two": [0, 1, 16, 32, 64, 128, 128],
        "exact": [0, 1, 16, 17, 64, 65, 100],
        "paged": [0, 16, 16, 32, 64, 80, 112],
    }


@pytest.mark.parametrize(
    ("rule", "expected"),
    [  # two sequences with 5 and 20 tokens, that end with 9 and 20
        ("longest", Fragmentation(128, 128, 25, later=4)),
        ("power_of_two", Fragmentation(48, 48, 25, later=4)),
        ("exact", Fragmentation(29, 29, 25, later=4)),
        ("paged", Fragmentation(32, 32, 25, later=3)),  # blocks of 8 each: 8 and 24
    ],
)
def test_parts_of_each_rule_by_hand(rule, expected):
    lengths = torch.tensor([5, 20])
    places = fragmentation(lengths, rule, final_lengths=[9, 20], max_length=64, block_size=8)
    assert places == expected
    assert places.internal == expected.reserved - 25 - expected.later
    assert places.used_share == 25 / expected.total
    assert places.free == places.external == 0


def test_the_longest_is_what_is_reserved_unless_more_is_said():
    assert fragmentation([3, 10], "longest").reserved == 20
    assert fragmentation([3, 10], "longest", final_lengths=[3, 12]).reserved == 24
    assert fragmentation([], "longest") == Fragmentation(0, 0, 0)
    assert fragmentation([]).used_share == 0.0


def test_the_report_of_a_cache_is_that_of_its_lengths():
    cache = PagedKVCache(3, 1, 20, 2, block_size=4)
    k = torch.zeros(3, 1, 9, 2)
    cache.append(k, k, [9, 4, 0])
    alone = fragmentation(cache.lengths, block_size=4)
    places = cache.fragmentation()
    assert (places.reserved, places.used) == (alone.reserved, alone.used) == (16, 13)


def test_wrong_lengths_and_rules_are_errors():
    refused("rule='buddy' is not known here", lambda: fragmentation([], "buddy"))
    refused("lengths[1]=-1", lambda: fragmentation([3, -1]))
    refused("lengths[0]=2.5", lambda: fragmentation(torch.tensor([2.5])))
    refused("lengths=3 is one value", lambda: fragmentation(3))
    refused("final_lengths up to 4", lambda: fragmentation([5], final_lengths=[4]))
    refused("1 final_lengths", lambda: fragmentation([5, 6], final_lengths=[7]))
    refused("over max_length=4", lambda: fragmentation([5], "longest", max_length=4))
    refused("max_length=None", lambda: reserved_slots(5, "longest"))
    refused("block_size=0", lambda: fragmentation([5], block_size=0))


# ---- block sizes


def test_waste_and_tables_by_hand():
    rows = block_size_study([1, 4, 6, 0], [1, 4, 5, 100])
    assert [row.num_blocks for row in rows] == [11, 4, 4, 3]
    assert [row.waste_tokens for row in rows] == [0, 5, 9, 289]
    assert [row.table_bytes for row in rows] == [88, 32, 32, 24]
    assert [row.waste_share for row in rows] == [0.0, 5 / 16, 9 / 20, 289 / 300]
    assert all(row.num_tokens == 11 for row in rows)


def test_waste_is_half_a_block_a_sequence_where_lengths_are_any():
    rng = Random(0)
    lengths = [rng.randint(1000, 5000) for _ in range(4000)]
    for row in block_size_study(lengths):
        assert row.waste_tokens <= len(lengths) * (row.block_size - 1)
        each = row.waste_tokens / len(lengths)
        assert each == pytest.approx((row.block_size - 1) / 2, rel=0.05)


def test_wrong_sizes_are_errors_and_none_give_nothing():
    refused("sizes[1]=0", lambda: block_size_study([3], [4, 0]))
    refused("lengths[0]=-3", lambda: block_size_study([-3]))
    assert block_size_study([3], []) == []
    assert [row.waste_share for row in block_size_study([], [16])] == [0.0]


# ---- ranges


def test_ranges_are_the_first_that_fit_and_join_when_they_are_free_again():
    memory = ContiguousAllocator(10)
    a, b, c = (memory.allocate(n) for n in (3, 2, 4))
    assert (a, b, c, memory.num_free) == (0, 3, 5, 1)
    memory.free(a)
    memory.free(c)
    assert memory.free_ranges == [(0, 3), (5, 5)]
    refused("no free range has 6 slots: 8 of 10 are free, at most 5", lambda: memory.allocate(6))
    assert memory.allocate(3) == 0
    memory.free(0)
    memory.free(b)
    assert memory.free_ranges == [(0, 10)]
    assert (memory.largest_free, memory.num_free) == (10, 10)


def test_wrong_ranges_are_errors_that_change_nothing():
    memory = ContiguousAllocator(4)
    start = memory.allocate(4)
    assert (memory.largest_free, memory.num_free) == (0, 0)
    for wrong in (1, -1, None):
        refused(f"no range in use begins at slot {wrong}", lambda wrong=wrong: memory.free(wrong))
    for size in (0, -1, 1.5, True):
        refused(f"size={size}", lambda size=size: memory.allocate(size))
    memory.free(start)
    refused("no range in use begins at slot 0", lambda: memory.free(start))
    assert memory.free_ranges == [(0, 4)]
    refused("num_slots=0", lambda: ContiguousAllocator(0))


def test_any_ranges_are_what_a_list_of_slots_says():
    rng, memory, slots, taken = Random(0), ContiguousAllocator(40), [False] * 40, {}
    for _ in range(2000):
        size = rng.randint(1, 12)
        runs = [i for i in range(41 - size) if not any(slots[i : i + size])]
        if rng.random() < 0.55:
            if runs:
                assert memory.allocate(size) == runs[0]
                taken[runs[0]] = size
                slots[runs[0] : runs[0] + size] = [True] * size
            else:
                refused("no free range", lambda size=size: memory.allocate(size))
        elif taken:
            start = rng.choice(sorted(taken))
            memory.free(start)
            end = start + taken.pop(start)
            slots[start:end] = [False] * (end - start)
        assert memory.num_free == slots.count(False)
        runs = "".join("x" if used else "." for used in slots).split("x")
        assert [size for _, size in memory.free_ranges] == [len(run) for run in runs if run]
        assert memory.largest_free == max(map(len, runs))
