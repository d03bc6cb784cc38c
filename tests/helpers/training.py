"""A tiny run of training; as a program, in a process that can be killed."""

import sys
from pathlib import Path

from interrupting import every_step

from gqa_lib.train import Heads, RecallTask, Recipe, train

TINY = RecallTask(
    num_records=5, num_attributes=2, num_values=3, num_keys=9, num_queries=3, d_model=8, held_out=16
)
HEADS = Heads(4, 2, 3)
RECIPE = Recipe(steps=7, batch_size=4, warmup_steps=3, evaluate_every=3, evaluate_first=True)


def tiny_run(path=None, keep_every=1, **changed):
    """Return the model and the rows of the tiny run."""
    return train(TINY, HEADS, RECIPE, seed=3, path=path, keep_every=keep_every, **changed)


def killed_everywhere(work, folder):
    """Kill what works in a folder at each step that changes files, and let it go on each time.

    Args:
        work: takes a folder, or None for none, and returns what came out.
        folder: in which each try has its own.

    Returns:
        How often it was killed; each time the same came out in the end.
    """
    whole, kills = work(None), 0
    for power in every_step(lambda: work(folder / str(kills))):  # noqa: B023
        assert work(folder / str(kills)) == whole
        kills += power.dead
    return kills


if __name__ == "__main__":
    tiny_run(Path(sys.argv[1]))
