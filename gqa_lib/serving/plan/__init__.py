"""A benchmark of serving, planned from a trace: in numbers, in words, as programs to run.

plan = benchmark_plan(sample("azure-code-2023"), Scenario(model=..., hardware=...))
print(plan_markdown(plan))
write_plan(plan, "plan")
"""

from .answer import joined_markdown
from .bench_script import bench_script
from .benchmark import BenchmarkPlan, benchmark_plan
from .durations import warnings as plan_warnings
from .files import plan_facts, write_plan
from .knee import Knee, find_knee
from .markdown import plan_markdown
from .read_back import Joined, join_results, read_plan
from .sample_size import (
    SampleSize,
    quotable_percentiles,
    requests_for_percentile,
    required_requests,
    sample_size,
)
from .sharing import Sharing, prefix_sharing
from .variants import Variant
from .vllm_script import vllm_script

__all__ = [
    "BenchmarkPlan",
    "Joined",
    "Knee",
    "SampleSize",
    "Sharing",
    "Variant",
    "bench_script",
    "benchmark_plan",
    "find_knee",
    "join_results",
    "joined_markdown",
    "plan_facts",
    "plan_markdown",
    "plan_warnings",
    "prefix_sharing",
    "quotable_percentiles",
    "read_plan",
    "requests_for_percentile",
    "required_requests",
    "sample_size",
    "vllm_script",
    "write_plan",
]
