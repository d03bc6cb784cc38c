"""What benchmark notebooks that train do train on, as their parameters say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gqa_lib.train import RecallTask, TextTask

_BYTES = 1_000_000  # of a text, enough to count how often each comes


class SmallTask(NamedTuple):
    """A task, and how its results are told.

    Attributes:
        task: as `gqa_lib.train` takes it.
        metric: the result that is compared, a key of its evaluations.
        unit: of that.
        known: what results are held against, by name.
        nothing: the result of a model that has learnt nothing: chance, or for text the loss of how
            often each byte comes.
        text: where it is from, and its digest; None of a task without.
    """

    task: RecallTask | TextTask
    metric: str
    unit: str
    known: dict[str, float]
    nothing: float
    text: dict[str, str] | None

    def learnt(self, results: Sequence[float], margin: float) -> bool:
        """Return whether models have learnt something: more than nothing by more than a margin.

        Args:
            results: of the models, one for each seed.
            margin: the difference that would matter.
        """
        gain = sum(results) / len(results) - self.nothing
        return (-gain if self.metric == "loss" else gain) > margin


def small_task(values: Mapping[str, Any]) -> SmallTask:
    """Return the task that a notebook's parameters describe; of a text, print what it is.

    Args:
        values: of its parameters, by name.

    Raises:
        FileNotFoundError: the text is not there.
        ValueError: sizes that make no task.
    """
    import numpy as np

    from gqa_lib.train import RecallTask, TextTask, ngram_probabilities, python_sources, read_corpus

    if values["task"] == "recall":
        sizes = {name: values[name] for name in ("num_records", "num_attributes", "num_values")}
        records = sizes["num_records"]
        keys, queries = max(128, records), min(8, records)
        recall = RecallTask(**sizes, num_keys=keys, num_queries=queries, d_model=values["d_model"])
        known = {"chance": recall.chance}
        unit = "share of right answers"
        return SmallTask(recall, "accuracy", unit, known, recall.chance, None)
    corpus = read_corpus(values["text"]) if values["text"] else python_sources()
    sizes = {name: values[name] for name in ("context", "num_layers", "d_model")}
    text = TextTask(corpus, **sizes, equal_params=values.get("equal_params", False))
    train, held_out = (len(part) for part in (corpus.train, corpus.held_out))
    print(f"{corpus.origin}: {train:,} bytes to train on, {held_out:,} held out")
    shown, judged = (part[:_BYTES].numpy() for part in (corpus.train, corpus.held_out))
    nothing = -float(np.log(ngram_probabilities(shown, judged, 1)).mean())
    about = {"origin": corpus.origin, "digest": corpus.digest}
    return SmallTask(text, "loss", "nats per held-out byte", {}, nothing, about)
