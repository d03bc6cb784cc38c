"""How many parts the keys are cut into: whole numbers, no GPU."""

import pytest

from gqa_lib.kernels.triton_splits import MAX_PARTS, fewest_keys, plan_cut

SM = 132


def cut(
    B, Hkv, S, *, R=4, D=128, itemsize=2, block=64, ragged=False, multiprocessors=SM, **options
):
    min_keys = fewest_keys(R, D, itemsize)
    return plan_cut(
        B,
        Hkv,
        S,
        min_keys=min_keys,
        block=block,
        multiprocessors=multiprocessors,
        ragged=ragged,
        **options,
    )


@pytest.mark.parametrize("R", [1, 3, 4, 32])
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("D", [64, 128, 256])
def test_partial_results_are_at_most_3_percent_of_the_keys_and_values(D, itemsize, R):
    for B in (1, 3, 40):
        for S in (1, 100, 1000, 4096, 131072):
            parts = cut(B, 8, S, R=R, D=D, itemsize=itemsize).parts
            partial_bytes = parts * R * (D + 1) * 4 * 2
            assert parts == 1 or partial_bytes <= 0.03 * 2 * S * D * itemsize


def test_fewest_keys_is_the_fewest():
    for R, D, itemsize in ((1, 64, 2), (4, 128, 2), (7, 96, 4)):
        keys = fewest_keys(R, D, itemsize)
        for n, enough in ((keys, True), (keys - 1, False)):
            assert (0.03 * n * 2 * D * itemsize >= 2 * R * (D + 1) * 4) is enough


@pytest.mark.parametrize("num_splits", [None, 1, 3, 50])
def test_every_key_is_in_a_part_and_no_part_is_empty(num_splits):
    for S in (1, 63, 64, 65, 1000, 4097):
        got = cut(2, 4, S, num_splits=num_splits)
        assert got.keys % 64 == 0
        assert got.parts * got.keys >= S
        assert (got.parts - 1) * got.keys < S
        assert got.programs == 2 * got.parts


def test_a_small_batch_fills_the_gpu_and_a_large_one_is_left_whole():
    assert 0.85 * 2 * SM <= 8 * cut(1, 8, 131072).parts <= 2 * SM
    assert cut(256, 8, 4096).parts == 1
    assert cut(1, 8, 131072, multiprocessors=20).parts < cut(1, 8, 131072).parts
    assert cut(1, 1, 10**7, R=1).parts <= MAX_PARTS


def test_a_second_round_of_programs_is_filled_too():
    """300 programs on 264 places would leave 228 of them idle in the second round."""
    assert cut(75, 4, 131072).parts == 3


def parts_of(got, lengths, Hkv):
    """What the kernels make of a ragged batch, before rounding to blocks leaves fewer."""
    share = max(got.keys, -(-sum(lengths) * Hkv // got.slots))
    return [max(1, min(n // share, got.parts)) for n in lengths]


@pytest.mark.parametrize("num_splits", [None, 4])
def test_ragged_parts_always_find_a_program(num_splits):
    for lengths in (
        [131072] * 3,
        [131072] + [1] * 63,
        [0] * 5,
        [5000, 100, 131072, 70000],
        [131072],
    ):
        for Hkv in (1, 3, 8):
            got = cut(len(lengths), Hkv, 131072, ragged=True, num_splits=num_splits)
            assert sum(parts_of(got, lengths, Hkv)) <= got.programs


def test_one_long_sequence_in_a_ragged_batch_is_cut_finer_than_the_short_ones():
    lengths = [131072] + [1024] * 63
    parts = parts_of(cut(64, 8, 131072, ragged=True), lengths, 8)
    assert parts[0] > 20
    assert set(parts[1:]) == {1}
