"""Several seeds of several models, in one call that goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gqa_lib.arguments import check_distinct, check_kind, several
from gqa_lib.measure import pick_device

from .loop import settled, train
from .recipe import Recipe
from .runs import Rows, checked_folder, compute, kind_of, whole_seeds
from .task import Heads, Task

_LABELS = (
    *("num_heads", "num_kv_heads", "head_dim", "kv_lora_rank"),
    *("cached_numbers", "params", "seed"),
)


class Run(NamedTuple):
    """One model to train."""

    heads: Heads
    seed: int

    def __str__(self) -> str:
        return f"{self.heads}-seed{self.seed}"


def sweep(
    task: Task,
    heads: Iterable[Heads],
    seeds: Iterable[int],
    recipe: Recipe | None = None,
    *,
    folder: str | Path | None = None,
    device: str | None = None,
    workers: int | None = None,
    bar: bool = False,
) -> list[dict[str, Any]]:
    """Train every model from every seed, and return what came of each.

    On a CPU each run has one thread, so that what comes out does not depend on how many are at
    work. Models with the same seed are shown the same batches: their results are pairs. All compute
    in one precision: with "auto" in that of the narrowest.

    With more workers than one each is a process that imports the program: in a script the call
    stands below `if __name__ == "__main__":`.

    Args:
        task: what they learn.
        heads: of each model.
        seeds: of weights and batches.
        recipe: how; None is Recipe().
        folder: where finished runs and checkpoints are kept: the same call goes on from there, and
            one with more heads or seeds computes only those. None keeps nothing.
        device: as in `gqa_lib.measure.pick_device`.
        workers: runs at a time, each a process; None is one per CPU core, and one on a GPU.
        bar: whether a bar shows how far it is; it needs tqdm.

    Returns:
        A row for each evaluation, ordered by heads, seeds and steps: the heads, "cached_numbers"
        per token and layer, "params", "seed", "precision", "device", and what `fit` gives. `final`
        picks the last ones.

    Raises:
        ValueError: the folder holds the runs of another task, recipe, precision or device, nothing
            is to be trained or something twice, or as in `fit`.
        RuntimeError: a process ended before its run did.
    """
    recipe, place = Recipe() if recipe is None else recipe, pick_device(device)
    check_kind(Recipe, "Give Recipe(...).", recipe=recipe)
    check_kind(Task, "Give RecallTask(...) or TextTask(...).", task=task)
    every = several(heads, "heads", "Heads(...)")
    for one in every:
        check_kind(Heads, "Give Heads(num_heads, num_kv_heads, head_dim).", heads=one)
    check_distinct(every, "heads")
    numbers = whole_seeds(seeds)  # which may be given one by one, once
    runs = [Run(one, seed) for one in every for seed in numbers]
    recipe = settled(recipe, task, every, device)
    job = _Job(task, recipe, str(place), checked_folder(folder))
    return [row for rows in compute(job, runs, workers, bar) for row in rows]


def final(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last row of each run, in the order of the runs.

    Args:
        rows: as `sweep` returns them.
    """
    last = {tuple(row.get(name) for name in _LABELS): row for row in rows}
    return list(last.values())


class _Job(NamedTuple):
    """What all runs of a sweep have in common; a `Job`."""

    task: Task
    recipe: Recipe
    device: str
    folder: Path | None

    def about(self) -> dict[str, Any]:
        return self.task.described() | asdict(self.recipe) | {"device": kind_of(self.device)}

    def do(self, run: Run) -> Rows:
        path = self.folder and self.folder / f"{run}.pt"
        model, rows = train(
            self.task, run.heads, self.recipe, seed=run.seed, device=self.device, path=path
        )
        labels = asdict(run.heads) | {
            "cached_numbers": run.heads.cached_numbers,
            "params": sum(one.numel() for one in model.parameters()),
            "seed": run.seed,
            "precision": self.recipe.precision,
            "device": kind_of(self.device),
        }
        return [labels | row for row in rows]
