"""Lesson 11: a cache whose tokens are in blocks, and sequences that share them."""

from functools import partial

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .paged_caches import expected_of_pages, observe_pages
from .variants import draw
from .wrong_forks import WRONG_FORKS
from .wrong_pages import WRONG_PAGES

_LESSON = "11-paged-attention"


def _script(
    generator: torch.Generator,
    Hkv: int = 2,
    D: int = 3,
    num_blocks: int = 6,
    block_size: int = 4,
    steps: str = "",
    dtype: str = "float32",
    draws: int = 0,
    forks: bool = False,
):
    """Return the arguments of a case; `draws` draws one afresh, with forks or without."""
    for _ in range(draws):
        Hkv, D, num_blocks, block_size = integers(generator, 4, 6, 5, 5)
        num_blocks += 2
        dtype = ("float32", "float64", "bfloat16")[draws % 3]
    script = steps.split("; ")
    if draws:
        script = _drawn_steps(generator, num_blocks * block_size, forks)
    tokens = sum(int(one.split("(")[1][:-1] or 0) for one in script)
    k, v = (draw(generator, 1, Hkv, tokens, D, dtype=dtype) for _ in range(2))
    return k, v, num_blocks, block_size, script


def _drawn_steps(generator: torch.Generator, slots: int, forks: bool) -> list[str]:
    """Return steps of up to four sequences, some of which find no block."""
    names, steps = ["a"], ["a.append(3)"]
    for choice, which, count in zip(
        *(integers(generator, *[most] * 11) for most in (10, 99, max(2, slots // 3))), strict=True
    ):
        name = names[which % len(names)]
        if choice <= 3 and len(names) < 4:
            new = "abcd"[len(names)]
            steps.append(f"{new} = {name}.{'fork' if forks and choice > 1 else 'another'}()")
            names.append(new)
        elif choice == 4:
            steps.append(f"{name}.reset()")
        else:
            steps.append(f"{name}.append({count})")
    return [*steps, f"a.append({slots})", f"{names[-1]}.append(1)"]


PAGED_KV_CACHE = Exercise(
    name="PagedKVCache",
    lesson=_LESSON,
    make=_script,
    oracle=expected_of_pages,
    call=observe_pages,
    cases=(
        {"steps": "a.append(3); a.append(1); a.append(2)"},
        {
            "num_blocks": 9,
            "block_size": 2,
            "steps": "a.append(5); b = a.another(); b.append(1); a.reset(); b.append(3)",
        },
        {
            "Hkv": 3,
            "D": 5,
            "block_size": 2,
            "num_blocks": 7,
            "steps": "a.append(3); b = a.another(); b.append(1); a.append(2); b.append(4); "
            "a.reset(); b.append(2); a.append(5); b.append(1)",
        },
        {
            "num_blocks": 4,
            "block_size": 3,
            "steps": "a.append(7); b = a.another(); b.append(4); b.append(3); "
            "a.append(2); a.append(1); b.append(1)",
            "dtype": "float64",
        },
        {"num_blocks": 2, "block_size": 5, "steps": "a.append(11); a.append(10)", "Hkv": 1},
        {
            "num_blocks": 6,
            "block_size": 1,
            "steps": "a.append(2); b = a.another(); b.append(3); a.reset(); b.append(3)",
            "dtype": "bfloat16",
        },
        {"draws": 1},
        {"draws": 2},
    ),
    mistakes=tuple(Mistake(says, partial(observe_pages, one)) for says, one in WRONG_PAGES),
)


FORKABLE_KV_CACHE = Exercise(
    name="ForkableKVCache",
    lesson=_LESSON,
    make=partial(_script, forks=True),
    oracle=expected_of_pages,
    call=observe_pages,
    cases=(
        {"steps": "a.append(6); b = a.fork(); b.append(1); a.append(1); b.append(2)"},
        {"steps": "a.append(6); b = a.fork(); a.append(1); b.append(1); a.reset()"},
        {"steps": "a.append(4); b = a.fork(); b.append(3); a.append(1)", "D": 5},
        {
            "Hkv": 3,
            "num_blocks": 8,
            "block_size": 3,
            "steps": "a.append(5); b = a.fork(); c = b.fork(); a.reset(); b.append(2); "
            "c.append(1); d = c.fork(); c.append(1); d.append(5); b.reset()",
            "dtype": "float64",
        },
        {
            "num_blocks": 2,
            "block_size": 4,
            "steps": "a.append(7); b = a.fork(); b.append(1); b.reset(); a.append(1)",
        },
        {
            "num_blocks": 3,
            "block_size": 4,
            "steps": "a.append(6); b = a.fork(); b.append(5); b.append(2); a.append(2)",
        },
        {"steps": "b = a.fork(); b.append(5); a.append(2)", "dtype": "bfloat16"},
        {"draws": 1},
        {"draws": 2},
    ),
    mistakes=tuple(Mistake(says, partial(observe_pages, one)) for says, one in WRONG_FORKS),
)

EXERCISES = [PAGED_KV_CACHE, FORKABLE_KV_CACHE]
