"""What a model of bytes must beat: predictions that cost nothing to train.

The unit is bits per held-out byte; a loss in nats per byte is the bits times ln 2 (0.693).
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from gqa_lib.arguments import check_kind, check_whole, shown

from .corpus import Corpus

MAX_ORDER = 5  # bytes of an n-gram; seven would fit the positive numbers of 64 bits
_NUM_BYTES = 256


def baselines(
    corpus: Corpus,
    max_train_bytes: int | None = 1_000_000,
    max_held_out_bytes: int | None = 1_000_000,
) -> dict[str, float]:
    """Return bits per held-out byte of what costs nothing: n-grams and compressors.

    Each gets the same bytes: the beginning of the training part, and the beginning of the held-out
    part. Give a model's own number of training bytes for a fair comparison. With the defaults it
    takes 2 or 3 seconds, and some 20 for all 12 MB of Python's sources; memory is about 35 bytes
    for each byte of the training part and 90 for each of the held-out part, and xz's own.

    The compressors' figure is the compressed size of both parts less that of the training part. xz
    (preset 9) looks back 64 MiB, which is all of most training parts; zlib (level 9) looks back 32
    KiB only, so that all but the end of the training part is lost on it. Both also learn from the
    held-out bytes while they go through them, which n-grams and trained models do not.

    Args:
        corpus: bytes in two parts.
        max_train_bytes: bytes of the training part that are used; None is all.
        max_held_out_bytes: bytes of the held-out part that are used; None is all.

    Returns:
        Name to bits per byte: "uniform" (8), "1-gram" to "5-gram" (interpolated, see
        `ngram_probabilities`), "zlib" and "xz".

    Raises:
        ValueError: corpus is not a Corpus, or a number of bytes is not positive.
    """
    check_kind(Corpus, "Give what python_sources or read_corpus returned.", corpus=corpus)
    if max_train_bytes is not None:
        check_whole(max_train_bytes=max_train_bytes)
    if max_held_out_bytes is not None:
        check_whole(max_held_out_bytes=max_held_out_bytes)
    train = corpus.train[:max_train_bytes].numpy()
    held_out = corpus.held_out[:max_held_out_bytes].numpy()
    bits = {"uniform": 8.0}
    for order, probabilities in enumerate(_each_order(train, held_out, MAX_ORDER), start=1):
        bits[f"{order}-gram"] = float(-np.log2(probabilities).mean())
    for name, compress in _COMPRESSORS.items():
        bits[name] = _compressed_bits(train.tobytes(), held_out.tobytes(), compress)
    return bits


def ngram_probabilities(train: np.ndarray, text: np.ndarray, order: int) -> np.ndarray:
    """Return the probability of each byte of a text after the order - 1 bytes before it.

    Counts are those of the training bytes. After a context h with c(h) continuations, of which
    T(h) differ, the byte w has

        p(w | h) = (c(h, w) + T(h) p(w | h')) / (c(h) + T(h)),

    with h' as h without its first byte, and 1/256 where no byte of h is left to drop. A context
    that was never seen leaves the shorter one's probability. At the beginning of the text contexts
    are as long as there are bytes. Over the 256 next bytes the probabilities add up to 1.

    Source: Witten and Bell 1991, The Zero-Frequency Problem, method C; interpolated in all orders
    as in Chen and Goodman 1998, An Empirical Study of Smoothing Techniques, equation 17.

    Args:
        train: (num_train_bytes,) uint8.
        text: (num_bytes,) uint8.
        order: bytes of an n-gram, 1 to 5; 1 looks at no context.

    Returns:
        (num_bytes,) float64.

    Raises:
        ValueError: order is not a number from 1 to 5, or train or text is not a vector of bytes.
    """
    check_whole(order=order)
    if order > MAX_ORDER:
        raise ValueError(
            f"order={order} is above {MAX_ORDER}: longer n-grams than that are not counted here. "
            f"Choose from 1 to {MAX_ORDER}."
        )
    *_, probabilities = _each_order(_bytes("train", train), _bytes("text", text), order)
    return probabilities


def _bytes(name: str, values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError(
            f"{name}={shown(values)} is not a vector of bytes: n-grams are counted of bytes. "
            "Give a one-dimensional array of dtype uint8, as np.frombuffer(text, np.uint8) is."
        )
    return array


def _each_order(train: np.ndarray, text: np.ndarray, max_order: int) -> Iterator[np.ndarray]:
    """The probabilities of the text's bytes by orders 1, 2 and so on: one array at a time."""
    probabilities = np.full(len(text), 1 / _NUM_BYTES)
    for order in range(1, max_order + 1):
        grams, counts = np.unique(_keys(train, order), return_counts=True)
        # Grams are in order, so those with the same context stand together.
        contexts, firsts, num_different = np.unique(
            grams // _NUM_BYTES, return_index=True, return_counts=True
        )
        if len(contexts):
            totals = np.add.reduceat(counts, firsts)
            keys = _keys(text, order)
            count = _look_up(grams, counts, keys)
            total = _look_up(contexts, totals, keys // _NUM_BYTES)
            different = _look_up(contexts, num_different, keys // _NUM_BYTES)
            seen = total > 0
            shorter = probabilities[order - 1 :]
            longer = (count + different * shorter) / np.where(seen, total + different, 1)
            # A new array: whoever was given the last one may have kept it.
            probabilities = np.concatenate(
                [probabilities[: order - 1], np.where(seen, longer, shorter)]
            )
        yield probabilities


def _keys(text: np.ndarray, order: int) -> np.ndarray:
    """One number for each n-gram of a text, by where its last byte is: the bytes in base 256."""
    length = max(0, len(text) - order + 1)
    keys = np.zeros(length, dtype=np.int64)
    for place in range(order):
        keys *= _NUM_BYTES
        keys += text[place : place + length]
    return keys


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The values of some keys, of those in order; 0 for a key that is not there."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def _compressed_bits(train: bytes, held_out: bytes, compress: Callable[[bytes], bytes]) -> float:
    more = len(compress(train + held_out)) - len(compress(train))
    return 8 * more / len(held_out)


_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda text: zlib.compress(text, 9),
    "xz": lambda text: lzma.compress(text, preset=9),
}
