"""Small random checkpoints that transformers makes, and how far our logits are from its own."""

import json
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from gqa_lib.model import load

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SIZES = {  # no two are alike
    "vocab_size": 67,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PROMPT, LENGTH = 11, 40  # tokens; decoding goes on beyond every window and length in training
CLOSE, OTHER = 1e-5, 1e-3  # of the largest logit: rounding alone, and another model


def save(folder, family, seed=0, **keys):
    """Save a random model of a family and return the folder; no bias or norm is trivial."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **(SIZES | keys))
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            elif "proj" in name:
                parameter.mul_(4)  # as they begin, scores are too small to matter
    model.save_pretrained(folder)
    return Path(folder)


def change_config(folder, remove=(), **keys):
    """Change keys of a checkpoint's config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | keys
    path.write_text(json.dumps({k: v for k, v in config.items() if k not in remove}))


def tokens(length=LENGTH):
    return torch.randint(0, 67, (2, length), generator=torch.Generator().manual_seed(3))


def theirs(folder):
    """Return transformers' model of a folder, in float32."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@torch.no_grad()
def difference(folder, reference=None, length=LENGTH):
    """Return the largest difference of logits, whole and cached, as a part of the largest logit.

    Whole is all tokens at once; cached is a prompt, then a token at a time, on both sides.
    """
    reference = reference or theirs(folder)
    ours, ids = load(folder, torch.float32), tokens(length)
    whole = reference(ids, use_cache=False).logits
    found = [(ours(ids) - whole).abs().max()]
    cache, their_cache = ours.new_cache(2, length), DynamicCache(config=reference.config)
    for part in ids.split([PROMPT] + [1] * (length - PROMPT), 1):
        expected = reference(part, past_key_values=their_cache).logits
        found.append((ours(part, cache) - expected).abs().max())
    return float(torch.stack(found).max() / whole.abs().max())
