"""Small models trained to see what sharing KV heads costs, and what their losses can tell.

task = RecallTask()
rows = sweep(task, [Heads(8, 8, 8), Heads(8, 2, 8)], seeds=[0, 1, 2], folder="runs/recall")
"""

from .loop import fit, train
from .recall import RecallModel, RecallTask
from .recipe import Recipe
from .sweep import final, sweep
from .task import Heads, Task
from .text import TextTask

__all__ = [
    "Heads",
    "RecallModel",
    "RecallTask",
    "Recipe",
    "Task",
    "TextTask",
    "final",
    "fit",
    "sweep",
    "train",
]
