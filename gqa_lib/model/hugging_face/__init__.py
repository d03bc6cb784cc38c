"""Checkpoints as Hugging Face transformers writes them, loaded into a `LanguageModel`."""

from .read import load

__all__ = ["load"]
