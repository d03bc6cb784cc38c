"""Whatever is done to a paged cache, it is the contiguous one, and no block is lost."""

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from paging_cases import ROOM, B, Twins

ROWS = st.lists(st.integers(0, B - 1), unique=True, max_size=B)
COUNTS = st.lists(st.integers(0, 4), min_size=B, max_size=B)


class AnySteps(RuleBasedStateMachine):
    @initialize(block_size=st.sampled_from([1, 2, 3, 4, 16]), num_blocks=st.integers(2, 24))
    def begin(self, block_size, num_blocks):
        self.twins = Twins(block_size, num_blocks)

    @rule(counts=COUNTS, ragged=st.booleans(), window=st.sampled_from([None, 1, 4]))
    def append(self, counts, ragged, window):
        self.twins.append(counts, ragged, window)

    @rule(index=st.lists(st.integers(0, B - 1), min_size=B, max_size=B))
    def reorder(self, index):
        self.twins.reorder(index)

    @rule(most=st.lists(st.integers(0, ROOM), min_size=B, max_size=B))
    def truncate(self, most):
        self.twins.truncate(most)

    @rule(row=st.integers(0, B - 1), into=ROWS, length=st.integers(0, ROOM))
    def fork(self, row, into, length):
        self.twins.fork(row, into, length)

    @rule(rows=ROWS)
    def drop(self, rows):
        self.twins.drop(rows)

    @rule(rows=ROWS)
    def swap_out(self, rows):
        self.twins.swap_out(rows)

    @rule(number=st.integers(0, 3))
    def swap_in(self, number):
        self.twins.swap_in(number)

    @rule()
    def reset(self):
        self.twins.reset()

    @invariant()
    def equal(self):
        if hasattr(self, "twins"):
            self.twins.check()

    def teardown(self):
        if hasattr(self, "twins"):
            self.twins.reset()
            assert self.twins.paged.num_free == self.twins.paged.num_blocks


TestAnySteps = AnySteps.TestCase
TestAnySteps.settings = settings(max_examples=40, stateful_step_count=25)


def take_steps(num_steps):
    rng, refused = Random(0), 0
    for _ in range(num_steps // 250):
        block_size = rng.choice([1, 2, 3, 4, 16])
        enough = B * -(-ROOM // block_size)
        twins = Twins(block_size, rng.randint(enough // 2, enough))
        for _ in range(250):
            twins.random_step(rng)
            twins.check()
        refused += twins.refused
        twins.reset()
        assert twins.paged.num_free == twins.paged.num_blocks
    assert refused > num_steps / 100  # blocks did run out


def test_random_steps_give_what_the_contiguous_cache_gives_and_lose_no_block():
    take_steps(2_000)


@pytest.mark.slow
def test_100_000_steps_lose_no_block():
    take_steps(100_000)
