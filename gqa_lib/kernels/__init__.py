"""Attention backends, and the one place that chooses among them."""

from . import tolerances
from .backends import BACKENDS, Backend
from .call import Call
from .dispatch import (
    attend,
    attend_rows,
    available_backends,
    available_decode_backends,
    choose_backend,
    choose_decode_backend,
    decode_attention,
)
from .layer import linear, rms_norm, turn
from .mask import causal_mask
from .operator import sdpa_operator
from .reference import attention_reference

__all__ = [
    "BACKENDS",
    "Backend",
    "Call",
    "attend",
    "attend_rows",
    "attention_reference",
    "available_backends",
    "available_decode_backends",
    "causal_mask",
    "choose_backend",
    "choose_decode_backend",
    "decode_attention",
    "linear",
    "rms_norm",
    "sdpa_operator",
    "tolerances",
    "turn",
]
