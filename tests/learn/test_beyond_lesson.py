"""Lesson 14: what its exercises accept, and that the lesson's statements are the library's."""

import math

import pytest
import torch

from gqa_lib.attention import LatentAttention
from gqa_lib.configs import load_model
from gqa_lib.cost import kv_bytes_per_token
from gqa_lib.learn import check
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.exercises.lesson14 import latent_attention
from gqa_lib.learn.exercises.lesson14_quantise import QUANTIZE_KV, quantised
from gqa_lib.train import RecallTask
from grading.quiz.bank import load_bank

H, DN, DR, RANK, DV, S = 3, 5, 4, 7, 6, 9


def test_the_reference_is_the_librarys_layer():
    layer = LatentAttention(
        8, H, head_dim=DN, rope_head_dim=DR, kv_lora_rank=RANK, v_head_dim=DV, rope=False
    ).double()
    x = torch.randn(2, S, 8, dtype=torch.float64)
    q_nope, q_rope = layer._queries(x)
    latent, rope_key = layer._entries(x)
    out = latent_attention(q_nope, q_rope, latent, rope_key, *layer._kv_b())
    expected = layer(x, absorbed=True)
    torch.testing.assert_close(layer.o_proj(out.transpose(1, 2).flatten(2)), expected)


@pytest.mark.parametrize("name", ["DeepSeek-V2", "DeepSeek-V3", "MiniCPM3-4B"])
def test_its_bytes_are_the_librarys(name):
    config = load_model(name)
    per_layer = config.kv_lora_rank + config.rope_head_dim
    assert kv_bytes_per_token(config, 2) == config.num_layers * per_layer * 2


def test_what_93_percent_is_made_of():
    v2, older = 60 * (512 + 64), 2 * 8 * 128 * 95
    assert (v2, older) == (34_560, 194_560)
    assert round(1 - v2 / older, 3) == 0.822
    assert round(1 - v2 * 6 / (older * 16), 3) == 0.933
    assert round(2 * 128 * 128 * 60 / v2) == 57


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("dim", [-1, -2])
def test_codes_are_nearest_whatever_is_drawn(bits, dim):
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        kv, *rest = QUANTIZE_KV.make(generator, B=2, H=2, S=6, D=5, bits=bits, dim=dim)
        codes, scale, low = quantised(kv, *rest)
        assert codes.amin(dim).eq(0).all()
        assert codes.amax(dim).eq(2**bits - 1).all()
        apart = (low + codes * scale - kv.double()).abs() / scale
        assert apart.max() < 0.45  # no number is near the middle of two codes
        assert codes.equal(quantised(kv.float() * (1 + 1e-7), *rest)[0])


def test_keys_made_after_all_are_seen():
    def absorbed_mla_attention(*given):
        return latent_attention(*given).to(given[0].dtype)

    with pytest.raises(NotYet, match="keys or values were made after all"):
        check("absorbed_mla_attention", absorbed_mla_attention)


def shares(name, context=32_768):
    """As in the lesson: what is left of MHA by each cut alone, and really."""
    config = load_model(name)
    own = [one for one in config.kv_layers if one.kind != "none" and one.shares is None]
    mha = 2 * config.num_heads * config.head_dim
    tokens = [min(context, one.window or context) for one in own]
    product = sum(one.elements for one in own) / len(own) / mha
    product *= len(own) / config.num_layers * sum(tokens) / len(own) / context
    kept = sum(one.elements * count for one, count in zip(own, tokens, strict=True))
    return product, kept / (config.num_layers * mha * context)


def test_cuts_multiply_where_layers_are_alike_and_not_elsewhere():
    for name in ("Llama-3.1-8B", "gpt-oss-120b", "Qwen3.5-27B", "Kimi-Linear-48B-A3B"):
        assert math.isclose(*shares(name))
    for name in ("MiMo-V2-Flash", "Gemma-4-31B"):
        product, real = shares(name)
        assert real < 0.7 * product


def asked(words):
    (question,) = (one for one in load_bank() if words in one.stem)
    return question


def test_numbers_of_its_questions():
    assert asked("Each slice of 32 numbers").right.text == f"{2 + 2 * 16 / 32:.1f}"
    v2 = load_model("DeepSeek-V2")
    rest = asked("Where does the rest come from?")
    assert f"{v2.num_layers} x {v2.kv_lora_rank + v2.rope_head_dim}" in rest.stem
    assert f"95 x {2 * 8 * 128:,}" in rest.stem
    left = v2.num_layers * 576 / (95 * 2048)
    assert f"{100 * (1 - left):.1f} %" in rest.stem
    assert f"{100 * (1 - left * 6 / 16):.1f} %" in rest.stem


def test_a_slice_by_channel_is_as_long_as_the_task():
    assert RecallTask().num_records + RecallTask().num_queries == 24
