"""Text to token numbers and back: a checkpoint's own tokenizer, or bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from gqa_lib.arguments import check_kind

from .hugging_face.shards import check_is_file

_FILE = "tokenizer.json"
_OTHERS = ("tokenizer.model", "vocab.json", "merges.txt", "tekken.json", "spiece.model")


class Tokenizer(Protocol):
    """What turns text into token numbers, and back."""

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens, those that begin a text included."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some tokens, without those that only mark something."""


class ByteTokenizer:
    """A token for each byte of the text in UTF-8: 256 of them."""

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text."""
        return list(text.encode())

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some bytes; what is not UTF-8 becomes a replacement character.

        Raises:
            ValueError: a number is not a byte.
        """
        numbers = [int(one) for one in ids]
        odd = [one for one in numbers if not 0 <= one < 256]
        if odd:
            raise ValueError(
                f"token {odd[0]} is not a byte: a model that reads bytes has the tokens 0 to 255. "
                "Load the tokenizer of the model that made it."
            )
        return bytes(numbers).decode(errors="replace")


class FileTokenizer:
    """That of a tokenizer.json, by the `tokenizers` library.

    Args:
        tokenizer: a `tokenizers.Tokenizer`.
    """

    def __init__(self, tokenizer: Any):
        tokenizer.no_truncation()  # a file may ask for it: a text would silently end early
        tokenizer.no_padding()
        self.tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens, those included that the file puts around it."""
        return self.tokenizer.encode(text).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some tokens, special ones left out."""
        return self.tokenizer.decode([int(one) for one in ids])


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Return the tokenizer of a checkpoint: that of its tokenizer.json, else bytes in UTF-8.

    Args:
        path: of the checkpoint's folder.

    Raises:
        FileNotFoundError: no such folder.
        ImportError: there is a tokenizer.json, and the library that reads it is not installed.
        ValueError: the file cannot be read, or there is a tokenizer of another kind.
    """
    check_kind((str, Path), "Give the path of a checkpoint's folder.", path=path)
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder. Give the one that holds {_FILE}.")
    file = folder / _FILE
    if not file.exists():
        others = [name for name in _OTHERS if (folder / name).exists()]
        if others:
            raise ValueError(
                f"{folder} has {others[0]} and no {_FILE}: its tokens are not bytes, and only "
                f"{_FILE} is read. Convert it with transformers: AutoTokenizer.from_pretrained("
                f"{str(folder)!r}).save_pretrained(...)."
            )
        return ByteTokenizer()
    check_is_file(file)
    try:
        import tokenizers
    except ImportError:
        raise ImportError(
            f"{file} is read by the library `tokenizers`, which is not installed. Install it: "
            'pip install "gqa-course[model]".'
        ) from None
    try:
        return FileTokenizer(tokenizers.Tokenizer.from_file(str(file)))
    except Exception as trouble:  # the library raises no narrower one
        raise ValueError(f"{file} cannot be read as a tokenizer: {trouble}.") from None
