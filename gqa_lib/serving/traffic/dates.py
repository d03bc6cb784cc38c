"""Points in time as trace files write them, a million in a second."""

from __future__ import annotations

from datetime import date

import numpy as np

_EPOCH = date(1970, 1, 1).toordinal()
_FIXED = {4: "-", 7: "-", 13: ":", 16: ":"}  # of "2023-11-16 18:15:46"
_PARTS = {"year": (0, 4), "month": (5, 7), "day": (8, 10)}
_CLOCK = (((11, 13), 3600), ((14, 16), 60), ((17, 19), 1))
_LONGEST = 40  # characters


def parse_dates(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points in time, and which texts are none.

    Each may have a fraction of a second or not, "T" for the space, and "Z" or an offset such as
    "+00:00"; without one it is UTC.

    Args:
        texts: (N,) such as b"2023-11-16 18:15:46.6805900", at most 39 bytes each.

    Returns:
        (N,) nanoseconds since 1970 in int64, and (N,) whether the text is not a point in time.
    """
    padded = np.char.strip(texts).astype(f"S{_LONGEST}")
    letters = padded.view(np.uint8).reshape(len(padded), _LONGEST)
    digits = letters.astype(np.int16) - ord("0")
    is_digit = (digits >= 0) & (digits <= 9)
    bad = np.zeros(len(padded), bool)
    for place, mark in _FIXED.items():
        bad |= letters[:, place] != ord(mark)
    bad |= (letters[:, 10] != ord(" ")) & (letters[:, 10] != ord("T"))
    bad |= letters[:, -1] != 0  # longer, and cut off
    seconds = np.zeros(len(padded), np.int64)
    for (start, stop), worth in _CLOCK:
        bad |= ~is_digit[:, start:stop].all(1)
        number = _number(digits, start, stop)
        bad |= number > {3600: 23, 60: 59, 1: 60}[worth]
        seconds += number * worth
    days, no_day = _days(digits, is_digit)
    fraction, end = _fraction(letters, digits, is_digit)
    offset, no_offset = _offset(letters, digits, is_digit, end)
    return ((days * 86400 + seconds - offset) * 10**9 + fraction), bad | no_day | no_offset


def _number(digits: np.ndarray, start: int, stop: int) -> np.ndarray:
    number = np.zeros(len(digits), np.int64)
    for place in range(start, stop):
        number = number * 10 + digits[:, place]
    return number


def _days(digits: np.ndarray, is_digit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970, each date that occurs looked up once."""
    written = np.ones(len(digits), bool)
    for start, stop in _PARTS.values():
        written &= is_digit[:, start:stop].all(1)
    year, month, day = (_number(digits, *part) for part in _PARTS.values())
    together = np.where(written, (year * 100 + month) * 100 + day, 0)
    several, back = np.unique(together, return_inverse=True)
    found = []
    for one in several.tolist():
        try:
            if not 1700 <= one // 10000 <= 2200:  # nanoseconds beyond int64
                raise ValueError
            found.append(date(one // 10000, one // 100 % 100, one % 100).toordinal() - _EPOCH)
        except ValueError:
            found.append(-_EPOCH)
    days = np.array(found, np.int64)[back]
    return days, days == -_EPOCH


def _fraction(
    letters: np.ndarray, digits: np.ndarray, is_digit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nanoseconds, and where the fraction ends; digits after the ninth do not count."""
    inside = letters[:, 19] == ord(".")
    end = np.where(inside, 20, 19)
    nanoseconds = np.zeros(len(letters), np.int64)
    for place in range(20, _LONGEST):
        inside = inside & is_digit[:, place]
        if not inside.any():
            break
        if place < 29:
            nanoseconds[inside] += digits[inside, place].astype(np.int64) * 10 ** (28 - place)
        end[inside] = place + 1
    return nanoseconds, end


def _offset(
    letters: np.ndarray, digits: np.ndarray, is_digit: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds east of UTC, and which texts go on with anything else."""
    rows = np.arange(len(letters))
    wide = np.pad(letters, ((0, 0), (0, 8)))
    sign = wide[rows, end]
    none, zulu = sign == 0, (sign == ord("Z")) & (wide[rows, end + 1] == 0)
    signed = ((sign == ord("+")) | (sign == ord("-"))) & (wide[rows, end + 3] == ord(":"))
    signed &= wide[rows, end + 6] == 0
    offset = np.zeros(len(letters), np.int64)
    where = np.minimum(end, _LONGEST - 7)
    for shift, worth in ((1, 36000), (2, 3600), (4, 600), (5, 60)):
        signed &= is_digit[rows, where + shift]
        offset += digits[rows, where + shift].astype(np.int64) * worth
    signed &= (offset < 86400) & (offset % 3600 < 3600)
    offset = np.where(signed, np.where(sign == ord("-"), -offset, offset), 0)
    return offset, ~(none | zulu | signed)
