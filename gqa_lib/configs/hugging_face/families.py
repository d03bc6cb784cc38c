"""What the layers of each family of models consist of, for counting their parameters.

A family is named as its files' model_type. Families that are not in here are not counted.
"""

from __future__ import annotations

from dataclasses import replace

from .parts import Experts, Family

_BIAS = "attention_bias"
_LLAMA = Family()
_BIASED = Family(qkv_bias=_BIAS, out_bias=_BIAS, ffn_bias="mlp_bias")
_ATTENTION_BIASED = replace(_BIASED, ffn_bias=False)
_QWEN2 = Family(qkv_bias=True)
_QWEN3 = replace(_ATTENTION_BIASED, qk_norm="head")
_NORMED = Family(gated=False, norm_size=2)
_GPT = replace(_NORMED, qkv_bias=True, out_bias=True, ffn_bias=True)
_GPT2 = replace(_GPT, positions=("n_positions",), width=("n_inner",), times=4)
_GPTJ = replace(_NORMED, norms=1, ffn_bias=True, head_bias=True, width=("n_inner",), times=4)
_GEMMA2 = replace(_ATTENTION_BIASED, norms=4)
_GLM = Family(qkv_bias=_BIAS)

_STEP = Experts("step", count=("num_experts", "num_local_experts"))
_SHARED = Experts("step", shared_width=("shared_expert_intermediate_size",), shared_gate=True)
_LOCAL = Experts(count=("num_local_experts",), width=("intermediate_size",))
_DEEPSEEK = Experts("after", count=("n_routed_experts",), shared=("n_shared_experts",))
_LISTED = replace(_DEEPSEEK, where="listed")
_NUM_SHARED = Experts("listed", shared=("num_shared_experts",))
_LINEAR = Family(
    state="delta",
    qkv_bias=_BIAS,
    out_bias=_BIAS,
    qk_norm="head",
    query_gate=True,
    only={"attn_output_gate": True},
)
_V3 = replace(_ATTENTION_BIASED, experts=_DEEPSEEK, only={"moe_layer_freq": 1})
_GRANITE_MOE = replace(_ATTENTION_BIASED, experts=_LOCAL)
_SHARED_WIDTH = ("shared_intermediate_size",)

FAMILIES: dict[str, Family] = {
    # Llama and what is built like it
    "llama": _BIASED,
    "internlm3": _BIASED,
    "mistral": _LLAMA,
    "ministral": _LLAMA,
    "ministral3": _LLAMA,
    "mixtral": Family(experts=_LOCAL),
    "llama4_text": replace(
        _ATTENTION_BIASED,
        only={"use_qk_norm": (True, False)},  # norms without parameters
        width=("intermediate_size_mlp",),
        experts=Experts(
            "interleaved",
            count=("num_local_experts",),
            width=("intermediate_size",),
            shared_width=("intermediate_size",),
        ),
    ),
    "smollm3": _BIASED,
    "granite": _BIASED,
    "seed_oss": replace(_BIASED, out_bias="attention_out_bias"),
    "cwm": replace(_LLAMA, ffn_bias="mlp_bias"),
    "arcee": replace(_BIASED, gated=False),
    "ernie4_5": Family(qkv_bias="use_bias", out_bias="use_bias", ffn_bias="use_bias"),
    "phi3": _LLAMA,
    "baichuan": replace(_LLAMA, must_say_tied=True),
    "internlm2": replace(_LLAMA, qkv_bias="bias", out_bias="bias", must_say_tied=True),
    # Qwen
    "qwen2": _QWEN2,
    "mimo": replace(_QWEN2, qkv_bias=_BIAS, must_say_tied=True),
    "qwen2_vl_text": _QWEN2,
    "qwen2_5_vl_text": _QWEN2,
    "qwen2_moe": Family(qkv_bias="qkv_bias", experts=_SHARED),
    "qwen3": _QWEN3,
    "qwen3_vl_text": _QWEN3,
    "qwen3_moe": replace(_QWEN3, experts=_STEP, only={"use_qk_norm": True}),
    "qwen3_vl_moe_text": replace(_QWEN3, experts=_STEP),
    "qwen3_next": replace(_LINEAR, experts=_SHARED),
    "qwen3_5_text": _LINEAR,
    "qwen3_5_moe_text": replace(_LINEAR, experts=replace(_SHARED, where="all")),
    # Gemma
    "gemma": _ATTENTION_BIASED,
    "gemma2": _GEMMA2,
    "gemma3_text": replace(_GEMMA2, qk_norm="head"),
    "vaultgemma": _ATTENTION_BIASED,
    "gemma4_text": replace(
        _GEMMA2,
        qk_norm="head",
        layer_inputs=True,
        experts=Experts("moe_block", chosen=("top_k_experts",), beside=True),
    ),
    # Phi
    "phi": replace(_GPT, norms=1, qk_norm="head+bias", qk_norm_if="qk_layernorm", head_bias=True),
    "phimoe": replace(_ATTENTION_BIASED, norm_size=2, experts=_LOCAL, head_bias="lm_head_bias"),
    # OLMo
    "olmo": replace(_ATTENTION_BIASED, norm_size=0),
    "olmo2": replace(_ATTENTION_BIASED, qk_norm="width"),
    "olmo3": replace(_ATTENTION_BIASED, qk_norm="width"),
    "olmoe": replace(
        _ATTENTION_BIASED, qk_norm="width", experts=Experts(width=("intermediate_size",))
    ),
    "flex_olmo": replace(
        _ATTENTION_BIASED, qk_norm="width", experts=Experts(width=("intermediate_size",))
    ),
    # Granite with experts, hybrids
    "granitemoe": _GRANITE_MOE,
    "granitemoeshared": replace(_GRANITE_MOE, experts=replace(_LOCAL, shared_width=_SHARED_WIDTH)),
    "granitemoehybrid": replace(
        _GRANITE_MOE,
        experts=replace(_LOCAL, shared_width=_SHARED_WIDTH),
        state="mamba2",
    ),
    "bamba": replace(_BIASED, state="mamba2"),
    "falcon_h1": replace(_BIASED, state="mamba2"),
    "jamba": Family(state="mamba1", experts=Experts("period", width=("intermediate_size",))),
    "nemotron_h": replace(
        _BIASED,
        state="mamba2",
        gated=False,
        one_block=True,
        norms=1,
        only={
            "n_shared_experts": 1,
            "attention_bias": False,
            "use_bias": False,
            "mlp_bias": False,
            "mamba_proj_bias": False,
            "tie_word_embeddings": False,
        },
        experts=Experts(
            "named",
            count=("n_routed_experts",),
            shared_width=("moe_shared_expert_intermediate_size",),
            latent="moe_latent_size",
        ),
    ),
    # Older families
    "falcon": replace(
        _NORMED,
        qkv_bias="bias",
        out_bias="bias",
        ffn_bias="bias",
        norms="falcon",
        width=("ffn_hidden_size",),
        times=4,
    ),
    "mpt": replace(
        _NORMED,
        norm_size=1,
        width=(),
        times=4,
        only={
            "no_bias": True,
            "expansion_ratio": 4,
            "learned_pos_emb": (True, False),  # not with ALiBi
            "norm_type": ("low_precision_layernorm", "layernorm"),
        },
    ),
    "bloom": replace(_GPT, final_norms=2, width=(), times=4),
    "gpt2": _GPT2,
    "gpt_bigcode": _GPT2,
    "gpt_neo": replace(
        _GPT2, qkv_bias=False, positions=("max_position_embeddings",), width=("intermediate_size",)
    ),
    "gptj": _GPTJ,
    "codegen": _GPTJ,
    "gpt_neox": replace(_GPT, qkv_bias=_BIAS, out_bias=_BIAS),
    "opt": replace(
        _GPT,
        width=("ffn_dim",),
        qkv_bias="enable_bias",
        out_bias="enable_bias",
        ffn_bias="enable_bias",
        positions=("max_position_embeddings",),
        more_positions=2,
        only={
            "word_embed_proj_dim": "d_model",
            "do_layer_norm_before": True,
            "layer_norm_elementwise_affine": True,
        },
    ),
    "starcoder2": replace(_GPT, qkv_bias="use_bias", out_bias="use_bias", ffn_bias="use_bias"),
    "stablelm": Family(
        qkv_bias="use_qkv_bias",
        qk_norm="width",
        qk_norm_if="qk_layernorm",
        norm_size=2,
        norms="stablelm",
    ),
    "persimmon": replace(_GPT, qk_norm="head+bias", qk_norm_if="qk_layernorm"),
    "nemotron": replace(_BIASED, gated=False, norm_size=2),
    "cohere": replace(_ATTENTION_BIASED, norms=1, qk_norm="width", qk_norm_if="use_qk_norm"),
    "cohere2": replace(_ATTENTION_BIASED, norms=1),
    "dbrx": Family(
        experts=Experts(
            count=("moe_num_experts",),
            chosen=("moe_top_k",),
            width=("ffn_hidden_size",),
            inside="ffn_config",
        )
    ),
    # Latents
    "deepseek_v2": _V3,
    "deepseek_v3": _V3,
    "kimi_k2": _V3,
    "deepseek_v32": replace(_V3, experts=_LISTED, indexer=True),
    "glm_moe_dsa": replace(_V3, experts=_LISTED, indexer=True),
    "glm4_moe_lite": replace(_V3, experts=_LISTED),
    "youtu": _ATTENTION_BIASED,
    "kimi_linear": Family(
        state="kda",
        needs=("linear_attn_config", "layer_types"),
        only={"tie_word_embeddings": False},
        experts=Experts(
            "listed",
            count=("num_experts", "num_local_experts"),
            chosen=("num_experts_per_token", "num_experts_per_tok"),
            shared=("num_shared_experts", "n_shared_experts"),
        ),
    ),
    # Others with experts
    "gpt_oss": replace(
        _ATTENTION_BIASED,
        sinks=True,
        experts=replace(_LOCAL, chosen=("num_experts_per_tok", "experts_per_token"), bias=True),
    ),
    "minimax_m2": Family(
        qk_norm="width",
        experts=_LOCAL,
        only={"qk_norm_type": "per_layer", "use_qk_norm": True},
    ),
    "minimax": Family(state="lightning", experts=_LOCAL),
    "glm4_moe": replace(_GLM, qk_norm="head", qk_norm_if="use_qk_norm", experts=_DEEPSEEK),
    "mimo_v2_flash": replace(
        _GLM,
        window_sinks=True,
        experts=replace(_LISTED, shared=()),
        only={
            "add_full_attention_sink_bias": False,
            "add_swa_attention_sink_bias": True,
            "num_key_value_heads": 4,
            "swa_num_key_value_heads": 8,
        },
    ),
    "ernie4_5_moe": Family(
        only={"use_bias": False},
        experts=Experts(
            "ernie",
            count=("moe_num_experts",),
            chosen=("moe_k",),
            shared=("moe_num_shared_experts",),
            correction=True,
        ),
    ),
    "exaone_moe": replace(_LLAMA, qk_norm="head", experts=_NUM_SHARED),
    "hy_v3": replace(_QWEN3, experts=_NUM_SHARED, only={"num_shared_experts": 1}),
    "solar_open": replace(_LLAMA, experts=replace(_DEEPSEEK, where="all")),
    # Others without
    "glm": _GLM,
    "glm4": replace(_GLM, norms=4),
    "exaone4": replace(_LLAMA, qk_norm="head"),
    "hunyuan_v1_dense": _QWEN3,
}
