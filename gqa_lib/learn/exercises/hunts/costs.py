"""Hunts in what is counted: the bytes of a token, and what a kernel waits for."""

import math
from numbers import Real
from typing import Any

from gqa_lib.configs import ModelConfig, load_model
from gqa_lib.hardware import Hardware, datasheet

from ..lesson05 import KV_BYTES_PER_TOKEN
from ..lesson06 import IS_MEMORY_BOUND
from .hunt import Bug, Hunt, Slip, wrong_answer
from .inputs import count, kind

_MOST_HEADS = 100_000  # of all layers


def _real(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise Slip(f"{name} must be a number; it is {kind(value)}.")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not 0 < real < math.inf:
        raise Slip(f"{name} is {real:g}; it must be above 0, and finite.")
    return real


def _looked_up(value: Any, wanted: type, look_up: Any, name: str) -> Any:
    if isinstance(value, wanted):
        return value
    if not isinstance(value, str):
        raise Slip(f"{name} must be a name or a {wanted.__name__}; it is {kind(value)}.")
    try:
        return look_up(value)
    except ValueError as error:
        raise Slip(str(error)) from None


def _model_and_bytes(given: tuple) -> tuple:
    count(given, "(model, bytes_per_element)", 2)
    config = _looked_up(given[0], ModelConfig, load_model, "The model")
    if config.layers is not None or config.kv_lora_rank is not None:
        raise Slip(
            f"The layers of {config.name} do not all keep full keys and values, and this hunt is "
            "about models whose layers do."
        )
    if config.num_layers * config.num_kv_heads > _MOST_HEADS:
        raise Slip(f"{config.name} has more KV heads than a hunt counts.")
    return config, _real(given[1], "bytes_per_element")


TOKEN = Hunt(
    exercise=KV_BYTES_PER_TOKEN,
    call="(model, bytes_per_element)",
    does="returns the bytes that a token keeps in the caches of all layers. The model is a name "
    'such as "Llama-3-8B" (`gqa_lib.configs.list_models()` has them all), or a ModelConfig',
    example='hunt("kv_bytes_per_token", ("Llama-3-8B", 2))',
    ready=_model_and_bytes,
    bugs=(
        Bug(
            wrong_answer(KV_BYTES_PER_TOKEN, "num_heads is used"),
            "It counted the query heads.",
            "Right for MHA, which all models once were.",
        ),
        Bug(
            wrong_answer(KV_BYTES_PER_TOKEN, "worked out as d_model // num_heads"),
            "It worked head_dim out from d_model, as a public estimator did.",
            "Many designers choose head_dim so that this is right.",
        ),
        Bug(
            wrong_answer(KV_BYTES_PER_TOKEN, "a whole d_model"),
            "It counted a whole d_model for K and as much for V.",
            "Right for MHA whose heads together are as wide as the model.",
        ),
        Bug(
            wrong_answer(KV_BYTES_PER_TOKEN, "cut to a whole number"),
            "It cut the bytes of a number to a whole one.",
            "16, 8 and 32 bits are whole bytes.",
        ),
    ),
)


def _work_and_machine(given: tuple) -> tuple:
    count(given, "(intensity, hardware)", 2)
    machine = _looked_up(given[1], Hardware, datasheet, "The hardware")
    return _real(given[0], "intensity"), machine


BOUND = Hunt(
    exercise=IS_MEMORY_BOUND,
    call="(intensity, hardware)",
    does="says whether work of an intensity (FLOP per byte) waits for memory on this hardware; at "
    'the ridge itself it does not. The hardware is a name of the table, such as "H200 SXM", or '
    "Hardware(name, flops_per_s, bandwidth_bytes_per_s, memory_bytes, provenance)",
    example='hunt("is_memory_bound", (100, "H200 SXM"))',
    ready=_work_and_machine,
    fewest=2,
    bugs=(
        Bug(
            wrong_answer(IS_MEMORY_BOUND, "the peak is doubled"),
            "It doubled the peak: a sheet's headline rate, which counts on 2:4 sparsity.",
            "Only between the ridge and twice the ridge do the two peaks disagree.",
        ),
        Bug(
            wrong_answer(IS_MEMORY_BOUND, "exactly at the ridge"),
            "At the ridge itself it said that work waits for memory.",
            "Nothing that was measured lies exactly there.",
        ),
        Bug(
            wrong_answer(IS_MEMORY_BOUND, "the wrong way round"),
            "It answered the other way round.",
            "At the ridge itself both are False.",
        ),
        Bug(
            wrong_answer(IS_MEMORY_BOUND, "the ridge is upside down"),
            "Its ridge was in bytes per FLOP, as one paper writes it.",
            "Work above the real ridge is far above this one, too.",
        ),
        Bug(
            wrong_answer(IS_MEMORY_BOUND, "size of the memory"),
            "It took the size of the memory for its speed.",
            "Both are huge numbers in bytes, and decoding lies far below either ridge.",
        ),
    ),
)

HUNTS = (TOKEN, BOUND)
