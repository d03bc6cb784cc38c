"""The training loop, one for all tasks: a run gives the same losses wherever it was interrupted."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from gqa_lib.arguments import check_kind, check_whole, place_for, plain
from gqa_lib.course.extras import require
from gqa_lib.measure import pick_device
from gqa_lib.processes import in_ipython

from . import checkpoint
from .checkpoint import State
from .recipe import WIDE_ENOUGH, Recipe, precision_of
from .task import Heads, Task

KEEP_EVERY = 100  # steps
T = TypeVar("T")


def train(
    task: Task,
    heads: Heads,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    device: str | None = None,
    path: str | Path | None = None,
    keep_every: int = KEEP_EVERY,
    bar: bool = False,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train a new model.

    Args:
        task: what it learns.
        heads: of its attention.
        recipe: how; None is Recipe().
        seed: of its weights and of the batches: models with the same one are shown the same data.
        device: as in `gqa_lib.measure.pick_device`.
        path, keep_every, bar: as in `fit`.

    Returns:
        The model, and a row for each evaluation, as `fit` gives them.

    Raises:
        ValueError: as in `fit`.
    """
    check_kind(Heads, "Give Heads(num_heads, num_kv_heads, head_dim).", heads=heads)
    run = _checked(task, recipe, seed, path, keep_every, bar)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed % 2**64)
        model = task.new_model(heads)
    return model, _fit(model, task, run, device, {"heads": asdict(heads)})


def fit(
    model: nn.Module,
    task: Task,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    device: str | None = None,
    path: str | Path | None = None,
    keep_every: int = KEEP_EVERY,
    bar: bool = False,
    about: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Train a model as it stands, in place.

    Batches depend on the seed and the number of the step alone, so that a run which was killed
    and goes on from its checkpoint computes what it would have computed.

    Args:
        model: for the task; it is moved to the device.
        task: what it learns.
        recipe: how; None is Recipe().
        seed: of the batches.
        device: as in `gqa_lib.measure.pick_device`.
        path: of a checkpoint, from which the run goes on if it is there, given the same weights to
            start from. None keeps none.
        keep_every: steps between two checkpoints.
        bar: whether a bar shows how far it is; it needs tqdm.
        about: what else tells this run from others, for its checkpoint.

    Returns:
        A row for each evaluation: "step", "train_loss" (nats, the mean since the row before; not
        in a row before the first step), and what the task evaluates.

    Raises:
        ValueError: the checkpoint is of another run, or the loss is not a number any more.
    """
    check_kind(nn.Module, "Give a model of the task.", model=model)
    run = _checked(task, recipe, seed, path, keep_every, bar)
    more = dict(about or {})
    if path is not None:
        more[checkpoint.WEIGHTS] = checkpoint.digest_of(model.state_dict())
    return _fit(model, task, run, device, more)


class _Run(NamedTuple):
    """The arguments of a run, checked."""

    recipe: Recipe
    seed: int
    path: Path | None
    keep_every: int
    bar: bool


def _checked(task: Any, recipe: Any, seed: Any, path: Any, keep_every: Any, bar: Any) -> _Run:
    check_kind(Task, "Give RecallTask(...) or TextTask(...).", task=task)
    recipe = Recipe() if recipe is None else recipe
    check_kind(Recipe, "Give Recipe(...).", recipe=recipe)
    check_whole(None, seed=seed)
    check_whole(keep_every=keep_every)
    check_kind(bool, "Give True or False.", bar=bar)
    path = None if path is None else place_for(path, "path")
    return _Run(recipe, plain(seed), path, plain(keep_every), bar)


def _fit(
    model: nn.Module, task: Task, run: _Run, device: str | None, about: dict[str, Any]
) -> list[dict[str, Any]]:
    """`fit` with arguments that are checked; `about` says of which model the run is."""
    recipe, place = run.recipe, pick_device(device)
    model.to(place)
    precision = precision_of(recipe, place, _width(model))
    optimiser = _optimiser(model, recipe)
    described = task.described() | asdict(recipe) | {"precision": precision, "seed": run.seed}
    described |= about
    state = _start(run.path, described, model, optimiser)
    if recipe.evaluate_first and not state.rows:
        state.rows.append({"step": 0} | _evaluation(model, task, 0))
    done, steps = state.step, recipe.steps
    left = range(done + 1, steps + 1)
    for step in shown(left, steps, "step", done) if run.bar else left:
        loss = _one_step(model, optimiser, task, recipe, step, run.seed, precision)
        state.step = step
        state.losses.append(loss)
        if recipe.evaluates_at(step):
            train_loss = sum(state.losses) / len(state.losses)
            row = {"step": step, "train_loss": train_loss} | _evaluation(model, task, step)
            state.rows.append(row)
            state.losses.clear()
        if run.path is not None and (step % run.keep_every == 0 or step == steps):
            state.model, state.optimiser = model.state_dict(), optimiser.state_dict()
            checkpoint.save(run.path, described, state)
    return state.rows


def settled(
    recipe: Recipe, task: Task, heads: Sequence[Heads], device: str | None = None
) -> Recipe:
    """Return a recipe whose precision is not "auto": the one in which all of some models compute.

    Args:
        recipe: how they are trained.
        task: what they learn.
        heads: of each model; the narrowest decides.
        device: as in `gqa_lib.measure.pick_device`.
    """
    place = pick_device(device)
    precision = precision_of(recipe, place, WIDE_ENOUGH)
    if recipe.precision == "auto" and precision != "float32":
        with torch.random.fork_rng(devices=[]):
            width = min(_width(task.new_model(one)) for one in heads)
        precision = precision_of(recipe, place, width)
    return replace(recipe, precision=precision)


def _optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    rate, decay = recipe.lr, recipe.weight_decay
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)


def _start(
    path: Path | None, run: dict[str, Any], model: nn.Module, optimiser: torch.optim.Optimizer
) -> State:
    """Where the run goes on: the model and the optimiser are put in that state."""
    state = State() if path is None else checkpoint.read(path, run)
    if state.step:
        model.load_state_dict(state.model)
        optimiser.load_state_dict(state.optimiser)
    return state


def shown(steps: Iterable[T], total: int, unit: str, done: int = 0) -> Iterable[T]:
    """Return some steps with a bar that shows how far they are.

    Args:
        steps: those that are left.
        total: how many there are.
        unit: what each is.
        done: of them.

    Raises:
        ModuleNotFoundError: tqdm is not installed.
    """
    require("tqdm")
    from tqdm import tqdm

    # A notebook shows stderr as an error, and loses tqdm's widget when it is closed.
    file = sys.stdout if in_ipython() else sys.stderr
    return tqdm(steps, initial=done, total=total, unit=unit, mininterval=0.2, file=file, ncols=80)


def _one_step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    task: Task,
    recipe: Recipe,
    step: int,
    seed: int,
    precision: str,
) -> float:
    """Do a step and return its loss."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(_seed_of(seed, step))
    batch = tuple(one.to(device) for one in task.batch(recipe.batch_size, generator))
    for group in optimiser.param_groups:
        group["lr"] = recipe.lr_at(step)
    model.train()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        loss = task.loss(model, batch)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimiser.step()
    if not math.isfinite(nats := loss.item()):
        raise ValueError(
            f"the loss of step {step} is {nats}: what is trained on it is lost. Lower the learning "
            f"rate ({recipe.lr:g}) or warm up for more than {recipe.warmup_steps} steps."
        )
    return nats


def _seed_of(seed: int, step: int) -> int:
    """Of the batch of a step: neighbouring seeds and steps share none."""
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _evaluation(model: nn.Module, task: Task, step: int) -> dict[str, float]:
    """What a task says of a model after a step, as numbers of Python's."""
    found = {name: plain(one) for name, one in task.evaluate(model.eval()).items()}
    if not math.isfinite(nats := found.get("loss", 0.0)):
        remedy = "Lower the learning rate, or warm up for more steps"
        raise ValueError(
            f"the held-out loss after step {step} is {nats}: the weights are lost. "
            f"{remedy if step else 'Start from a model whose weights are finite'}."
        )
    return found


def _width(model: nn.Module) -> int:
    """The narrowest input of a product in a model."""
    inputs = (one.in_features for one in model.modules() if isinstance(one, nn.Linear))
    return min(inputs, default=0)
