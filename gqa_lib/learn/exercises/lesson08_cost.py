"""Lesson 08: what a million tokens cost."""

import math
from collections.abc import Callable
from typing import Any

import torch

from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .lesson08 import LESSON
from .numbers import as_number, nearly

_NOT_A_PRICE = "It returned {type} {value}. Give one number: the price of a million tokens."


def _priced(generator: torch.Generator, tokens_per_s=1000.0, price=2.0, draw=0):
    for _ in range(draw):
        tokens, cents = integers(generator, 90_000, 900)
        tokens_per_s, price = tokens / 8, cents / 100
    return tokens_per_s, price


def cost(
    tokens_per_s: float, price_per_hour: float, *, hour: float = 3600.0, million: float = 1e6
) -> float:
    """Return the price of a million tokens.

    Args:
        tokens_per_s: measured.
        price_per_hour: of the machine.
        hour: seconds of one.
        million: tokens that are priced.

    Raises:
        ValueError: no throughput was measured, or the price is not one.
    """
    if not (0 < tokens_per_s < math.inf):
        raise ValueError(f"tokens_per_s={tokens_per_s} is not a measured throughput")
    if not (0 <= price_per_hour < math.inf):
        raise ValueError(f"price_per_hour={price_per_hour} is not a price")
    return price_per_hour / (tokens_per_s * hour) * million


def _call(yours: Callable, tokens_per_s: float, price_per_hour: float) -> Any:
    got = as_number(yours(tokens_per_s, price_per_hour), _NOT_A_PRICE)
    try:
        return nearly(got, cost(tokens_per_s, price_per_hour))
    except ValueError:
        raise Complaint(
            f"It returned {got} for tokens_per_s={tokens_per_s}, price_per_hour={price_per_hour}. "
            "Nothing was measured that such a price could rest on: raise ValueError, with the "
            "number in its message."
        ) from None


COST_PER_MILLION_TOKENS = Exercise(
    name="cost_per_million_tokens",
    lesson=LESSON,
    make=_priced,
    oracle=lambda tokens_per_s, price_per_hour: cost(tokens_per_s, price_per_hour),
    call=_call,
    cases=(
        {"tokens_per_s": 1000.0, "price": 3.6},
        {"tokens_per_s": 1066.4, "price": 0.7},
        {"tokens_per_s": 0.25, "price": 1.5},
        {"tokens_per_s": 400, "price": 1},
        {"tokens_per_s": 250.0, "price": 0},
        {"tokens_per_s": 0.0},
        {"tokens_per_s": -3.0},
        {"tokens_per_s": math.nan},
        {"tokens_per_s": math.inf},
        {"price": math.nan},
        {"price": -1.0},
        {"price": math.inf},
    ),
    mistakes=(
        Mistake(
            "the hour is forgotten: there are 3,600 seconds' tokens for the price.",
            lambda tokens, price: cost(tokens, price, hour=1),
        ),
        Mistake(
            "an hour has 60 seconds. It has 3,600.",
            lambda tokens, price: cost(tokens, price, hour=60),
        ),
        Mistake(
            "one token is priced. Give the price of a million.",
            lambda tokens, price: cost(tokens, price, million=1),
        ),
        Mistake(
            "a thousand tokens are priced. Give the price of a million.",
            lambda tokens, price: cost(tokens, price, million=1e3),
        ),
        Mistake(
            "a million has 2 to the power of 20. It is 10 to the power of 6.",
            lambda tokens, price: cost(tokens, price, million=2**20),
        ),
        Mistake(
            "the fraction is upside down: more tokens in the same hour are cheaper.",
            lambda tokens, price: tokens * 3600 / price / 1e6 if price else 0.0,
        ),
        Mistake(
            "price and throughput are multiplied. The tokens share the price: divide.",
            lambda tokens, price: tokens * 3600 * price / 1e6,
        ),
    ),
)

EXERCISES = [COST_PER_MILLION_TOKENS]
