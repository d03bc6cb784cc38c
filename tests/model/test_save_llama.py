"""A model made here, as a checkpoint: transformers computes what it does."""

import checkpoints
import pytest
import torch
from converting import VARIANTS, decoder

from gqa_lib.attention import LinearScaling, Rope
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, Variant, load, save_llama

SIZES = {"num_layers": 2, "num_heads": 6, "head_dim": 8, "d_model": 18, "d_ff": 33}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("num_kv_heads", [6, 2, 1])
def test_transformers_computes_what_it_does(num_kv_heads, tied, tmp_path):
    torch.manual_seed(0)
    config = ModelConfig("made", num_kv_heads=num_kv_heads, vocab_size=67, **SIZES)
    model = LanguageModel(config, Variant(tied=tied))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    save_llama(model, tmp_path / "new", torch.float32)
    tokens = checkpoints.tokens()
    with torch.no_grad():
        expected = model(tokens)
        theirs = checkpoints.theirs(tmp_path / "new")(tokens).logits
        ours = load(tmp_path / "new")(tokens)
    torch.testing.assert_close(theirs, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours, expected)
    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_weights_are_of_the_dtype_that_is_asked_for(tmp_path):
    config = ModelConfig("made", num_kv_heads=2, vocab_size=67, **SIZES)
    save_llama(LanguageModel(config), tmp_path / "new")
    assert load(tmp_path / "new").head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("rope", [None, Rope(8, base=500.0), [Rope(8), Rope(8)]])
def test_what_was_loaded_can_be_saved_again(rope, tmp_path):
    config = ModelConfig("made", num_kv_heads=2, vocab_size=67, **SIZES)
    model = LanguageModel(config, Variant(rope=rope, norm_eps=1e-3))
    save_llama(model, tmp_path / "one", torch.float32)
    save_llama(load(tmp_path / "one"), tmp_path / "two", torch.float32)
    tokens = checkpoints.tokens()
    with torch.no_grad():
        expected = model(tokens)
        torch.testing.assert_close(load(tmp_path / "two")(tokens), expected)
        theirs = checkpoints.theirs(tmp_path / "two")(tokens).logits
    torch.testing.assert_close(theirs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        (Variant(qkv_bias=True, norms="both"), "Llama: qkv_bias=True, norms='both'. Its"),
        (Variant(rope=Rope(8, scaling=LinearScaling(2.0))), "Llama: a scaled RoPE. Its"),
        (Variant(rope=[Rope(8), Rope(8, base=9.0)]), "Llama: RoPE of several bases. Its"),
        (Variant(rope=[Rope(8), None]), "Llama: layers without RoPE. Its"),
    ],
)
def test_what_differs_is_named(variant, told, tmp_path):
    config = ModelConfig("made", num_kv_heads=2, vocab_size=67, **SIZES)
    with pytest.raises(ValueError, match=told):
        save_llama(LanguageModel(config, variant), tmp_path / "new")


@pytest.mark.parametrize("dtype", [torch.float64, torch.int8, "bfloat16"])
def test_a_dtype_that_cannot_be_loaded_is_refused(dtype, tmp_path):
    with pytest.raises(ValueError, match=r"cannot be loaded. Choose from torch.float32"):
        save_llama(decoder("llama"), tmp_path / "new", dtype)
    assert list(tmp_path.iterdir()) == []


def test_no_infinite_weight_is_written(tmp_path):
    model = decoder("llama").float()
    model.norm.weight.data[2] = 1e6
    with pytest.raises(
        ValueError, match=r"norm.weight .* 1e\+06, which torch.float16 does not rea"
    ):
        save_llama(model, tmp_path / "new", torch.float16)
    model.norm.weight.data[2] = float("nan")
    with pytest.raises(ValueError, match=r"norm.weight .* infinite or NaN"):
        save_llama(model, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_folder_is_kept(tmp_path):
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "other.safetensors").write_text("of something else")
    with pytest.raises(ValueError, match="Remove it, or choose another name"):
        save_llama(decoder("llama"), tmp_path / "new")
    assert [one.name for one in tmp_path.iterdir()] == ["new.partial"]


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "llama"])
def test_what_is_no_llama_is_refused(variant, tmp_path):
    with pytest.raises(ValueError, match="otherwise than Llama"):
        save_llama(decoder(variant), tmp_path / "new")
    (tmp_path / "old").mkdir()
    with pytest.raises(ValueError, match="not overwritten"):
        save_llama(decoder("llama"), tmp_path / "old")
    assert [one.name for one in tmp_path.iterdir()] == ["old"]
