"""A small trained model of bytes that comes with the library.

Its folder says how it was made; `python -m gqa_lib.train.small FOLDER` makes one like it.
"""

from pathlib import Path


def small_checkpoint() -> Path:
    """Return the folder of the small model, which `load`, `convert_checkpoint` and others take."""
    return Path(__file__).with_name("bytes-mha")


__all__ = ["small_checkpoint"]
