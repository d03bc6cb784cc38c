"""What benchmark notebooks that train do train on, as their parameters say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gqa_lib.train import RecallTask, TextTask


class SmallTask(NamedTuple):
    """A task, and how its results are told.

    Attributes:
        task: as `gqa_lib.train` takes it.
        metric: the result that is compared, a key of its evaluations.
        unit: of that.
        known: what results are held against, by name.
    """

    task: RecallTask | TextTask
    metric: str
    unit: str
    known: dict[str, float]


def small_task(values: Mapping[str, Any]) -> SmallTask:
    """Return the task that a notebook's parameters describe; of a text, print what it is.

    Args:
        values: of its parameters, by name.

    Raises:
        FileNotFoundError: the text is not there.
        ValueError: sizes that make no task.
    """
    from gqa_lib.train import RecallTask, TextTask, python_sources, read_corpus

    if values["task"] == "recall":
        sizes = {name: values[name] for name in ("num_records", "num_attributes", "num_values")}
        records = sizes["num_records"]
        keys, queries = max(128, records), min(8, records)
        recall = RecallTask(**sizes, num_keys=keys, num_queries=queries, d_model=values["d_model"])
        return SmallTask(recall, "accuracy", "share of right answers", {"chance": recall.chance})
    corpus = read_corpus(values["text"]) if values["text"] else python_sources()
    sizes = {name: values[name] for name in ("context", "num_layers", "d_model")}
    text = TextTask(corpus, **sizes, equal_params=values.get("equal_params", False))
    train, held_out = (len(part) for part in (corpus.train, corpus.held_out))
    print(f"{corpus.origin}: {train:,} bytes to train on, {held_out:,} held out")
    return SmallTask(text, "loss", "nats per held-out byte", {})
