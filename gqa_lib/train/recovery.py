"""Trained models with fewer KV heads: their losses right after conversion, and along the steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from gqa_lib.arguments import check_choice, check_distinct, check_kind, index, several
from gqa_lib.measure import pick_device
from gqa_lib.model import LanguageModel, convert_state_dict
from gqa_lib.model.convert import METHODS
from gqa_lib.model.convert.pool import check_fewer
from gqa_lib.model.convert.weights import rotary_dims

from .loop import fit, settled, train
from .recipe import Recipe
from .runs import Rows, checked_folder, compute, kind_of, whole_seeds
from .task import Heads, Task, check_shared_heads

NONE, SCRATCH = "none", "scratch"  # methods of rows that are no conversion


class _Run(NamedTuple):
    """What is done from one seed."""

    num_kv_heads: int
    seed: int

    def __str__(self) -> str:
        return f"kv{self.num_kv_heads}-seed{self.seed}"


def recovery(
    task: Task,
    heads: Heads,
    num_kv_heads: int | Iterable[int],
    seeds: Iterable[int],
    recipe: Recipe | None = None,
    uptraining: Recipe | None = None,
    *,
    methods: Iterable[str] = METHODS,
    folder: str | Path | None = None,
    device: str | None = None,
    workers: int | None = None,
    bar: bool = False,
) -> list[dict[str, Any]]:
    """Train a model from every seed, convert it in several ways, and train each of those a little.

    Every way starts from the same weights and sees the same batches, so that their results are
    pairs. A model with as few KV heads is trained from scratch for as long as the first one.

    Args:
        task: what is learnt.
        heads: of the model that is converted.
        num_kv_heads: KV heads to be left, or several numbers of them.
        seeds: of weights and batches.
        recipe: of the first model, and of the one from scratch; None is Recipe().
        uptraining: of the converted ones; None is 120 steps at a fifth of that rate.
        methods: of conversion, as `convert_state_dict` has them.
        folder, device, workers, bar: as in `sweep`.

    Returns:
        A row for each evaluation, with "method", "num_kv_heads", "seed", "precision", "device",
        "step" and what `fit` gives. Method "none" is the model before, "scratch" the one that was
        trained with fewer.

    Raises:
        ValueError: as in `sweep` and `convert_state_dict`.
    """
    recipe = Recipe() if recipe is None else recipe
    check_kind(Recipe, "Give Recipe(...).", recipe=recipe)
    if uptraining is None:
        uptraining = replace(
            recipe, steps=120, lr=recipe.lr / 5, warmup_steps=20, evaluate_every=30
        )
    check_kind(Recipe, "Give Recipe(...).", uptraining=uptraining)
    check_kind(Task, "Give RecallTask(...) or TextTask(...).", task=task)
    check_kind(Heads, "Give Heads(num_heads, num_kv_heads, head_dim).", heads=heads)
    check_shared_heads(heads)
    fewer = _fewer(heads, num_kv_heads)
    ways = several(methods, "methods", "methods")
    for method in ways:
        check_choice(METHODS, method=method)
    check_distinct(ways, "methods")
    numbers = whole_seeds(seeds)  # which may be given one by one, once
    runs = [_Run(one, seed) for one in fewer for seed in numbers]
    models = [heads, *(replace(heads, num_kv_heads=one) for one in fewer)]
    recipe, uptraining = (settled(one, task, models, device) for one in (recipe, uptraining))
    place, kept = str(pick_device(device)), checked_folder(folder)
    job = _Job(task, heads, recipe, replace(uptraining, evaluate_first=True), ways, place, kept)
    return [row for rows in compute(job, runs, workers, bar) for row in rows]


def _fewer(heads: Heads, num_kv_heads: Any) -> list[int]:
    """Numbers of KV heads to be left, each of which shrinks a model."""
    one = index(num_kv_heads)
    values = [one] if one is not None else several(num_kv_heads, "num_kv_heads", "numbers")
    for value in values:
        check_fewer(heads.num_kv_heads, value)
        if value == heads.num_kv_heads:
            raise ValueError(
                f"num_kv_heads={value} is what the model has already: nothing would be converted. "
                "Give fewer."
            )
    numbers = [int(value) for value in values]
    check_distinct(numbers, "num_kv_heads")
    return numbers


def converted(
    model: nn.Module, task: Task, heads: Heads, num_kv_heads: int, method: str, seed: int = 0
) -> nn.Module:
    """Return a task's model with fewer KV heads.

    Args:
        model: of the task.
        task: which makes the new one.
        heads: of the model.
        num_kv_heads: KV heads to be left.
        method, seed: as in `convert_state_dict`.

    Raises:
        ValueError: as in `convert_state_dict`, or the task makes models that differ in more.
    """
    turning: Any = 0
    if isinstance(model, LanguageModel):
        turning = rotary_dims(model.config, model.variant)
    state = convert_state_dict(
        {name: one.cpu() for name, one in model.state_dict().items()},
        num_kv_heads,
        method,
        num_heads=heads.num_heads,
        head_dim=heads.head_dim,
        rotary_dim=turning,
        seed=seed,
    )
    new = task.new_model(replace(heads, num_kv_heads=num_kv_heads))
    sizes = {name: one.shape for name, one in new.state_dict().items()}
    if sizes != {name: one.shape for name, one in state.items()}:
        raise ValueError(
            "the task makes models with fewer KV heads that differ in other sizes, too: there is "
            "nothing to fill those with. Give a task without equal_params."
        )
    new.load_state_dict(state)
    return new


class _Job(NamedTuple):
    """What all runs have in common; a `Job`."""

    task: Task
    heads: Heads
    recipe: Recipe
    uptraining: Recipe
    methods: list[str]
    device: str
    folder: Path | None

    def about(self) -> dict[str, Any]:
        later = {f"uptraining_{name}": one for name, one in asdict(self.uptraining).items()}
        how = {"heads": asdict(self.heads), "methods": self.methods}
        how["device"] = kind_of(self.device)
        return self.task.described() | asdict(self.recipe) | later | how

    def do(self, run: _Run) -> Rows:
        first, rows = self._trained(self.heads, run.seed, NONE)
        rows = [self._row(row, NONE, self.heads.num_kv_heads, run) for row in rows[-1:]]
        for method in self.methods:
            with torch.random.fork_rng(devices=[]):
                few = run.num_kv_heads
                model = converted(first, self.task, self.heads, few, method, run.seed)
            other = ~run.seed  # batches that the first model was not trained on
            made = fit(model, self.task, self.uptraining, seed=other, device=self.device)
            rows += [self._row(row, method, run.num_kv_heads, run) for row in made]
        fewer = replace(self.heads, num_kv_heads=run.num_kv_heads)
        _, made = self._trained(fewer, run.seed, SCRATCH)
        return rows + [self._row(row, SCRATCH, run.num_kv_heads, run) for row in made[-1:]]

    def _trained(self, heads: Heads, seed: int, name: str) -> tuple[nn.Module, Rows]:
        path = self.folder and self.folder / f"{name}-{heads}-seed{seed}.model.pt"
        device = self.device
        return train(self.task, heads, self.recipe, seed=seed, device=device, path=path)

    def _row(self, row: dict[str, Any], method: str, kept: int, run: _Run) -> dict[str, Any]:
        labels = {"method": method, "num_kv_heads": kept, "from": self.heads.num_kv_heads}
        later = method not in (NONE, SCRATCH)
        recipe = self.uptraining if later else self.recipe
        labels |= {"to": run.num_kv_heads, "seed": run.seed, "precision": recipe.precision}
        return labels | {"device": kind_of(self.device)} | row
