"""What a benchmark measured of a server, whatever wrote it, under the names of vLLM's benchmark.

baseline = load_results(["mha-seed0.json", "mha-seed1.json"])
variant = load_results(["gqa-seed0.json", "gqa-seed1.json"])
print(compare_results(baseline, variant, margin=0.05))
"""

from .compare import Comparison, Difference, compare_results
from .load import FORMATS, load_results
from .result import LATENCIES, Result, higher_is_better

__all__ = [
    "FORMATS",
    "LATENCIES",
    "Comparison",
    "Difference",
    "Result",
    "compare_results",
    "higher_is_better",
    "load_results",
]
