"""A benchmark of serving, planned from a trace: in numbers, in words, as programs to run.

plan = benchmark_plan(sample("azure-code-2023"), Scenario(model=..., hardware=...))
print(plan_markdown(plan))
write_plan(plan, "plan")
"""

from .benchmark import BenchmarkPlan, Variant, benchmark_plan
from .knee import Knee, find_knee
from .markdown import plan_markdown
from .sample_size import (
    SampleSize,
    quotable_percentiles,
    requests_for_percentile,
    required_requests,
    sample_size,
)
from .sharing import Sharing, prefix_sharing

__all__ = [
    "BenchmarkPlan",
    "Knee",
    "SampleSize",
    "Sharing",
    "Variant",
    "benchmark_plan",
    "find_knee",
    "plan_markdown",
    "prefix_sharing",
    "quotable_percentiles",
    "requests_for_percentile",
    "required_requests",
    "sample_size",
]
