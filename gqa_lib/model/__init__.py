"""Whole language models with any number of KV heads: built or loaded, run, sampled from."""

from .language_model import LanguageModel
from .variant import Variant

__all__ = ["LanguageModel", "Variant"]
