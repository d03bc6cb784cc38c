"""Checkpoints as Hugging Face transformers writes them, to and from a `LanguageModel`."""

from .read import load
from .write import save

__all__ = ["load", "save"]
