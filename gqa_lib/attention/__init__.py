r"""Grouped-query attention; multi-head and multi-query attention are its two ends.

    B    batch                            Hq   query heads
    T    new tokens, each with a query    Hkv  KV heads: each has a key and a value per token
    S    tokens with a key, cached        R    query heads that share a KV head, Hq / Hkv
         ones and new ones                D    elements of a head

    MHA: Hkv = Hq           GQA: 1 < Hkv < Hq       MQA: Hkv = 1

    Q0 Q1 Q2 Q3 Q4 Q5       Q0 Q1 Q2 Q3 Q4 Q5       Q0 Q1 Q2 Q3 Q4 Q5
    |  |  |  |  |  |          \ | /    \ | /           \  \  \ /  /  /
    K0 K1 K2 K3 K4 K5          K0       K1                    K0

Queries are (B, Hq, T, D), keys and values (B, Hkv, S, D), and what is cached shrinks with Hkv.
"""

from .latent import LatentAttention
from .layer import GroupedQueryAttention, grouped_query_attention
from .rope import Rope, rotate
from .rope_scaling import DynamicScaling, LinearScaling, Llama3Scaling, YarnScaling

__all__ = [
    "DynamicScaling",
    "GroupedQueryAttention",
    "LatentAttention",
    "LinearScaling",
    "Llama3Scaling",
    "Rope",
    "YarnScaling",
    "grouped_query_attention",
    "rotate",
]
