"""Whole language models with any number of KV heads: built or loaded, run, sampled from."""

from . import parallel
from .convert import convert_checkpoint, convert_model, convert_state_dict
from .generate import generate, stream
from .hugging_face import load, save, save_llama
from .language_model import LanguageModel
from .sampling import Sampling
from .tokens import load_tokenizer
from .variant import Variant

__all__ = [
    "LanguageModel",
    "Sampling",
    "Variant",
    "convert_checkpoint",
    "convert_model",
    "convert_state_dict",
    "generate",
    "load",
    "load_tokenizer",
    "parallel",
    "save",
    "save_llama",
    "stream",
]
