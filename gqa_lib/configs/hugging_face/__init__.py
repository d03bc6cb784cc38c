"""Reads a Hugging Face config.json: its keys are known in here and nowhere else in the project."""

from .read import from_hf_config

__all__ = ["from_hf_config"]
