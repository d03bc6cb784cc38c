"""A serving engine's schedule on a computed clock: what a trace would see of it."""

from .kernel_times import KernelStepTime
from .metrics import DEFINITIONS, latencies_ms, load, parse_goodput, summary
from .result import Simulation
from .rules import Rules
from .samples import ENGINES, sample_step_time
from .simulate import simulate
from .step_time import RooflineStepTime, StepTime, Work

__all__ = [
    "DEFINITIONS",
    "ENGINES",
    "KernelStepTime",
    "RooflineStepTime",
    "Rules",
    "Simulation",
    "StepTime",
    "Work",
    "latencies_ms",
    "load",
    "parse_goodput",
    "sample_step_time",
    "simulate",
    "summary",
]
