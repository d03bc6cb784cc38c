"""The one dispatch for decoding: ragged and paged caches, the choice, and what it refuses."""

import pytest
import torch

from gqa_lib.kernels import (
    BACKENDS,
    Backend,
    attention_reference,
    available_decode_backends,
    choose_decode_backend,
    decode_attention,
    dispatch,
    tuned,
)
from gqa_lib.kernels.tolerances import ELEMENTWISE

PAGE = 4


def draw(B=3, Hq=6, Hkv=2, S=13, D=8, dtype=torch.float32, device="cpu"):
    q = torch.randn(B, Hq, 1, D, device=device).to(dtype)
    return q, *(torch.randn(B, Hkv, S, D, device=device).to(dtype) for _ in range(2))


def paged(k, v, lengths):
    """Pages in a shuffled order and their table; NaN and no page where there is no key."""
    B, Hkv, S, D = k.shape
    width = -(-S // PAGE)
    order = torch.randperm(B * width + 1)
    caches = [torch.full((len(order), Hkv, PAGE, D), torch.nan).to(k) for _ in range(2)]
    table = torch.full((B, width), -7)
    for b, length in enumerate(lengths):
        for i, start in enumerate(range(0, length, PAGE)):
            stop = min(start + PAGE, length)
            for cache, keys in zip(caches, (k, v), strict=True):
                cache[order[b * width + i], :, : stop - start] = keys[b, :, start:stop]
            table[b, i] = order[b * width + i]
    return *caches, table.to(k.device)


def assert_right(out, q, k, v, lengths):
    assert out.shape == q.shape
    assert out.dtype == q.dtype
    for b, length in enumerate(lengths):
        if length == 0:
            assert not out[b].any()
            continue
        row = slice(b, b + 1)
        expected = attention_reference(q[row], k[row, :, :length], v[row, :, :length])
        tolerance = ELEMENTWISE[q.dtype]
        torch.testing.assert_close(out[row].double(), expected, rtol=tolerance, atol=tolerance)


LENGTHS = [[13, 13, 13], [13, 1, 6], [0, 13, 4], [5, 5, 5], [0, 0, 0]]


@pytest.mark.parametrize("dtype", ELEMENTWISE)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_ragged_and_paged_equal_the_oracle_with_every_backend(device, lengths, dtype):
    q, k, v = draw(dtype=dtype, device=device)
    pages = paged(k, v, lengths)
    on_device = torch.tensor(lengths, device=device)
    for b, length in enumerate(lengths):
        k[b, :, length:], v[b, :, length:] = torch.nan, torch.nan
    for cache in ((k, v, on_device), (pages[0], pages[1], on_device.int(), pages[2])):
        names = available_decode_backends(q, *cache)
        assert {"fold_sdpa", "fold_matmul", "loop_sdpa"} <= set(names)
        for name in [*names, "auto"]:
            assert_right(decode_attention(q, *cache, backend=name), q, k, v, lengths)


@pytest.mark.parametrize("Hkv", [1, 2, 3, 6])
def test_whole_caches_equal_the_oracle(device, Hkv):
    q, k, v = draw(Hkv=Hkv, device=device)
    assert_right(decode_attention(q, k, v), q, k, v, [13] * 3)
    k_pages, v_pages, table = paged(k[:, :, :12], v[:, :, :12], [12] * 3)
    assert_right(decode_attention(q, k_pages, v_pages, None, table), q, k, v, [12] * 3)


def test_a_cache_without_keys_gives_zeros():
    q, k, v = draw()
    assert not decode_attention(q, k[:, :, :0], v[:, :, :0]).any()


# ---- what is copied


def pieces_seen(monkeypatch, *call):
    seen = []

    def note(q, k, v, causal):
        seen.append((q.shape[0], k))
        return torch.zeros_like(q)

    monkeypatch.setitem(BACKENDS, "note", Backend("note", note, "for a test"))
    decode_attention(*call, backend="note")
    return seen


def test_contiguous_caches_are_passed_on_as_views(monkeypatch):
    q, k, v = draw()
    for lengths, sizes in ((None, [3]), ([5, 5, 5], [3]), ([5, 0, 9], [1, 1])):
        given = None if lengths is None else torch.tensor(lengths)
        seen = pieces_seen(monkeypatch, q, k, v, given)
        assert [rows for rows, _ in seen] == sizes
        assert {part.untyped_storage().data_ptr() for _, part in seen} == {
            k.untyped_storage().data_ptr()
        }


def test_pages_are_copied_one_sequence_at_a_time_and_only_those_in_use(monkeypatch):
    q, k, v = draw()
    k_pages, v_pages, table = paged(k, v, [13, 2, 6])
    seen = pieces_seen(monkeypatch, q, k_pages, v_pages, torch.tensor([13, 2, 6]), table)
    assert [part.shape[2] for _, part in seen] == [13, 2, 6]
    sizes = [part.untyped_storage().nbytes() // (2 * 8 * 4) for _, part in seen]
    assert sizes == [16, 4, 8]


# ---- choice


def test_the_choice_is_the_rules_of_attend(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    q, k, v = draw(B=1, Hq=8, Hkv=1, S=2048, D=128)
    assert choose_decode_backend(q, k, v) == "split_kv"
    assert choose_decode_backend(q, k, v, torch.tensor([100])) == "fold_sdpa"
    pages, table = k.view(-1, 1, 16, 128), torch.arange(128).view(1, -1)
    assert choose_decode_backend(q, pages, pages, None, table) == "split_kv"


def test_a_gpu_takes_triton_for_what_would_wait_for_lengths(monkeypatch):
    class OnGPU(torch.Tensor):
        is_cuda = True

    triton = BACKENDS["triton"]._replace(unsupported=lambda *call: None)
    monkeypatch.setitem(BACKENDS, "triton", triton)
    monkeypatch.setattr(tuned, "fastest_first", lambda call: iter(["fold_sdpa"]))
    for dtype, lengths, chosen in (
        (torch.bfloat16, None, "triton"),
        (torch.float32, None, "fold_sdpa"),
        (torch.float32, torch.tensor([1, 2, 3]), "triton"),
    ):
        q, k, v = draw(dtype=dtype)
        assert choose_decode_backend(q.as_subclass(OnGPU), k, v, lengths) == chosen
    monkeypatch.setitem(BACKENDS, "triton", triton._replace(unsupported=lambda *call: "missing"))
    assert choose_decode_backend(q.as_subclass(OnGPU), k, v, lengths) == "fold_sdpa"


def test_told_by_argument_or_environment(monkeypatch):
    ran = []

    def note(backend):
        return backend._replace(fn=lambda *args: (ran.append(backend.name), backend.fn(*args))[1])

    monkeypatch.setattr(dispatch, "BACKENDS", {n: note(b) for n, b in BACKENDS.items()})
    monkeypatch.setenv("GQA_BACKEND", "loop_sdpa")
    q, k, v = draw()
    assert choose_decode_backend(q, k, v) == "loop_sdpa"
    decode_attention(q, k, v)
    decode_attention(q, k, v, backend="fold_matmul")
    assert ran == ["loop_sdpa", "fold_matmul"]


def test_a_backend_that_reads_pages_itself_is_given_the_call_as_it_is(monkeypatch):
    given = []

    def decode(*call):
        given.append(call)
        return call[0]

    mine = Backend("mine", None, "a later kernel", decode=decode)
    monkeypatch.setitem(BACKENDS, "mine", mine)
    q, k, v = draw()
    k_pages, v_pages, table = paged(k, v, [13] * 3)
    call = (q, k_pages, v_pages, torch.tensor([13, 2, 6]), table)
    decode_attention(*call, backend="mine")
    assert all(a is b for a, b in zip(given[0], call, strict=True))


# ---- what it refuses


def refused(match, *call, **options):
    with pytest.raises(ValueError, match=match):
        decode_attention(*call, **options)


def test_wrong_shapes_dtypes_devices_and_ratios_are_errors_with_the_numbers():
    q, k, v = draw()
    refused(r"q \(3, 6, 8\).*\(B, Hq, 1, D\)", q[:, :, 0], k, v)
    refused(r"q \(3, 6, 2, 8\)", q.expand(-1, -1, 2, -1), k, v)
    refused(r"v_cache \(3, 2, 12, 8\)", q, k, v[:, :, 1:])
    refused(r"k_cache \(2, 2, 13, 8\).*batch_size", q, k[1:], v[1:])
    refused(r"k_cache \(3, 2, 13, 7\).*head_dim", q, k[..., 1:], v[..., 1:])
    refused(r"num_heads=5 is not divisible by num_kv_heads=2.*from 1, 5", q[:, 1:], k, v)
    refused(r"v_cache torch.float16 on cpu", q, k, v.half())
    refused(r"k_cache torch.float32 on meta", q, k.to("meta"), v.to("meta"))


def test_wrong_lengths_and_tables_are_errors_with_the_numbers():
    q, k, v = draw()
    refused(
        r"lengths is torch.int64 \(2,\) on cpu, with 3 sequences", q, k, v, torch.tensor([1, 2])
    )
    refused(r"lengths is torch.float32", q, k, v, torch.ones(3))
    refused(r"lengths\[1\]=14, but a sequence has 0 to 13 keys", q, k, v, torch.tensor([1, 14, 2]))
    refused(r"lengths\[2\]=-1", q, k, v, torch.tensor([1, 13, -1]))
    k_pages, v_pages, table = paged(k, v, [13, 13, 13])
    refused(r"block_table is torch.int64 \(12,\)", q, k_pages, v_pages, None, table.flatten())
    refused(r"lengths\[0\]=17.*0 to 16 keys", q, k_pages, v_pages, torch.tensor([17, 1, 1]), table)
    table[1, 2] = 13
    refused(r"page 13, but k_cache has pages 0 to 12", q, k_pages, v_pages, None, table)
    decode_attention(q, k_pages, v_pages, torch.tensor([13, 8, 13]), table)  # not in use


def test_a_backend_that_cannot_run_says_why_and_names_those_that_can():
    q, k, v = draw()
    refused(r"'fastest' does not exist.*triton", q, k, v, backend="fastest")
    refused(r"'triton' cannot run.*GPU.*Choose from auto, .*fold_sdpa", q, k, v, backend="triton")
    assert "triton" not in available_decode_backends(q, k, v)
