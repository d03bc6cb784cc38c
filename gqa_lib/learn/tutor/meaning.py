"""How near two texts are in meaning, by static word vectors that ship with their package.

wordllama carries its weights: nothing is downloaded, and no torch is needed. Where it is not
installed, as beside the bare library, the tutor goes by words alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@cache
def _model() -> Any | None:
    try:
        import wordllama
    except ImportError:
        return None
    package = Path(wordllama.__file__).parent  # has weights/ and tokenizers/
    return wordllama.WordLlama.load(cache_dir=package, disable_download=True)


def vectors(texts: Sequence[str]) -> np.ndarray | None:
    """Return a unit vector for each text, as rows; None without the package.

    Args:
        texts: what is compared.
    """
    model = _model()
    return None if model is None or not texts else model.embed(list(texts), norm=True)
