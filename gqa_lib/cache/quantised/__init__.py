"""A KV cache whose past takes 8 or 4 bits a number."""

from .cache import QuantisedKVCache
from .codes import Codes, dequantise, pack, quantise, unpack

__all__ = ["Codes", "QuantisedKVCache", "dequantise", "pack", "quantise", "unpack"]
