"""Small models trained to see what sharing KV heads costs, and what their losses can tell."""

from .baselines import baselines, ngram_probabilities
from .corpus import Corpus, python_sources, read_corpus
from .power import minimum_detectable, pairs_needed
from .statistics import Comparison, compare_paired, mean_interval

__all__ = [
    "Comparison",
    "Corpus",
    "baselines",
    "compare_paired",
    "mean_interval",
    "minimum_detectable",
    "ngram_probabilities",
    "pairs_needed",
    "python_sources",
    "read_corpus",
]
