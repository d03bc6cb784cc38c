"""Evaluations of the memo's own model and its variants, as lm-evaluation-harness writes them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gqa_lib.arguments import is_number, shown

from .records import Better, Quality
from .served import kv_heads_of, split_spec
from .values import Figure, Record

_LESS = ("perplexity", "bits_per_byte", "loss", "nll", "wer", "cer", "ter", "brier_score", "error")
_MORE = r"(^|_)(accuracy|acc|exact_match|em|f1|bleu|chrf|rouge|mcc|mc|pass)([^a-z]|$)"
_Z = 1.96  # of a normal distribution, 95 %


@dataclass(frozen=True)
class Evaluation:
    """One model's scores.

    Args:
        file: its name.
        num_kv_heads: of the model.
        scores: (task, metric) to (score, standard error).
        lower_is_better: those of which that is so.
        recorded: when.
    """

    file: str
    num_kv_heads: int
    scores: Mapping[tuple[str, str], tuple[float, float]]
    lower_is_better: frozenset[tuple[str, str]]
    recorded: str


def is_evaluation(path: Path) -> bool:
    """Return whether a file is one JSON object with results of tasks, not a record's lines.

    Args:
        path: the file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return False
    return isinstance(found, dict) and isinstance(found.get("results"), dict)


def read_evaluation(spec: str, model: str, own_kv_heads: int) -> Evaluation:
    """Return the scores in a results_*.json of lm_eval --output_path.

    Args:
        spec: the file, or `NUM_KV_HEADS=FILE`.
        model: the name of the memo's model.
        own_kv_heads: of that model as it is.

    Raises:
        ValueError: it has no scores with standard errors, one is not finite, or it is of another
            model.
    """
    heads, path = split_spec(spec)
    found = json.loads(path.read_text(encoding="utf-8"))
    scores = {
        (task, metric): score
        for task, values in found["results"].items()
        if isinstance(values, dict)
        for metric, score in _scores(values, f"{path.name}, {task}").items()
    }
    if not scores:
        raise ValueError(
            f"{path.name} has no score with its standard error (such as acc,none and "
            "acc_stderr,none): differences could not be told from chance. Evaluate with "
            "lm_eval --output_path."
        )
    up = found.get("higher_is_better") or {}
    lower = frozenset(key for key in scores if not _higher_is_better(path.name, up, *key))
    name = found.get("model_name") or (found.get("config") or {}).get("model_args")
    return Evaluation(
        path.name,
        kv_heads_of(heads, found, path.name, _model(name), (model, own_kv_heads)),
        scores,
        lower,
        f"as recorded {_day(found.get('date'))}, on a machine that the file does not name",
    )


def compared(baseline: Evaluation, variant: Evaluation, margin: float) -> list[Quality]:
    """Return how far a variant's scores are from the baseline's, task by task.

    Args:
        baseline, variant: their evaluations; tasks and metrics that both have are compared.
        margin: the difference in score that would matter.
    """
    found = []
    for key in sorted(baseline.scores.keys() & variant.scores.keys()):
        (a, a_error), (b, b_error) = baseline.scores[key], variant.scores[key]
        difference, half = b - a, _Z * math.hypot(a_error, b_error)
        gain = -difference if key in variant.lower_is_better else difference
        task, metric = key
        files = f"{variant.file} minus {baseline.file}"
        said = f"{task}, {metric}, with {_Z:g} standard errors either way"
        record = Record(files, said, variant.recorded)
        found.append(
            Quality(
                record=files,
                what=f"{task}, {metric.partition(',')[0]}",
                num_kv_heads=variant.num_kv_heads,
                difference=Figure(
                    difference,
                    "",
                    "measured",
                    record,
                    low=difference - half,
                    high=difference + half,
                ),
                margin=Figure(margin, "", "given", "the difference in score that would matter"),
                verdict=verdict(gain - half, gain + half, margin),
            )
        )
    return found


def verdict(low: float, high: float, margin: float) -> Better:
    """Return what an interval of a gain says.

    Args:
        low, high: its ends; above 0 is better.
        margin: what would matter.
    """
    if low > margin:
        return "better"
    if high < -margin:
        return "worse"
    return "same within the margin" if -margin <= low and high <= margin else "not distinguishable"


def _higher_is_better(file: str, said: Mapping[str, Any], task: str, metric: str) -> bool:
    """Whether more of a metric is better: as the file says, or as its name does."""
    name = metric.partition(",")[0]
    stated = (said.get(task) or {}).get(name)
    if isinstance(stated, bool):
        return stated
    if any(f"_{name}".endswith(f"_{less}") for less in _LESS):
        return False
    if re.search(_MORE, name):
        return True
    raise ValueError(
        f"{file}, {task}: whether more {name} is better is not known, and the file's "
        "higher_is_better does not say so. Give the file as lm_eval wrote it."
    )


def _scores(values: dict[str, Any], where: str) -> dict[str, tuple[float, float]]:
    found = {}
    for metric, score in values.items():
        name, comma, how = metric.partition(",")
        error = values.get(f"{name}_stderr{comma}{how}")
        if not is_number(score) or not is_number(error):
            continue
        if not math.isfinite(score) or not 0 <= float(error) < math.inf:  # type: ignore[arg-type]
            raise ValueError(
                f"{where}: {metric}={shown(score)} with a standard error of {shown(error)} is not "
                "a finite score. Evaluate again."
            )
        found[metric] = (float(score), float(error))  # type: ignore[arg-type]
    return found


def _model(name: Any) -> Any:
    """The model of lm_eval's model_args, such as "pretrained=org/name,dtype=bfloat16"."""
    found = (
        re.search(r"(?:^|,)(?:pretrained|model)=([^,]+)", name) if isinstance(name, str) else None
    )
    return found[1] if found else name


def _day(date: Any) -> str:
    """The day of lm_eval's date, seconds since 1970."""
    if not is_number(date) or not 0 <= float(date) < 1e11:
        return "without a date"
    return datetime.fromtimestamp(float(date), UTC).date().isoformat()
