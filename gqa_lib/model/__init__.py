"""Whole language models with any number of KV heads: built or loaded, run, sampled from."""

from .generate import generate, stream
from .language_model import LanguageModel
from .sampling import Sampling
from .variant import Variant

__all__ = ["LanguageModel", "Sampling", "Variant", "generate", "stream"]
