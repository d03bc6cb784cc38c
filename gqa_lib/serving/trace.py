"""Real requests: when they came to two services, and how many tokens they had."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Literal, NamedTuple

from gqa_lib.arguments import check_choice

_FOLDER = Path(__file__).with_name("azure-2023")


class TraceRequest(NamedTuple):
    """A request of a trace.

    Args:
        arrival_s: seconds after the first one.
        prompt_tokens: tokens that it came with.
        output_tokens: tokens that it was answered with, 1 or more.
    """

    arrival_s: float
    prompt_tokens: int
    output_tokens: int


def azure_lengths(kind: Literal["conv", "code"]) -> list[TraceRequest]:
    """Return 2,000 consecutive requests to a service, in the order of their arrival.

    Args:
        kind: "conv", a chat service, or "code", a coding assistant.

    Raises:
        ValueError: there is no such service.

    Source: Azure LLM inference trace 2023, Microsoft, CC-BY 4.0 (Patel et al. 2024, ISCA,
    "Splitwise"); see the README in its folder.
    """
    check_choice(("conv", "code"), kind=kind)
    with gzip.open(_FOLDER / f"{kind}.csv.gz", "rt", encoding="utf-8") as file:
        rows = [tuple(map(int, row)) for row in list(csv.reader(file))[1:]]
    requests, now_ms = [], 0
    for gap_ms, prompt_tokens, output_tokens in rows:
        now_ms += gap_ms
        requests.append(TraceRequest(now_ms / 1000, prompt_tokens, output_tokens))
    return requests
