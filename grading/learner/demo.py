"""`make demo`: what a learner and an engineer do, start to end, with no browser."""

import os
import tempfile
from pathlib import Path

import nbformat

from gqa_lib import bench
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.guide.map import lesson_map
from gqa_lib.learn.guide.work import put_lessons
from grading.authoring.catalogue import filled, first_right, picked
from grading.nb.cells import read_notebook

from .report import report
from .submit import submit, work_notebook

HALF_WAY = {  # the module is not begun
    "causal_mask": "aligned to the top left",
    "attention": "query by query",
    "split_heads": "straight to (B, H, T, D)",
    "merge_heads": "permute and reshape",
}


def demo() -> int:
    """Go a sample learner's round and run two benchmarks; return an exit code."""
    place = Path(tempfile.mkdtemp(prefix="gqa-demo-"))
    os.environ |= {"GQA_HOME": str(place / "records"), "GQA_WORK": str(place / "work")}
    for name in ("GQA_EXCHANGE", "GQA_GRADEBOOK"):  # a class's: the sample learner is in none
        os.environ.pop(name, None)
    put_lessons()
    lesson = find_lesson("01")
    for answers, said in (
        (picked(lesson, HALF_WAY), "A learner half-way through lesson 01 submits"),
        (first_right(lesson), "The same learner, an hour later"),
    ):
        print(f"\n== {said}: gqa submit 01", flush=True)
        with work_notebook(lesson).open("w", encoding="utf-8") as file:
            nbformat.write(filled(read_notebook(lesson.pristine), answers), file)
        marks = submit(lesson)
        print(report(lesson, marks))
    print("\n== Where the learner stands: gqa map\n")
    print(lesson_map())
    print("\n== An engineer measures: gqa bench decode-latency kv-footprint\n", flush=True)
    failed = bench.main(["decode-latency", "kv-footprint"], [], place / "runs", timeout_s=240)
    print(f"\nEverything is in {place}. `make lab` opens the course itself.")
    return failed
