"""Blocks are given out once, shared by count, and never freed twice."""

import random
import re

import numpy as np
import pytest
import torch

from gqa_lib.cache import BlockAllocator, PagedKVCache
from gqa_lib.cache.paging import reserved_slots


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_blocks_differ_until_they_are_freed():
    blocks = BlockAllocator(5)
    taken = [blocks.allocate() for _ in range(5)]
    assert sorted(taken) == [0, 1, 2, 3, 4]
    assert blocks.num_free == 0
    blocks.free(taken[2])
    assert (blocks.num_free, blocks.num_blocks) == (1, 5)
    assert blocks.allocate() == taken[2]


def test_a_shared_block_is_free_once_nobody_has_it():
    blocks = BlockAllocator(3)
    block = blocks.allocate()
    blocks.share(block)
    blocks.share(block)
    assert blocks.references(block) == 3
    for left in (2, 1):
        blocks.free(block)
        assert (blocks.references(block), blocks.num_free) == (left, 2)
    blocks.free(block)
    assert blocks.num_free == 3


def test_what_would_give_one_block_to_two_is_refused_and_changes_nothing():
    blocks = BlockAllocator(2)
    refused("block 0 is free already", lambda: blocks.free(0))
    refused("block 1 is free, so that", lambda: blocks.share(1))
    block = blocks.allocate()
    blocks.free(block)
    refused(f"block {block} is free already", lambda: blocks.free(block))
    assert blocks.num_free == 2
    taken = {blocks.allocate(), blocks.allocate()}
    assert taken == {0, 1}
    refused("all 2 blocks are in use", blocks.allocate)
    assert [blocks.references(block) for block in (0, 1)] == [1, 1]


@pytest.mark.parametrize("block", [-1, 2, 1.0, True, "1", None])
def test_a_number_that_is_not_a_blocks_is_refused(block):
    blocks = BlockAllocator(2)
    blocks.allocate(), blocks.allocate()
    for call in (blocks.free, blocks.share, blocks.references):
        refused(f"block {block!r} does not exist: the 2 blocks", lambda call=call: call(block))
    assert blocks.num_free == 0


@pytest.mark.parametrize("num_blocks", [0, -3, 1.5, True, None])
def test_without_blocks_there_is_no_allocator(num_blocks):
    refused(f"num_blocks={num_blocks}", lambda: BlockAllocator(num_blocks))


def test_sizes_may_be_whole_numbers_of_any_kind():
    one, two = (kind(2) for kind in (np.int64, torch.tensor))
    assert BlockAllocator(one).num_free == BlockAllocator(two).num_free == 2
    cache = PagedKVCache(1, 1, one, 2, two)
    cache.append(*torch.zeros(2, 1, 1, 3, 2))
    assert cache.lengths.tolist() == [3]
    assert cache.num_free == 0
    assert (cache.block_size, type(cache.block_size)) == (2, int)
    for rule, slots in (("power_of_two", 8), ("exact", 5), ("paged", 6), ("longest", 9)):
        how = {"max_length": np.int64(9), "block_size": one}
        found = reserved_slots(np.int64(5), rule, **how)
        assert (found, type(found)) == (slots, int)


def test_any_sequence_of_steps_counts_as_a_dictionary_does():
    rng, blocks, counts = random.Random(0), BlockAllocator(7), {}
    for _ in range(500):
        step = rng.choice(["allocate", "allocate", "share", "free", "free"])
        if step == "allocate" and len(counts) < 7:
            block = blocks.allocate()
            assert block not in counts
            counts[block] = 1
        elif step != "allocate" and counts:
            block = rng.choice(sorted(counts))
            getattr(blocks, step)(block)
            counts[block] += 1 if step == "share" else -1
            counts = {block: n for block, n in counts.items() if n}
        assert blocks.num_free == 7 - len(counts)
        assert all(blocks.references(block) == counts.get(block, 0) for block in range(7))
