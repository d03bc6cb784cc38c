"""Which backend runs a call: the rules, what is asked, and who may decide otherwise."""

import pytest
import torch
from attention_cases import TOLERANCE, draw

from gqa_lib.kernels import (
    BACKENDS,
    Backend,
    Call,
    attend,
    available_backends,
    choose_backend,
    decode_attention,
    dispatch,
    tuned,
)

# ---- the rules


@pytest.fixture
def threads(monkeypatch):
    def set_threads(n):
        monkeypatch.setattr(torch, "get_num_threads", lambda: n)

    return set_threads


def chosen(Hq, Hkv, T, S, dtype=torch.float32, B=1, causal=True):
    return choose_backend(*draw(B, Hq, Hkv, T, S, 128, dtype), causal)


@pytest.mark.parametrize("Hkv", [1, 2, 8])
def test_cpu_decode_folds_in_fp32(threads, Hkv):
    threads(1)
    assert chosen(8, Hkv, 1, 64) == "fold_sdpa"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cpu_decode_in_half_precision_multiplies_where_onednn_does(monkeypatch, threads, dtype):
    threads(1)
    for fast, expected in ((True, "fold_matmul"), (False, "fold_sdpa")):
        monkeypatch.setattr(tuned, "_onednn_multiplies", lambda _, fast=fast: fast)
        assert chosen(8, 2, 1, 64, dtype) == expected
    monkeypatch.setattr(tuned, "_onednn_multiplies", lambda _: True)
    assert chosen(32, 1, 1, 64, dtype) == "fold_sdpa"  # 32 rows a KV head


def test_onednn_is_asked_about_the_half_type_and_no_other(monkeypatch):
    fast = {}
    for name in ("bf16", "fp16"):
        operator = f"_is_mkldnn_{name}_supported"
        monkeypatch.setattr(torch.ops.mkldnn, operator, lambda name=name: fast[name], raising=False)
    for fast["bf16"], fast["fp16"] in ((True, False), (False, True)):
        assert tuned._onednn_multiplies(torch.bfloat16) is fast["bf16"]
        assert tuned._onednn_multiplies(torch.float16) is fast["fp16"]
        assert tuned._onednn_multiplies(torch.float32) is False
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert tuned._onednn_multiplies(torch.float16) is False


def test_cpu_decode_splits_long_keys_when_threads_outnumber_kv_heads(threads):
    threads(4)
    assert chosen(8, 1, 1, 2048) == "split_kv"
    assert chosen(8, 1, 1, 2047) == "fold_sdpa"  # under 2 MiB
    assert chosen(8, 1, 1, 2048, B=4) == "fold_sdpa"  # a KV head for each thread
    assert chosen(8, 4, 1, 2048) == "fold_sdpa"


def test_decode_that_needs_gradients_is_never_split(threads):
    threads(4)
    q, k, v = draw(1, 8, 1, 1, 2048, 128)
    q.requires_grad_()
    assert choose_backend(q, k, v) == "fold_sdpa"
    with torch.no_grad():
        assert choose_backend(q, k, v) == "split_kv"


def test_cpu_prefill_skips_hidden_keys_and_short_chunks_fold(monkeypatch):
    monkeypatch.setattr(Call, "flash", True)  # old torch: False
    assert chosen(8, 2, 64, 64) == "sdpa_gqa"
    assert chosen(8, 2, 64, 128) == "fold_sdpa"  # 256 rows
    assert chosen(8, 2, 65, 128) == "sdpa_gqa"
    assert chosen(8, 8, 64, 128) == "sdpa_gqa"  # nothing to share
    assert chosen(8, 2, 64, 64, causal=False) == "fold_sdpa"
    monkeypatch.setattr(Call, "flash", False)
    assert chosen(8, 2, 64, 64) == "loop_sdpa"
    assert chosen(8, 2, 65, 128) == "fold_sdpa"


def test_gpu_takes_flash_or_a_way_that_does_not_expand(monkeypatch):
    def on_gpu(T, causal=True):
        return choose_backend(*draw(1, 8, 2, T, 16, 8, device="meta"), causal)

    monkeypatch.setattr(Call, "flash", True)
    assert {on_gpu(T) for T in (1, 3, 16)} == {"sdpa_gqa"}
    monkeypatch.setattr(Call, "flash", False)
    assert [on_gpu(T) for T in (1, 3, 16)] == ["fold_matmul", "fold_sdpa", "loop_sdpa"]
    assert on_gpu(16, causal=False) == "fold_sdpa"


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("T", [1, 3, 7])
@pytest.mark.parametrize("causal", [True, False])
def test_the_choice_can_always_run(device, dtype, T, causal):
    for Hkv in (1, 2, 6):
        inputs = draw(2, 6, Hkv, T, 7, 8, dtype, device)
        for tensors in (inputs, [t.mT.contiguous().mT for t in inputs]):
            assert choose_backend(*tensors, causal) in available_backends(*tensors, causal)


# ---- what is asked, and who decides


@pytest.fixture
def asked(monkeypatch):
    """The backends that are asked whether they can run a call, and the calls described to them."""
    seen = []

    def noting(backend):
        def unsupported(call):
            seen.append((backend.name, call))
            return backend.unsupported(call)

        return backend._replace(unsupported=unsupported)

    monkeypatch.setattr(dispatch, "BACKENDS", {n: noting(b) for n, b in BACKENDS.items()})
    return seen


@pytest.mark.parametrize("T", [1, 3, 7])
@pytest.mark.parametrize("backend", ["auto", "fold_matmul"])
def test_a_call_is_described_once_and_no_backend_asked_twice(asked, T, backend):
    inputs = draw(2, 6, 2, T, 7, 8)
    runs = [lambda: attend(*inputs, backend=backend)]
    if T == 1:
        runs.append(lambda: decode_attention(*inputs, backend=backend))
    for run in runs:
        asked.clear()
        run()
        names = [name for name, _ in asked]
        assert len(set(names)) == len(names) >= 1
        assert len({id(call) for _, call in asked}) == 1
        if backend != "auto":
            assert names == [backend]


def test_the_fastest_that_can_run_is_taken(monkeypatch):
    monkeypatch.setattr(dispatch, "fastest_first", lambda call: iter(("native", "loop_sdpa")))
    q, k, v = draw(2, 6, 2, 1, 7, 8)
    native = BACKENDS["native"]
    for reason, chosen in ((None, "native"), ("no", "loop_sdpa")):
        changed = native._replace(unsupported=lambda call, reason=reason: reason)
        monkeypatch.setitem(BACKENDS, "native", changed)
        assert choose_backend(q, k, v) == chosen


def test_environment_overrides_auto_but_not_an_argument(monkeypatch):
    ran = []

    def note(backend):
        return backend._replace(fn=lambda *args: (ran.append(backend.name), backend.fn(*args))[1])

    monkeypatch.setattr(dispatch, "BACKENDS", {n: note(b) for n, b in BACKENDS.items()})
    monkeypatch.setenv("GQA_BACKEND", "loop_sdpa")
    inputs = draw(2, 6, 2, 3, 7, 5)
    attend(*inputs)
    attend(*inputs, backend="fold_matmul")
    monkeypatch.setenv("GQA_BACKEND", "auto")
    attend(*inputs)
    assert ran == ["loop_sdpa", "fold_matmul", "fold_sdpa"]


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_unknown_backend_is_an_error_that_names_the_choices(monkeypatch, by):
    if by == "environment":
        monkeypatch.setenv("GQA_BACKEND", "fastest")
    with pytest.raises(ValueError, match="fastest") as error:
        attend(*draw(2, 6, 2, 3, 7, 5), backend="fastest" if by == "argument" else "auto")
    assert all(name in str(error.value) for name in ("auto", *BACKENDS))


def test_a_backend_can_be_registered(monkeypatch):
    mine = Backend("mine", lambda q, k, v, causal: q + 1, "a later kernel")
    monkeypatch.setitem(BACKENDS, "mine", mine)
    q, k, v = draw(2, 6, 2, 3, 7, 5)
    assert "mine" in available_backends(q, k, v)
    assert torch.equal(attend(q, k, v, backend="mine"), q + 1)


def test_a_backend_without_windows_is_not_given_one(monkeypatch):
    ran = []

    def mine(q, k, v, causal):
        ran.append(q.shape[2])
        return torch.zeros_like(q)

    monkeypatch.setitem(BACKENDS, "mine", Backend("mine", mine, "a later kernel"))
    q, k, v = draw(2, 6, 2, 3, 7, 5)
    with pytest.raises(ValueError, match=r"'mine' cannot run q \(2, 6, 3, 5\).*not the last"):
        attend(q, k, v, backend="mine", window=2)
    attend(q, k, v, backend="mine", window=7)  # hides nothing
    attend(q[:, :, :1], k, v, backend="mine", window=2)  # fewer keys do
    assert ran == [3, 1]
