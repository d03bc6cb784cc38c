"""Rows of a cache that differ in length: each must be what it would be alone."""

import random
import re

import numpy as np
import pytest
import torch
from attention_cases import assert_near

from gqa_lib.cache import Cache, KVCache
from gqa_lib.kernels import attention_reference, available_backends, available_decode_backends

B, HQ, HKV, D, ROOM = 3, 6, 2, 8, 13  # head_dim is what the native operator takes


def draw(T, dtype=torch.float32, device="cpu"):
    q = torch.randn(B, HQ, T, D).to(device, dtype)
    return q, *(torch.randn(B, HKV, T, D).to(device, dtype) for _ in range(2))


def filled(lengths, dtype=torch.float32, device="cpu"):
    """(cache with so many tokens in each row and NaN behind them, its keys, its values)."""
    cache = KVCache(B, HKV, ROOM, D, dtype, device)
    nan = torch.full((B, HKV, ROOM, D), torch.nan, dtype=dtype, device=device)
    cache.append(nan, nan)
    cache.reset()
    _, k, v = draw(ROOM, dtype, device)
    cache.append(k, v, lengths)
    return cache, k, v


def assert_rows(out, q, rows, num_new, causal=True, window=None):
    """Check each row of `out` against the oracle over its own (k, v), and its padding."""
    assert out.shape == q.shape
    assert out.dtype == q.dtype
    for b, ((k, v), n) in enumerate(zip(rows, num_new, strict=True)):
        assert not out[b, :, n:].any(), f"padding of row {b}"
        if n:
            expected = attention_reference(q[b : b + 1, :, :n], k, v, causal, window)
            assert_near(out[b : b + 1, :, :n], expected, f"row {b}")


def own_rows(k, v, lengths):
    return [(k[b : b + 1, :, :n], v[b : b + 1, :, :n]) for b, n in enumerate(lengths)]


def joined(old, new, lengths, num_new):
    """Each row's own tokens of `old`, then those of `new`."""
    return [
        torch.cat((old[b : b + 1, :, :length], new[b : b + 1, :, :n]), 2)
        for b, (length, n) in enumerate(zip(lengths, num_new, strict=True))
    ]


# ---- attention over rows of different lengths


LENGTHS = [[0, 4, 10], [10, 1, 7], [6, 6, 6], [0, 0, 0], [10, 10, 10]]  # ROOM - 3 is full


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("T", [1, 3])
def test_every_row_is_as_if_it_were_alone(device, T, lengths, dtype):
    cache, old_k, old_v = filled(lengths, dtype, device)
    q, k, v = draw(T, dtype, device)
    cache.append(k, v)
    counts = [T] * B
    rows = list(
        zip(*(joined(o, n, lengths, counts) for o, n in ((old_k, k), (old_v, v))), strict=True)
    )
    whole = q[:1], rows[0][0], rows[0][1]
    names = available_backends(*whole) if T > 1 else available_decode_backends(*whole)
    assert {"fold_sdpa", "fold_matmul", "loop_sdpa"} <= set(names)
    for name in [*names, "auto"]:
        assert_rows(cache.attend(q, name), q, rows, counts)


@pytest.mark.parametrize("num_new", [[3, 0, 1], [1, 2, 3], [0, 0, 2], [0, 0, 0], [3, 3, 3]])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_is_neither_cached_nor_attended_to(device, num_new, causal):
    lengths = [5, 0, 10]
    cache, old_k, old_v = filled(lengths, device=device)
    q, k, v = draw(3, device=device)
    for b, n in enumerate(num_new):
        for t in (q, k, v):
            t[b, :, n:] = torch.nan
    cache.append(k, v, torch.tensor(num_new))
    assert cache.lengths.tolist() == [5 + num_new[0], num_new[1], 10 + num_new[2]]
    keys, values = joined(old_k, k, lengths, num_new), joined(old_v, v, lengths, num_new)
    out = cache.attend(q, causal=causal)
    assert_rows(out, q, list(zip(keys, values, strict=True)), num_new, causal)


def test_one_new_token_in_some_rows_only(device):
    cache, old_k, old_v = filled([5, 7, 0], device=device)
    q, k, v = draw(1, device=device)
    cache.append(k, v, [1, 0, 1])
    keys, values = (joined(o, n, [5, 7, 0], [1, 0, 1]) for o, n in ((old_k, k), (old_v, v)))
    assert_rows(cache.attend(q), q, list(zip(keys, values, strict=True)), [1, 0, 1])


@pytest.mark.parametrize("window", [1, 4, 11, 100])
@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("lengths", [[0, 4, 10], [6, 6, 6]])
def test_a_window_counts_back_in_each_row(device, lengths, T, window):
    cache, old_k, old_v = filled(lengths, device=device)
    q, k, v = draw(T, device=device)
    cache.append(k, v)
    keys, values = (joined(o, n, lengths, [T] * B) for o, n in ((old_k, k), (old_v, v)))
    out = cache.attend(q, window=window)
    assert_rows(out, q, list(zip(keys, values, strict=True)), [T] * B, window=window)


def test_the_native_operator_reads_the_lengths_itself(built):
    cache, old_k, old_v = filled([0, 4, 10])
    q, k, v = draw(1)
    cache.append(k, v)
    keys, values = (joined(o, n, [0, 4, 10], [1] * B) for o, n in ((old_k, k), (old_v, v)))
    assert_rows(cache.attend(q, "native"), q, list(zip(keys, values, strict=True)), [1] * B)


def test_the_newest_queries_alone_are_enough():
    cache, k, v = filled([4, 9, 6])
    cache.truncate([4, 9, 6])
    q, *_ = draw(2)
    assert_rows(cache.attend(q), q, own_rows(k, v, [4, 9, 6]), [2, 2, 2])


# ---- any sequence of what can be done to a cache


class Rows:
    """The plainest cache: for each row a list of (key, value), each (Hkv, D)."""

    def __init__(self):
        self.rows = [[] for _ in range(B)]
        self.num_new = None  # at the last append, if any row had padding

    def append(self, k, v, num_new):
        for b, n in enumerate(num_new):
            self.rows[b] += [(k[b, :, t], v[b, :, t]) for t in range(n)]
        self.num_new = num_new if set(num_new) != {k.shape[2]} else None

    def tensors(self):
        """(k, v) of each row, (1, Hkv, S, D)."""
        empty = torch.empty(1, HKV, 0, D)
        return [
            tuple(torch.stack(part, 1)[None] for part in zip(*row, strict=True)) or (empty, empty)
            for row in self.rows
        ]


def one_step(rng, cache, model):
    """Do something to both caches; return what each row got, or None where nothing was appended."""
    lengths = [len(row) for row in model.rows]
    step = rng.choice(
        ["append", "append", "append", "rows", "rows", "truncate", "reorder", "reset"]
    )
    if step in ("append", "rows"):
        T = rng.randint(1, 4)
        counts = [T] * B
        if step == "rows":
            counts = [rng.randint(0, min(T, ROOM - length)) for length in lengths]
        if max(map(sum, zip(lengths, counts, strict=True))) > ROOM:
            with pytest.raises(ValueError, match="max_seq_len"):
                cache.append(*draw(T)[1:])
            return None
        q, k, v = draw(T)
        k_all, _ = cache.append(k, v, None if step == "append" else counts)
        model.append(k, v, counts)
        assert k_all.shape[2] == cache.length
        return q, counts
    if step == "truncate":
        most = rng.choice([rng.randint(0, ROOM), [rng.randint(0, ROOM) for _ in range(B)]])
        cache.truncate(most)
        each = [most] * B if isinstance(most, int) else most
        model.rows = [row[:n] for row, n in zip(model.rows, each, strict=True)]
        model.num_new = None
    elif step == "reorder":
        index = [rng.randrange(B) for _ in range(B)]
        cache.reorder(rng.choice([index, torch.tensor(index)]))
        model.rows = [list(model.rows[b]) for b in index]
        model.num_new = model.num_new and [model.num_new[b] for b in index]
    else:
        cache.reset()
        model.rows, model.num_new = [[] for _ in range(B)], None
    return None


@pytest.mark.parametrize("seed", range(15))
def test_any_sequence_of_steps_gives_what_lists_of_rows_give(seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    cache, model = KVCache(B, HKV, ROOM, D), Rows()
    for _ in range(30):
        appended = one_step(rng, cache, model)
        lengths = [len(row) for row in model.rows]
        assert cache.lengths.tolist() == lengths
        assert cache.length == max(lengths)
        positions = cache.positions(2)
        assert positions.expand(B, 2).tolist() == [[n, n + 1] for n in lengths]
        assert positions.dim() == (1 if len(set(lengths)) == 1 else 2)
        rows = model.tensors()
        if appended:
            q, counts = appended
        elif model.num_new:  # and rows have changed places since
            q, counts = draw(4)[0], model.num_new
        elif min(lengths) > 0:
            q, counts = draw(1)[0], [1] * B
        else:
            continue
        name = rng.choice(["auto", "fold_sdpa", "fold_matmul", "loop_sdpa"])
        window = rng.choice([None, None, rng.randint(1, ROOM)])
        assert_rows(cache.attend(q, name, window=window), q, rows, counts, window=window)


def test_reorder_keeps_what_is_new_in_each_row():
    cache, _, _ = filled([2, 5, 3])
    q, k, v = draw(3)
    cache.append(k, v, [1, 3, 2])
    before = cache.attend(q)
    cache.reorder([2, 2, 0])
    torch.testing.assert_close(cache.attend(q[[2, 2, 0]]), before[[2, 2, 0]])


# ---- what it refuses


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_wrong_numbers_for_rows_are_errors_that_change_nothing():
    cache, _, _ = filled([2, 5, 3])
    _, k, v = draw(2)
    refused("num_new=[1, 2] for 3 rows", lambda: cache.append(k, v, [1, 2]))
    refused("num_new=[1, 3, 0] for 3 rows", lambda: cache.append(k, v, [1, 3, 0]))
    refused("num_new=[1, -1, 0]", lambda: cache.append(k, v, torch.tensor([1, -1, 0])))
    refused("index=[0, 3, 1] for 3 rows", lambda: cache.reorder([0, 3, 1]))
    refused("index=[0, 1] for 3 rows", lambda: cache.reorder(torch.tensor([0, 1])))
    refused("length=[-1, -1, -1]", lambda: cache.truncate(-1))
    refused("length=[1, 2, 14]", lambda: cache.truncate([1, 2, 14]))
    assert cache.lengths.tolist() == [2, 5, 3]


NOT_WHOLE = [  # none of these is a whole number for each of three rows
    [1, 1.5, 1],
    [1.0, 1.0, 1.0],
    [True, False, True],
    torch.tensor([True, False, True]),
    torch.tensor([1.0, 1.0, 1.0]),
    np.array([True, False, True]),
    np.array([1.0, 1.0, 1.0]),
    [[1], [1], [1]],
    torch.tensor([[1], [1], [1]]),
    [1, None, 1],
    "111",
    torch.tensor([1]),
    1.5,
    True,
    None,
]


@pytest.mark.parametrize("numbers", NOT_WHOLE, ids=repr)
def test_what_is_not_a_whole_number_for_each_row_is_an_error_that_changes_nothing(numbers):
    cache, _, _ = filled([2, 5, 3])
    q, k, v = draw(2)
    cache.append(k, v, [1, 2, 0])
    before = cache.attend(q)
    calls = {
        "num_new": lambda: cache.append(k, v, numbers),
        "index": lambda: cache.reorder(numbers),
        "length": lambda: cache.truncate(numbers),
    }
    if numbers is None:
        del calls["num_new"]  # all T for each row
    for name, call in calls.items():
        refused(f"{name}=", call)
    assert cache.lengths.tolist() == [3, 7, 3]
    assert torch.equal(cache.attend(q), before)


@pytest.mark.parametrize("number", [1, torch.tensor(1), np.int64(1), np.array(1)], ids=repr)
def test_one_number_for_all_rows_is_for_truncating_only(number):
    cache, _, _ = filled([2, 5, 0])
    _, k, v = draw(2)
    refused("for 3 rows: each row needs one of its own", lambda: cache.append(k, v, number))
    refused("for 3 rows: each row needs one of its own", lambda: cache.reorder(number))
    cache.truncate(number)
    assert cache.lengths.tolist() == [1, 1, 0]


@pytest.mark.parametrize("kind", [tuple, iter, np.array, torch.tensor])
def test_whole_numbers_for_rows_may_come_in_any_kind(kind):
    cache, _, _ = filled([2, 5, 3])
    _, k, v = draw(2)
    cache.append(k, v, kind([1, 0, 2]))
    assert cache.lengths.tolist() == [3, 5, 5]
    cache.reorder(kind([2, 2, 0]))
    assert cache.lengths.tolist() == [5, 5, 3]
    cache.truncate(kind([1, 9, 2]))
    assert cache.lengths.tolist() == [1, 5, 2]


def test_a_full_row_is_named():
    cache, _, _ = filled([2, 12, 3])
    _, k, v = draw(2)
    refused("row 1 of the cache holds 12 tokens and 2 more make 14", lambda: cache.append(k, v))
    cache.append(k, v, [2, 1, 2])
    assert cache.lengths.tolist() == [4, 13, 5]


def test_queries_must_be_those_of_tokens_in_the_cache():
    cache, _, _ = filled([1, 5, 3])
    q, k, v = draw(3)
    cache.truncate([1, 5, 3])
    refused("q has T=3 queries, for the last 3 of the 1 tokens that row 0", lambda: cache.attend(q))
    cache.append(k, v, [3, 2, 1])
    refused("q has T=2 queries, for the last 3 of the 4", lambda: cache.attend(q[:, :, :2]))
    refused("q (3, 6, 3, 7)", lambda: cache.attend(q[..., :7]))
    refused("torch.bfloat16", lambda: cache.attend(q.bfloat16()))


def test_the_contiguous_cache_has_all_that_the_protocol_asks_for():
    asked = {name for name in vars(Cache) if not name.startswith("_")}
    assert asked - {"check_truncate"} == {
        *("append", "attend", "lengths", "nbytes", "positions", "reorder", "truncate")
    }
    assert all(getattr(KVCache, name) is not getattr(Cache, name) for name in asked)
