"""A cache of codes: what attention over it gives, what it takes, what it refuses."""

import random
import re

import pytest
import torch
from attention_cases import Allocations
from quantised_model import PlainRows

from gqa_lib.cache import Cache, KVCache, ModelCache, QuantisedKVCache
from gqa_lib.configs import ModelConfig
from gqa_lib.kernels import attention_reference
from gqa_lib.model import LanguageModel, generate

B, HQ, HKV, D, ROOM = 3, 6, 2, 7, 40  # D odd: half a byte of a packed row stays free
SIZES = {"bits": 4, "run_size": 4, "residual_length": 3}


def draw(T, dtype=torch.float32):
    q = torch.randn(B, HQ, T, D).to(dtype)
    return q, *(torch.randn(B, HKV, T, D).to(dtype) for _ in range(2))


def make(dtype=torch.float32, **other):
    return QuantisedKVCache(B, HKV, ROOM, D, dtype, **(SIZES | other))


def both(dtype=torch.float32, **other):
    """(an empty cache, the plain model of it)."""
    sizes = SIZES | other
    sizes.pop("chunk_size", None)
    return make(dtype, **other), PlainRows(B, HKV, D, dtype=dtype, **sizes)


def assert_rows(out, q, model, num_new, causal=True, window=None, tolerance=1e-5):
    assert out.shape == q.shape
    assert out.dtype == q.dtype
    for b, ((k, v), n) in enumerate(zip(model.rows, num_new, strict=True)):
        assert not out[b, :, n:].any(), f"padding of row {b}"
        if n:
            expected = attention_reference(q[b : b + 1, :, :n], k, v, causal, window)
            torch.testing.assert_close(
                out[b : b + 1, :, :n].double(), expected, rtol=tolerance, atol=tolerance
            )


def append(caches, T, num_new=None, dtype=torch.float32):
    """Append the same new tokens to a cache and its model; return their queries."""
    cache, model = caches
    q, k, v = draw(T, dtype)
    for b, n in enumerate(num_new or ()):
        k[b, :, n:] = v[b, :, n:] = torch.nan
    cache.append(k, v, num_new)
    model.append(k, v, num_new or [T] * B)
    return q


# ---- attention


@pytest.mark.parametrize("window", [None, 1, 6, 100])
@pytest.mark.parametrize("T", [1, 3, 9])
@pytest.mark.parametrize("bits", [8, 4])
def test_attention_is_that_over_what_the_codes_stand_for(bits, T, window):
    caches = both(bits=bits)
    append(caches, 25)
    q = append(caches, T)
    assert_rows(caches[0].attend(q, window=window), q, caches[1], [T] * B, window=window)
    if window is None:
        assert_rows(caches[0].attend(q, causal=False), q, caches[1], [T] * B, causal=False)


@pytest.mark.parametrize("lengths", [[0, 5, 25], [25, 1, 12], [0, 0, 0]])
@pytest.mark.parametrize("num_new", [[3, 0, 1], [1, 2, 3], [9, 9, 9], [0, 0, 0]])
@pytest.mark.parametrize("window", [None, 5])
def test_rows_of_different_lengths_are_as_if_alone(lengths, num_new, window):
    caches = both()
    append(caches, 25, lengths)
    q = append(caches, 9, num_new)
    assert caches[0].lengths.tolist() == caches[1].lengths
    assert caches[0].num_quantised == caches[1].codes
    assert_rows(caches[0].attend(q, window=window), q, caches[1], num_new, window=window)


@pytest.mark.parametrize("residual_length", [0, 3, 8, 100])
@pytest.mark.parametrize("run_size", [1, 4, 16, 64])
def test_runs_and_residuals_of_any_size(run_size, residual_length):
    caches = both(run_size=run_size, residual_length=residual_length)
    for T in (1, 17, 1, 1, 12, 1, 2, 5):
        q = append(caches, T)
        assert caches[0].num_quantised == caches[1].codes
        assert_rows(caches[0].attend(q), q, caches[1], [T] * B)
    assert caches[0].length == ROOM


@pytest.mark.parametrize("chunk_size", [1, 4, 9, 1000])
def test_the_size_of_a_chunk_makes_no_difference(chunk_size):
    q, k, v = draw(ROOM)
    one, other = make(), make(chunk_size=chunk_size)
    for cache in (one, other):
        cache.append(k, v)
    for T in (1, 5, ROOM):
        out = other.attend(q[:, :, -T:])
        torch.testing.assert_close(out, one.attend(q[:, :, -T:]), rtol=1e-5, atol=1e-6)


def test_queries_are_taken_some_at_a_time_and_none_is_lost():
    q, k, v = torch.randn(1, 4, 600, 8), *torch.randn(2, 1, 2, 600, 8)
    cache = QuantisedKVCache(1, 2, 600, 8, residual_length=600)
    cache.append(k, v)
    for window in (None, 70):
        expected = attention_reference(q, k, v, window=window)
        torch.testing.assert_close(
            cache.attend(q, window=window).double(), expected, rtol=1e-5, atol=1e-5
        )


def test_what_is_kept_does_not_depend_on_how_many_come_at_a_time():
    q, k, v = draw(33)
    whole, bits = make(), make()
    whole.append(k, v)
    for start, end in ((0, 1), (1, 12), (12, 13), (13, 30), (30, 33)):
        bits.append(k[:, :, start:end], v[:, :, start:end])
    assert whole.num_quantised == bits.num_quantised == [28] * B
    assert torch.equal(whole.attend(q[:, :, -1:]), bits.attend(q[:, :, -1:]))


def test_tokens_of_the_residual_are_exact():
    q, k, v = draw(9)
    cache = make(residual_length=9)
    cache.append(*draw(20)[1:])
    cache.append(k, v)
    expected = attention_reference(q[:, :, -1:], k, v, window=9)
    torch.testing.assert_close(
        cache.attend(q[:, :, -1:], window=9).double(), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("outlier", [1.0, 30.0])
def test_more_bits_are_nearer_to_float64(outlier):
    q, k, v = torch.randn(2, 8, 1, 32), *torch.randn(2, 2, 2, 320, 32)
    k[..., 5] *= outlier
    q[..., 5] /= outlier
    expected, errors = attention_reference(q, k, v), []
    for bits in (8, 4):
        cache = QuantisedKVCache(2, 2, 320, 32, bits=bits, residual_length=0)
        cache.append(k, v)
        errors.append(((cache.attend(q) - expected).norm() / expected.norm()).item())
    assert errors[0] < 0.015
    assert 5 * errors[0] < errors[1] < 0.2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(dtype):
    tolerance = {torch.bfloat16: 3e-2, torch.float16: 4e-3, torch.float64: 1e-9}[dtype]
    caches = both(dtype)
    append(caches, 25, dtype=dtype)
    q = append(caches, 3, dtype=dtype)
    assert_rows(caches[0].attend(q), q, caches[1], [3] * B, tolerance=tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_largest_numbers_give_finite_averages(dtype):
    _, k, v = draw(30, dtype)
    q = torch.full((B, HQ, 1, D), 1000.0).to(dtype)
    v.fill_(60000)
    cache = make(dtype)
    cache.append(k * 1000, v)
    assert torch.equal(cache.attend(q), torch.full_like(q, 60000))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bits", [8, 4])
def test_the_largest_numbers_stay_finite_when_a_run_is_cut_and_filled_up(dtype, bits):
    most = 65504.0 if dtype == torch.float16 else 1.5 * 2.0**126  # a range that float32 has
    cache = QuantisedKVCache(1, 1, 8, 2, dtype, bits=bits, run_size=4, residual_length=0)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=dtype)[:, None]
    k = (signs * most).expand(1, 1, 4, 2)
    v = torch.ones_like(k)
    cache.append(k, v)
    cache.truncate(3)
    cache.append(k[:, :, 3:], v[:, :, 3:])
    out = cache.attend(torch.ones(1, 2, 1, 2, dtype=dtype) * 1e-6)
    assert cache.num_quantised == [4]
    assert out.isfinite().all()
    assert all(part.isfinite().all() for part in cache._store.runs.read([0], 0, 1))


def test_no_token_at_all():
    cache = make()
    q = draw(0)[0]
    assert cache.attend(q).shape == q.shape
    cache.append(*draw(2)[1:], [2, 0, 0])
    assert not cache.attend(draw(2)[0])[1:].any()
    assert QuantisedKVCache(0, 2, 9, 4).attend(torch.empty(0, 4, 1, 4)).shape == (0, 4, 1, 4)


# ---- any sequence of steps


def one_step(rng, cache, model):
    """Do something to both caches; return (q, its rows' counts) if tokens were appended."""
    step = rng.choice(["append", "append", "append", "append", "truncate", "reorder", "reset"])
    if step == "append":
        T = rng.randint(1, 12)
        counts = [rng.randint(0, min(T, ROOM - length)) for length in model.lengths]
        if rng.random() < 0.5:
            counts = [min(T, ROOM - max(model.lengths))] * B
            T = counts[0]
        return append((cache, model), T, counts), counts
    if step == "truncate":
        lengths = [rng.randint(0, length + 1) for length in model.lengths]
        cache.truncate(lengths)
        model.truncate(lengths)
    elif step == "reorder":
        index = [rng.randrange(B) for _ in range(B)]
        cache.reorder(index)
        model.reorder(index)
    elif rng.random() < 0.3:
        cache.reset()
        model.truncate([0] * B)
    return None


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_steps_gives_what_the_plain_model_gives(seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    sizes = {"bits": rng.choice([8, 4]), "residual_length": rng.choice([0, 3, 10])}
    cache, model = both(**sizes, chunk_size=rng.choice([1, 8, 512]))
    for _ in range(40):
        appended = one_step(rng, cache, model)
        assert cache.lengths.tolist() == model.lengths
        assert cache.num_quantised == model.codes
        if appended:
            q, counts = appended
        elif min(model.lengths) > 0:
            cache.truncate(ROOM)  # nothing is new any more
            q, counts = draw(1)[0], [1] * B
        else:
            continue
        window = rng.choice([None, None, rng.randint(1, ROOM)])
        assert_rows(cache.attend(q, window=window), q, model, counts, window=window)


def test_a_run_that_is_cut_stays_codes_and_is_quantised_again_when_it_is_full():
    caches = both(residual_length=0)
    append(caches, 12)
    caches[0].truncate(6)
    caches[1].truncate([6] * B)
    assert caches[0].num_quantised == [6] * B
    for expected in (6, 8):
        q = append(caches, 1)
        assert caches[0].num_quantised == [expected] * B
        assert_rows(caches[0].attend(q), q, caches[1], [1] * B)


def test_reorder_keeps_what_is_new_in_each_row():
    cache = make()
    cache.append(*draw(20)[1:], [20, 2, 9])
    q, k, v = draw(3)
    cache.append(k, v, [1, 3, 2])
    before = cache.attend(q)
    cache.reorder([2, 2, 0])
    torch.testing.assert_close(cache.attend(q[[2, 2, 0]]), before[[2, 2, 0]])


# ---- bytes


@pytest.mark.parametrize(("bits", "row"), [(8, 7), (4, 4)])
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_nbytes_is_every_byte_that_is_allocated(dtype, size, bits, row):
    with Allocations() as made:
        cache = make(dtype, bits=bits)
    runs = (ROOM - 3) // 4
    codes = 2 * runs * 4 * row
    scales = 2 * size * runs * (D + 4)  # and zeros: D channels of keys, 4 values
    residual = 2 * size * (3 + 4) * D
    assert cache.nbytes == B * HKV * (codes + scales + residual)
    assert sum(t.untyped_storage().nbytes() for t in made.made) == cache.nbytes
    assert cache.bytes_per_token * runs * 4 * B == B * HKV * (codes + scales)
    append((cache, PlainRows(B, HKV, D, bits, 4, 3, dtype)), 30, dtype=dtype)
    assert cache.nbytes == B * HKV * (codes + scales + residual)


def test_a_token_takes_what_its_bits_and_its_share_of_scales_take():
    cache = QuantisedKVCache(1, 8, 4096, 128, torch.bfloat16, bits=4)
    assert cache.bytes_per_token == 8 * (2 * 64 + 2 * 2 + 2 * 2 * 128 / 64)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("window", [None, 300])
@torch.no_grad()
def test_no_tensor_as_large_as_all_keys_is_made(bits, window):
    S = 1024
    q, k, v = torch.randn(2, 8, 1, 32), *torch.randn(2, 2, 4, S, 32)
    with Allocations(q, k, v) as made:
        cache = QuantisedKVCache(2, 4, S, 32, bits=bits, residual_length=64, chunk_size=128)
        its_own = len(made.made)
        cache.append(k, v)
        cache.attend(q, window=window)
    assert 0 < max(made.sizes[its_own:]) <= k.numel() * 128 // S


@torch.no_grad()
def test_nothing_is_expanded_to_query_heads():
    q, k, v = torch.randn(1, 16, 1, 16), *torch.randn(2, 1, 2, 256, 16)
    with Allocations(q, k, v) as made:
        cache = QuantisedKVCache(1, 2, 256, 16, residual_length=64)
        its_own = len(made.made)
        cache.append(k, v)
        cache.attend(q)
    assert 0 < max(made.sizes[its_own:]) <= k.numel()


# ---- with a layer, a model, and what is refused


def test_generating_with_a_model_goes_through_it():
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig("toy", 2, 6, 2, 4, 24, d_ff=32, vocab_size=13))
    prompts = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 1]]
    expected = generate(model, prompts, 12)
    layers = [QuantisedKVCache(2, 2, 20, 4, run_size=4, residual_length=4) for _ in range(2)]
    assert generate(model, prompts, 12, cache=ModelCache(layers)) == expected
    assert layers[1].num_quantised == [16, 8]
    assert ModelCache(layers).nbytes == 2 * layers[0].nbytes


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_what_does_not_fit_is_refused_and_changes_nothing():
    cache = make()
    q, k, v = draw(12)
    cache.append(k, v, [12, 5, 0])
    before = cache.attend(q)
    refused("k has shape (3, 2, 12, 6)", lambda: cache.append(k[..., :6], v))
    refused("k has 12 new tokens and v has 2", lambda: cache.append(k, v[:, :, :2]))
    refused("k is torch.bfloat16", lambda: cache.append(k.bfloat16(), v.bfloat16()))
    refused("num_new=[1, 2, 13]", lambda: cache.append(k, v, [1, 2, 13]))
    big = torch.randn(B, HKV, 30, D)
    refused("holds 12 tokens and 30 more make 42", lambda: cache.append(big, big))
    refused("index=[0, 3, 1]", lambda: cache.reorder([0, 3, 1]))
    refused("length=[1, 2, 41]", lambda: cache.truncate([1, 2, 41]))
    refused("q has T=3 queries", lambda: cache.attend(q[:, :, :3]))
    refused("float64", lambda: cache.attend(q.double()))
    refused("window=0", lambda: cache.attend(q, window=0))
    refused("backend='fold_sdpa'", lambda: cache.attend(q, "fold_sdpa"))
    refused("backend=None", lambda: cache.attend(q, None))
    assert cache.lengths.tolist() == [12, 5, 0]
    assert torch.equal(cache.attend(q), before)


@pytest.mark.parametrize(
    ("message", "sizes"),
    [
        ("bits=2 is not known here", {"bits": 2}),
        ("run_size=0", {"run_size": 0}),
        ("residual_length=-1", {"residual_length": -1}),
        ("chunk_size='all'", {"chunk_size": "all"}),
        ("dtype=torch.int8", {"dtype": torch.int8}),
        ("dtype='bf16'", {"dtype": "bf16"}),
    ],
)
def test_sizes_that_make_no_cache_are_refused(message, sizes):
    refused(message, lambda: make(**sizes))


def test_it_has_all_that_the_protocol_asks_for():
    asked = {name for name in vars(Cache) if not name.startswith("_")}
    assert all(getattr(QuantisedKVCache, name) is not getattr(Cache, name) for name in asked)
    sizes = 2, 2, 9, 4, torch.bfloat16, "cpu"
    assert type(QuantisedKVCache(*sizes).lengths) is type(KVCache(*sizes).lengths)
