"""Whole language models with any number of KV heads: built or loaded, run, sampled from."""

from .hugging_face import load
from .language_model import LanguageModel
from .tokens import ByteTokenizer, FileTokenizer, Tokenizer, load_tokenizer
from .variant import Variant

__all__ = [
    "ByteTokenizer",
    "FileTokenizer",
    "LanguageModel",
    "Tokenizer",
    "Variant",
    "load",
    "load_tokenizer",
]
