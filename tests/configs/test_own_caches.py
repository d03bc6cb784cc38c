"""Against the caches that Hugging Face transformers builds of its own classes and of real files."""

import json
import sys
from pathlib import Path

import pytest
from own_cache import own_cache

from gqa_lib import cost
from gqa_lib.configs import from_hf_config
from gqa_lib.configs.hugging_face.files import class_defaults
from gqa_lib.course.places import course_root

transformers = pytest.importorskip("transformers")
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402
from transformers.models.auto.modeling_auto import (  # noqa: E402
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
)

pytestmark = pytest.mark.slow
REAL = Path(__file__).parents[1] / "data" / "configs" / "real.jsonl"
ROWS = [json.loads(line) for line in REAL.read_text(encoding="utf-8").splitlines()]
# A plain config of these classes cannot be built, or not run without numbers.
CANNOT_RUN = {
    *("bart", "biogpt", "blenderbot", "blenderbot-small", "cohere_compass_text", "dbrx", "dots1"),
    *("gemma3n", "gemma4", "gemma4_unified", "hunyuan_v1_dense", "hunyuan_v1_moe", "jetmoe"),
    *("lfm2_moe", "marian", "mbart", "megatron-bert", "ministral", "musicgen", "musicgen_melody"),
    *("nemotron", "openai-gpt", "pegasus", "plbart", "rembert", "roformer", "xmod"),
}


def agrees(config, theirs, num_tokens):
    """Say whether what transformers keeps is what we count, windows' last tokens aside."""
    ours = cost.kv_cache_bytes(config, [num_tokens], 2)
    last = sum(
        2 * layer.elements
        for layer in config.kv_layers
        if layer.window and layer.window <= num_tokens and layer.shares is None
    )
    kept = theirs["kv"] + theirs["index"]
    return ours - last <= kept <= ours and cost.state_bytes(config) == theirs["state"]


@pytest.mark.parametrize("family", CAUSAL)
def test_class_defaults_keep_what_their_own_cache_keeps_or_are_refused(family):
    theirs = CONFIG_MAPPING[family]
    try:
        made = theirs()
    except Exception as trouble:
        pytest.skip(f"transformers cannot make it: {type(trouble).__name__}")
    keys = json.loads(made.to_json_string(use_diff=False)) | {"model_type": family}
    try:
        config = from_hf_config(keys)
    except ValueError:  # which is an answer
        return
    if family in CANNOT_RUN:
        pytest.skip("transformers cannot run it without numbers")
    if hasattr(made, "is_decoder"):
        made.is_decoder = True
    _, held = own_cache(made, 64)
    assert agrees(config, held, 64)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_real_files_keep_what_their_own_cache_keeps(row):
    keys = row["config"]
    if keys.get("model_type") not in CONFIG_MAPPING or "own cache" not in row["evidence"]:
        pytest.skip("transformers has no class for it")
    try:
        made = CONFIG_MAPPING[keys["model_type"]](
            **{k: v for k, v in keys.items() if k != "model_type"}
        )
        text = made.get_text_config(decoder=True)
        held = {n: own_cache(text, n)[1] for n in (64, 5000)}
    except Exception as trouble:
        pytest.skip(f"transformers cannot run it without numbers: {type(trouble).__name__}")
    config = from_hf_config(keys)
    assert all(agrees(config, theirs, n) for n, theirs in held.items())


def test_the_class_defaults_that_are_shipped_are_those_of_transformers(monkeypatch):
    monkeypatch.syspath_prepend(str(course_root() / "scripts"))
    sys.modules.pop("class_defaults", None)
    import class_defaults as script

    assert script.class_defaults() == class_defaults()
