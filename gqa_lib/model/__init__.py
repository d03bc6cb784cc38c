"""Whole language models with any number of KV heads: built or loaded, run, sampled from."""

from .generate import generate, stream
from .hugging_face import load
from .language_model import LanguageModel
from .sampling import Sampling
from .tokens import load_tokenizer
from .variant import Variant

__all__ = [
    "LanguageModel",
    "Sampling",
    "Variant",
    "generate",
    "load",
    "load_tokenizer",
    "stream",
]
