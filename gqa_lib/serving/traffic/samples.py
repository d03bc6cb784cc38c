"""Traces that come with the course; data/README.md says where they are from."""

from __future__ import annotations

from pathlib import Path

from gqa_lib.arguments import check_choice

from .load import load_trace
from .trace import Trace

SAMPLES = {
    "azure-conv-2023": "azure-conv-2023.csv.gz",
    "azure-code-2023": "azure-code-2023.csv.gz",
    "vllm-rtx4090": "vllm-rtx4090.jsonl.gz",
}


def sample(name: str) -> Trace:
    """Return a trace that comes with the course.

    "azure-conv-2023" and "azure-code-2023" are 2,000 consecutive requests each to a conversation
    and a code service of Microsoft's, CC-BY 4.0. "vllm-rtx4090" is the log of 300 requests that
    vLLM 0.19 served with Llama-3.1-8B on an RTX 4090, MIT, with what it measured.

    Source: AzurePublicDataset (Patel et al., Splitwise, ISCA 2024); casys-kaist/LLMServingSim.

    Args:
        name: one of `SAMPLES`.

    Raises:
        ValueError: there is no sample of this name.
    """
    check_choice(tuple(SAMPLES), name=name)
    return load_trace(Path(__file__).parent / "data" / SAMPLES[name])
