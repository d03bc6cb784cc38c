"""Checkpoints as Hugging Face transformers writes them, to and from a `LanguageModel`."""

from .llama import save_llama
from .read import load
from .write import save

__all__ = ["load", "save", "save_llama"]
