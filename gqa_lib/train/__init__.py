"""Small models trained to see what sharing KV heads costs, and what their losses can tell.

For example:

    if __name__ == "__main__":  # a script needs it: processes of the sweep import the script
        heads = [Heads(8, 8, 8), Heads(8, 2, 8)]
        rows = final(sweep(RecallTask(), heads, seeds=range(5), folder="runs/recall"))
        loss = {kv: [row["loss"] for row in rows if row["num_kv_heads"] == kv] for kv in (8, 2)}
        print(compare_paired(loss[8], loss[2], margin=0.01))
"""

from .baselines import baselines, ngram_probabilities
from .corpus import Corpus, python_sources, read_corpus
from .loop import fit, settled, train
from .power import minimum_detectable, pairs_needed
from .recall import RecallModel, RecallTask
from .recipe import Recipe
from .recovery import converted, recovery
from .small import small_checkpoint
from .statistics import Comparison, compare_paired, mean_interval
from .sweep import final, sweep
from .task import Heads, Latent, Task
from .text import TextTask
from .uptrain import GENTLE, TokenTask, tokens_of, uptrain

__all__ = [
    "GENTLE",
    "Comparison",
    "Corpus",
    "Heads",
    "Latent",
    "RecallModel",
    "RecallTask",
    "Recipe",
    "Task",
    "TextTask",
    "TokenTask",
    "baselines",
    "compare_paired",
    "converted",
    "final",
    "fit",
    "mean_interval",
    "minimum_detectable",
    "ngram_probabilities",
    "pairs_needed",
    "python_sources",
    "read_corpus",
    "recovery",
    "settled",
    "small_checkpoint",
    "sweep",
    "tokens_of",
    "train",
    "uptrain",
]
