"""A model made here, as a checkpoint: transformers computes what it does."""

import checkpoints
import pytest
import torch
from converting import VARIANTS, decoder

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


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "llama"])
def test_what_is_no_llama_is_refused(variant, tmp_path):
    with pytest.raises(ValueError, match="otherwise than Llama"):
        save_llama(decoder(variant), tmp_path / "new")
    (tmp_path / "old").mkdir()
    with pytest.raises(ValueError, match="not overwritten"):
        save_llama(decoder("llama"), tmp_path / "old")
    assert [one.name for one in tmp_path.iterdir()] == ["old"]
