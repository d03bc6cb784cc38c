"""What is asked of a server: traces of requests, their statistics, and traffic drawn from them.

    trace = load_trace("my_requests.csv")  # or sample("azure-conv-2023")
    print(trace.summary())
    more = fit(trace).draw(10_000, rate=8.0, seed=1)

A request is a prompt's tokens, an answer's tokens and a time. Nothing here needs torch.
"""

from .distribution import Distribution, describe
from .formats import FORMATS
from .load import load_trace
from .samples import SAMPLES, sample
from .statistics import Residency, Summary, residency_weighted, summarise
from .synthetic import SyntheticTraffic, fit, gamma_arrivals
from .trace import Trace

__all__ = [
    "FORMATS",
    "SAMPLES",
    "Distribution",
    "Residency",
    "Summary",
    "SyntheticTraffic",
    "Trace",
    "describe",
    "fit",
    "gamma_arrivals",
    "load_trace",
    "residency_weighted",
    "sample",
    "summarise",
]
