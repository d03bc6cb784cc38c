"""The cache of latents: what it keeps, and what it refuses."""

import re

import pytest
import torch

from gqa_lib.cache import LatentCache
from gqa_lib.kernels import attention_reference, available_decode_backends

B, ROOM, RANK, ROPE, HEADS = 3, 9, 12, 4, 6


def draw(T, dtype=torch.float32, device=None):
    made = torch.randn(B, T, RANK + ROPE, dtype=dtype, device=device)
    return made.split((RANK, ROPE), -1)


def filled(lengths, device=None):
    """A cache with so many tokens in each row and NaN behind them, and what was appended."""
    cache = LatentCache(B, ROOM, RANK, ROPE, device=device)
    cache.memory.fill_(torch.nan)
    latent, rope_key = draw(ROOM, device=device)
    cache.append(latent, rope_key, lengths)
    return cache, torch.cat((latent, rope_key), -1)


def test_a_token_costs_its_latent_and_its_rotary_key():
    cache = LatentCache(B, ROOM, RANK, ROPE, torch.bfloat16)
    assert cache.nbytes == B * ROOM * (RANK + ROPE) * 2
    assert cache.memory.shape == (B, ROOM, RANK + ROPE)


@pytest.mark.parametrize("lengths", [[7, 2, 5], [4, 4, 4]])
@pytest.mark.parametrize("T", [1, 2])
def test_it_reads_as_one_kv_head_whose_values_are_the_latents(lengths, T, device):
    cache, kept = filled(lengths, device)
    q = torch.randn(B, HEADS, T, RANK + ROPE, device=device)
    latent, rope_key = draw(T, device=device)
    cache.append(latent, rope_key)
    out = cache.attend(q)
    assert out.shape == (B, HEADS, T, RANK)
    for b, length in enumerate(lengths):
        row = torch.cat((kept[b, :length], torch.cat((latent, rope_key), -1)[b]))[None, None]
        expected = attention_reference(q[b : b + 1], row, row)[..., :RANK]
        torch.testing.assert_close(out[b : b + 1].double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["fold_sdpa", "fold_matmul", "loop_sdpa", "split_kv", "native"])
def test_every_backend_reads_keys_that_are_the_values_too(name):
    cache, kept = filled([6] * B)
    cache.truncate(6)  # the query is the last token's, whatever was appended with it
    q = torch.randn(B, HEADS, 1, RANK + ROPE)
    memory = cache.memory[:, None, :6]
    if name not in available_decode_backends(q, memory, memory):
        pytest.skip(f"{name} does not run here")
    expected = attention_reference(q, kept[:, None, :6], kept[:, None, :6])[..., :RANK]
    torch.testing.assert_close(cache.attend(q, name).double(), expected, rtol=1e-5, atol=1e-5)


def test_padding_is_not_kept_and_its_output_is_zero():
    cache, kept = filled([3, 1, 2])
    latent, rope_key = draw(2)
    seen = cache.append(latent, rope_key, [2, 0, 1])
    assert cache.lengths.tolist() == [5, 1, 3]
    assert torch.equal(seen[0], torch.cat((kept[0, :3], torch.cat((latent, rope_key), -1)[0])))
    out = cache.attend(torch.randn(B, HEADS, 2, RANK + ROPE))
    assert not out[1].any()
    assert not out[2, :, 1:].any()
    assert out[0].isfinite().all()


def test_positions_go_on_from_each_rows_length():
    cache, _ = filled([3, 1, 2])
    assert cache.positions(2).tolist() == [[3, 4], [1, 2], [2, 3]]
    cache.truncate(1)
    assert cache.positions(2).tolist() == [1, 2]
    cache.reset()
    assert cache.length == 0


def test_rows_move_and_end_where_they_are_told():
    cache, kept = filled([3, 1, 2])
    cache.reorder([2, 1, 0])
    assert cache.lengths.tolist() == [2, 1, 3]
    assert torch.equal(cache.memory[2, :3], kept[0, :3])
    assert torch.equal(cache.memory[0, :2], kept[2, :2])
    cache.truncate([1, 5, 2])
    assert cache.lengths.tolist() == [1, 1, 2]


def test_it_keeps_no_gradient_and_says_so():
    cache = LatentCache(B, ROOM, RANK, ROPE)
    latent, rope_key = draw(2)
    cache.append(latent.clone().requires_grad_(), rope_key)
    out = cache.attend(torch.randn(B, HEADS, 2, RANK + ROPE))
    with pytest.raises(RuntimeError, match="backward through a KV cache"):
        out.sum().backward()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c, r: (c[0], r), "latent has shape (2, 12)"),
        (lambda c, r: (c, r[..., :3]), "rope_key has shape (3, 2, 3)"),
        (lambda c, r: (r, c), "latent has shape (3, 2, 4)"),
        (lambda c, r: (c, r[:, :1]), "latent has 2 new tokens and rope_key has 1"),
        (lambda c, r: (c.double(), r), "latent is torch.float64"),
        (lambda c, r: (c, None), "rope_key=None"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_has_changed(change, says):
    cache, _ = filled([3, 1, 2])
    with pytest.raises(ValueError, match=re.escape(says)):
        cache.append(*change(*draw(2)))
    assert cache.lengths.tolist() == [3, 1, 2]


def test_no_room_is_refused():
    cache, _ = filled([8, 1, 2])
    with pytest.raises(ValueError, match="row 0"):
        cache.append(*draw(2))
    with pytest.raises(ValueError, match="kv_lora_rank=0"):
        LatentCache(B, ROOM, 0, ROPE)
