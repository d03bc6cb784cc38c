"""What every cache must do alike, in whatever form it keeps the past."""

import pytest
import torch

from gqa_lib.attention import GroupedQueryAttention
from gqa_lib.cache import Cache, KVCache, PagedKVCache, QuantisedKVCache
from gqa_lib.kernels import attention_reference

B, HQ, HKV, D, ROOM = 3, 6, 2, 8, 16
CACHES = {
    "contiguous": lambda: KVCache(B, HKV, ROOM, D),
    "paged": lambda: PagedKVCache(B, HKV, 12, D, block_size=4),  # ROOM tokens for each row
    "quantised, all in the residual": lambda: QuantisedKVCache(
        B, HKV, ROOM, D, residual_length=ROOM
    ),
    "quantised": lambda: QuantisedKVCache(B, HKV, ROOM, D, run_size=3, residual_length=2),
}
TOLERANCE = {"quantised": 0.06}  # 8 bits; what is wrong is off by about 1


@pytest.fixture(params=CACHES)
def name(request):
    return request.param


@pytest.fixture
def cache(name):
    return CACHES[name]()


@pytest.fixture
def tolerance(name):
    return TOLERANCE.get(name, 1e-5)


def draw(T):
    return torch.randn(B, HQ, T, D), *torch.randn(2, B, HKV, T, D)


def expected(q, k, v, lengths, num_new, **how):
    """Attention of each row's last queries over its first tokens, zeros for padding."""
    out = torch.zeros(q.shape, dtype=torch.float64)
    for b, (S, n) in enumerate(zip(lengths, num_new, strict=True)):
        if n:
            own = q[b : b + 1, :, :n], k[b : b + 1, :, :S], v[b : b + 1, :, :S]
            out[b : b + 1, :, :n] = attention_reference(*own, **how)
    return out


def assert_close(out, wanted, tolerance):
    torch.testing.assert_close(out.double(), wanted.double(), rtol=tolerance, atol=tolerance)


def test_it_has_all_that_is_asked_for(cache):
    asked = {name for name in vars(Cache) if not name.startswith("_")}
    assert all(getattr(type(cache), name) is not getattr(Cache, name) for name in asked)


def test_positions_go_on_from_each_rows_length(cache):
    assert cache.positions(2).tolist() == [0, 1]
    cache.append(*draw(4)[1:])
    assert cache.positions(3).tolist() == [4, 5, 6]
    cache.append(*draw(2)[1:], [2, 0, 1])
    assert cache.lengths.tolist() == [6, 4, 5]
    positions = cache.positions(2)
    assert positions.tolist() == [[6, 7], [4, 5], [5, 6]]
    assert positions.dtype == cache.lengths.dtype == torch.int64


@pytest.mark.parametrize("how", [{}, {"window": 3}, {"causal": False}], ids=str)
@pytest.mark.parametrize("T", [1, 4])
def test_new_tokens_see_their_rows(cache, tolerance, T, how):
    q, k, v = draw(10 + T)
    cache.append(k[:, :, :10], v[:, :, :10])
    cache.append(k[:, :, 10:], v[:, :, 10:])
    new = q[:, :, 10:]
    wanted = expected(new, k, v, [10 + T] * B, [T] * B, **how)
    assert_close(cache.attend(new, **how), wanted, tolerance)


@pytest.mark.parametrize("how", [{}, {"window": 3}, {"causal": False}], ids=str)
def test_padding_is_neither_kept_nor_attended_for(cache, tolerance, how):
    q, k, v = draw(12)
    for b, S in enumerate((7, 12, 0)):
        k[b, :, S:] = v[b, :, S:] = torch.nan
    cache.append(k, v, torch.tensor([7, 12, 0]))
    assert cache.lengths.tolist() == [7, 12, 0]
    wanted = expected(q, k, v, [7, 12, 0], [7, 12, 0], **how)
    assert_close(cache.attend(q, **how), wanted, tolerance)


def test_bytes_do_not_depend_on_what_is_in_it(cache):
    before = cache.nbytes
    cache.append(*draw(ROOM)[1:])
    assert cache.nbytes == before > 0


def test_rows_take_each_others_places(cache):
    q, k, v = draw(9)
    cache.append(k, v, [9, 4, 6])
    before = cache.attend(q)
    for index in ([2, 2, 0], torch.tensor([1, 0, 2])):
        cache.reorder(index)
        before, q = before[index], q[index]
        assert_close(cache.attend(q), before, 1e-6)
    cache.reorder([1, 1, 1])
    new = draw(1)
    cache.append(*new[1:])
    alone = cache.attend(new[0])
    for b in (0, 2):  # rows that were made alike go on apart
        assert not torch.allclose(alone[b], alone[1])


def test_tokens_that_are_forgotten_are_not_seen(cache, tolerance):
    q, k, v = draw(13)
    cache.append(k[:, :, :12], v[:, :, :12], [12, 5, 8])
    cache.truncate([7, 9, 8])
    assert cache.lengths.tolist() == [7, 5, 8]
    cache.truncate(7)
    assert cache.lengths.tolist() == [7, 5, 7]
    lengths = [8, 6, 8]
    cache.append(k[:, :, 12:], v[:, :, 12:])
    for b, S in enumerate(lengths):
        k[b, :, S - 1], v[b, :, S - 1] = k[b, :, 12], v[b, :, 12]
    new = q[:, :, :1]
    assert_close(cache.attend(new), expected(new, k, v, lengths, [1] * B), tolerance)


def test_what_is_reset_is_as_new(cache, tolerance):
    cache.append(*draw(ROOM)[1:])
    cache.reset()
    assert cache.lengths.tolist() == [0, 0, 0]
    q, k, v = draw(ROOM)
    cache.append(k, v)
    assert_close(cache.attend(q), expected(q, k, v, [ROOM] * B, [ROOM] * B), tolerance)


REFUSED = {
    "shape": lambda cache, k: cache.append(k[..., :5], k[..., :5]),
    "dtype": lambda cache, k: cache.append(k.half(), k.half()),
    "values": lambda cache, k: cache.append(k, k[:, :, :1]),
    "num_new": lambda cache, k: cache.append(k, k, [1, 2, 99]),
    "room": lambda cache, k: cache.append(*[k.repeat(1, 1, 3, 1)] * 2),
    "index": lambda cache, k: cache.reorder([0, 1, 3]),
    "rows": lambda cache, k: cache.reorder([0, 1]),
    "length": lambda cache, k: cache.truncate(-1),
    "lengths": lambda cache, k: cache.truncate([1, 1.5, 1]),
    "queries": lambda cache, k: cache.attend(k[:, :, :1]),
    "window": lambda cache, k: cache.attend(k, window=0),
    "backend": lambda cache, k: cache.attend(k, "nope"),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(cache, call):
    q, k, v = draw(9)
    cache.append(k, v, [9, 2, 5])
    before = cache.attend(q)
    with pytest.raises(ValueError, match=r"\. "):
        call(cache, k)
    assert cache.lengths.tolist() == [9, 2, 5]
    assert torch.equal(cache.attend(q), before)


@torch.no_grad()
def test_a_layer_reads_in_parts_what_it_reads_at_once(cache, tolerance):
    layer, x = GroupedQueryAttention(48, HQ, HKV, rope=True), torch.randn(B, 14, 48)
    parts = [layer(x[:, s:e], cache) for s, e in ((0, 6), (6, 7), (7, 12), (12, 14))]
    assert_close(torch.cat(parts, 1), layer(x), tolerance)
