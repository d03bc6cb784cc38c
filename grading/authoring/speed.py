"""Times the grading of a class beside nbgrader's own, which has no sandbox: both graders whole.

python -m grading.authoring.speed 04 20 100

Each class hands in right answers of the catalogue. Both graders are started as an instructor starts
them, in turn, on the same submissions; the start of their processes counts.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from gqa_lib.course.manifest import Lesson, find_lesson
from grading.authoring.catalogue import filled, first_right
from grading.authoring.source import write_instructor_notebook
from grading.authoring.trial import GQA, put_submission, run
from grading.nb.cells import read_notebook
from grading.nb.steps import course_of, file_log, generate, quietly
from grading.settings import nbgrader_config, source_directory

# nbgrader without the course's own settings, which are installed with it. Its configuration is the
# file in the folder that it is started in.
NBGRADER = """
from jupyter_core import paths
paths.ENV_CONFIG_PATH.clear(), paths.SYSTEM_CONFIG_PATH.clear()
from nbgrader.apps.nbgraderapp import main
main()
"""
STOCK = """
c = get_config()
c.CourseDirectory.root = {root!r}
c.CourseDirectory.course_id = "gqa"
c.CourseDirectory.db_url = "sqlite:///" + {root!r} + "/stock.db"
c.CourseDirectory.source_directory = {source!r}
c.CourseDirectory.autograded_directory = "stock"
"""


def main(arguments: list[str] | None = None) -> None:
    """Print seconds per submission of both graders and their ratio, for each size of class."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m grading.authoring.speed")
    parser.add_argument("lesson")
    parser.add_argument("students", nargs="*", type=int, default=[20])
    parser.add_argument("--rounds", type=int, default=3, help="of both graders, in turn")
    chosen = parser.parse_args(arguments)
    lesson = find_lesson(chosen.lesson)
    print("students  gqa grade, s each  nbgrader autograde, s each  ratio (medians of rounds)")
    for students in chosen.students:
        with tempfile.TemporaryDirectory() as folder:
            ours, stock = _time(lesson, Path(folder), students, chosen.rounds)
        each = [statistics.median(seconds) / students for seconds in (ours, stock)]
        print(f"{students:8} {each[0]:18.3f} {each[1]:27.3f} {each[1] / each[0]:6.1f}", flush=True)


def _time(lesson: Lesson, home: Path, students: int, rounds: int) -> tuple[list, list]:
    """Return the seconds of each round of `gqa grade` and of nbgrader's autograde."""
    os.environ |= {"GQA_HOME": str(home), "GQA_EXCHANGE": str(home / "exchange")}
    write_instructor_notebook(lesson, source_directory())
    course = course_of(lesson, nbgrader_config())
    with quietly():
        generate(course, file_log("release"))
    notebook = nbformat.writes(filled(read_notebook(lesson.pristine), first_right(lesson))).encode()
    for number in range(students):
        put_submission(course, f"student{number}", notebook)
    (home / "nbgrader_config.py").write_text(
        STOCK.format(root=str(home / "course"), source=str(source_directory()))
    )
    nbgrader = [sys.executable, "-c", NBGRADER]
    common = [lesson.slug, "--log-level=ERROR"]
    alone = {"JUPYTER_CONFIG_DIR": str(home)}
    run([*nbgrader, "generate_assignment", *common, "--force", "--create"], home, **alone)
    autograde = [*nbgrader, "autograde", *common, "--force", "--create"]
    grade = [*GQA, "grade", lesson.number, "--all"]
    times: tuple[list, list] = ([], [])
    for place in range(rounds):
        both = [(times[0], grade), (times[1], autograde)]
        for seconds, command in both if place % 2 == 0 else both[::-1]:
            began = time.perf_counter()
            run(command, home, **alone)
            seconds.append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
