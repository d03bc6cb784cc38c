"""Parameters worked out from a config: against published counts, by hand, and against transformers.

tests/data/published_parameters.jsonl says for each model where its figure is from; models of
several parts are in it with their text model alone, none with MTP layers.
"""

import dataclasses
import json
from pathlib import Path

import pytest

from gqa_lib.configs import Weights, from_hf_config
from gqa_lib.configs.hugging_face.encoders import T5
from gqa_lib.configs.hugging_face.families import FAMILIES
from gqa_lib.configs.hugging_face.keys import Keys
from gqa_lib.configs.hugging_face.layers import layers_of
from gqa_lib.configs.hugging_face.parameters import weights_of

DATA = Path(__file__).parents[1] / "data" / "published_parameters.jsonl"
PUBLISHED = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
LLAMA = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 12,
    "vocab_size": 10,
    "tie_word_embeddings": False,
}
MIXTRAL = LLAMA | {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 1}


@pytest.mark.parametrize("model", PUBLISHED, ids=[model["name"] for model in PUBLISHED])
def test_published_counts(model):
    weights = from_hf_config(model["config"]).weights
    assert weights.total == pytest.approx(model["parameters"], rel=0.005)


@pytest.mark.parametrize(
    ("name", "active_billions"),
    [("gpt-oss-20b", 3.61), ("gpt-oss-120b", 5.13), ("DBRX", 36), ("Nemotron-3-Nano-30B-A3B", 3.2)],
)
def test_published_active_parameters(name, active_billions):
    model = next(one for one in PUBLISHED if one["name"] == name)
    active = from_hf_config(model["config"]).weights.active / 1e9
    assert active == pytest.approx(active_billions, rel=0.01)  # without the input embedding


def test_a_dense_model_by_hand():
    # a layer: q 8x8, k and v 8x4, o 8x8, three of 8x12, two norms; then a norm and the head
    layer = 64 + 2 * 32 + 64 + 3 * 96 + 2 * 8
    weights = from_hf_config(LLAMA).weights
    assert weights == Weights(dense=2 * layer + 8 + 80, embedding=80)
    assert weights.active == weights.touched(1) == weights.touched(1000) == 2 * layer + 88
    tied = from_hf_config(LLAMA | {"tie_word_embeddings": True}).weights
    assert tied == Weights(dense=2 * layer + 88)


def test_experts_by_hand():
    attention, expert, router = 64 + 2 * 32 + 64, 3 * 96, 8 * 4
    dense = 2 * (attention + router + 16) + 8 + 80
    weights = from_hf_config(MIXTRAL).weights
    assert weights == Weights(dense, 80, expert, num_experts=4, experts_per_token=1, moe_layers=2)
    assert weights.total == dense + 80 + 2 * 4 * expert
    assert weights.active == weights.touched(1) == dense + 2 * expert
    # two tokens: the second finds its expert among the other three in 3 of 4 cases
    assert weights.touched(2) == pytest.approx(dense + 2 * expert * (1 + 3 / 4))
    assert weights.touched(10_000) == pytest.approx(dense + 2 * 4 * expert)


def test_weight_bytes_follow():
    config = from_hf_config(LLAMA)
    assert config.weight_bytes == 2 * config.weights.total


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "llama_of_tomorrow"},
        {"adapter_rank": 8},
        {"architectures": ["LlamaModel"]},
        {"architectures": ["LlamaForCausalLMEagle3"]},
        {"tie_word_embeddings": "yes"},
        {"intermediate_size": None},
        {"extra_norm": True},
        {"model_type": "internlm2", "tie_word_embeddings": None},
    ],
    ids=str,
)
def test_what_is_not_known_exactly_is_not_counted(changes):
    config = {key: value for key, value in (LLAMA | changes).items() if value is not None}
    if changes.get("intermediate_size", 0) is None:
        config = LLAMA | {"model_type": "baichuan", "intermediate_size": None}
    assert from_hf_config(config).weights is None


def test_experts_of_unknown_number_are_not_taken_for_none():
    config = {key: value for key, value in MIXTRAL.items() if key != "num_experts_per_tok"}
    assert from_hf_config(config | {"num_local_experts": None}).weights is None


@pytest.mark.parametrize(
    ("outer", "inner", "tied"),
    [
        (True, None, True),
        (False, None, False),
        (None, True, True),
        (None, False, False),
        (True, True, True),
        (True, False, None),
    ],
)
def test_the_whole_model_says_whether_its_text_part_is_tied(outer, inner, tied):
    text = LLAMA | {"tie_word_embeddings": inner}
    weights = from_hf_config(
        {"model_type": "unknown_wrapper", "tie_word_embeddings": outer, "text_config": text}
    ).weights
    assert (weights and weights.embedding == 0) is tied


def test_a_wrapper_that_is_silent_has_its_class_for_an_answer():
    text = {key: LLAMA[key] for key in LLAMA if key not in ("model_type", "tie_word_embeddings")}
    gemma = {"model_type": "gemma3", "text_config": text | {"sliding_window": 4}}
    assert from_hf_config(gemma).weights.embedding == 0
    scout = {"model_type": "qwen2_vl", "text_config": text | {"use_sliding_window": False}}
    assert from_hf_config(scout).weights.embedding == 80
    unknown = {"model_type": "unknown_wrapper", "text_config": text | {"model_type": "llama"}}
    assert from_hf_config(unknown).weights is None


def test_counting_makes_no_key_understood():
    config = LLAMA | {"attention_bias": True, "mlp_bias": True}
    keys = Keys(config, "a config")
    layers = layers_of(keys, 2, 4, 8)
    before = set(keys.not_asked_for())
    assert weights_of(keys, layers, 4, 8) is not None
    assert set(keys.not_asked_for()) == before


def test_an_encoder_is_not_read_while_decoding():
    sizes = {"d_model": 8, "d_kv": 4, "num_heads": 2, "d_ff": 16, "num_layers": 3, "vocab_size": 10}
    config = {"model_type": "t5", "is_encoder_decoder": True, "num_decoder_layers": 1, **sizes}
    attention, block, biases = 4 * 64 + 8, 2 * 128 + 8, 32 * 2
    encoder = 3 * (attention + block) + biases + 8
    decoder = 2 * attention + block + biases + 8
    weights = from_hf_config(config).weights
    assert weights == Weights(decoder - 2 * 64 + 80, encoder + 2 * 64)
    assert weights.total == encoder + decoder + 80


# What a class leaves open, or has where the reader refuses it, of the families built below.
GIVEN = {
    "bamba": {"attn_layer_indices": [2]},
    "dbrx": {
        "attn_config": {"kv_n_heads": 8, "rope_theta": 5e5},
        "ffn_config": {"ffn_hidden_size": 1024, "moe_num_experts": 16, "moe_top_k": 4},
        "n_heads": 16,
    },
    "deepseek_v2": {"num_experts_per_tok": 6, "first_k_dense_replace": 1},
    "gemma4_text": {
        "global_head_dim": 512,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba", "mamba"]},
    "hunyuan_v1_dense": {"head_dim": 128},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "ministral": {"head_dim": 128, "sliding_window": 4096},
    "mpt": {"attn_config": {"alibi": True}},
    "nemotron": {"num_key_value_heads": 8, "head_dim": 128},
    "nemotron_h": {"hybrid_override_pattern": "M*-E"},
}
GIVEN |= {
    family: {"use_sliding_window": False}
    for family in ("qwen2", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_moe", "qwen3", "qwen3_moe")
}
NUM_LAYERS = {"bloom": "n_layer", "gpt2": "n_layer", "gpt_bigcode": "n_layer", "gptj": "n_layer"}
NUM_LAYERS |= {"codegen": "n_layer", "mpt": "n_layers", "dbrx": "n_layers"}
NUM_LAYERS |= {"gpt_neo": "num_layers", "t5": "num_layers"}
NO_CLASS = {"baichuan", "internlm2", "kimi_k2", "mimo"}
SIZES = {
    "num_key_value_heads": (1, 2),
    "intermediate_size": (1000,),
    "head_dim": (64,),
    "n_shared_experts": (0, 2),
    "num_shared_experts": (0, 2),
    "num_local_experts": (4, 0),
    "shared_intermediate_size": (96, 0),
    "first_k_dense_replace": (0, 2),
    "decoder_sparse_step": (2,),
    "mlp_only_layers": ([0],),
    "interleave_moe_layer_step": (2,),
    "q_lora_rank": (None, 64),
    "n_inner": (300,),
    "num_ln_in_parallel_attn": (1, 2),
    "moe_layer_interval": (2,),
    "num_kv_shared_layers": (1,),
    "hidden_size_per_layer_input": (0, 64),
    "mamba_n_groups": (2,),
    "mamba_d_ssm": (2048,),
    "moe_latent_size": (128,),
    "mlp_layer_types": (["dense", "sparse", "dense", "sparse"],),
    "word_embed_proj_dim": (512,),
    "swa_num_attention_heads": (32,),
    "num_nextn_predict_layers": (1,),
}


def variants(family, cls):
    """The class's defaults with four layers, and each switch and size of it set otherwise."""
    base = {"model_type": family, NUM_LAYERS.get(family, "num_hidden_layers"): 4}
    base |= GIVEN.get(family, {})
    yield base
    for field in dataclasses.fields(cls):
        if isinstance(field.default, bool) or "bool" in str(field.type):
            yield from (base | {field.name: value} for value in (True, False))
        yield from (base | {field.name: value} for value in SIZES.get(field.name, ()))


def built(config):
    """Parameters of what transformers builds; None where it cannot."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    given = dict(config)
    family = given.pop("model_type")
    try:
        made = transformers.models.auto.configuration_auto.CONFIG_MAPPING[family](**given)
        with torch.device("meta"):
            if family in T5:
                model = transformers.AutoModelForSeq2SeqLM.from_config(made)
            elif type(made) in transformers.AutoModelForCausalLM._model_mapping:
                model = transformers.AutoModelForCausalLM.from_config(made)
            else:  # a text part, whose head is the whole model's
                model = transformers.AutoModel.from_config(made)
                model.head = torch.nn.Linear(made.hidden_size, made.vocab_size, bias=False)
                if getattr(made, "tie_word_embeddings", False):
                    del model.head
    except Exception:
        return None
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("family", [*(name for name in FAMILIES if name not in NO_CLASS), *T5])
def test_counts_are_those_of_transformers(family):
    transformers = pytest.importorskip("transformers")
    cls = transformers.models.auto.configuration_auto.CONFIG_MAPPING[family]
    compared = []
    for config in variants(family, cls):
        try:
            weights = from_hf_config(config).weights
        except ValueError:
            weights = None
        theirs = None if weights is None else built(config)
        if theirs is not None:
            assert weights.total == theirs, config
        compared.append(theirs is not None)
    assert compared[0], f"{family} is not counted, or not built, with what it has by default"
