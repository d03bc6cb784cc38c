"""Grades a whole class that hands in at once, while grading is killed: are all marks right?

python -m grading.authoring.load 300 00 01 03 04 05 06 08 11 --kills 10

Each student is a user of their own, in a mount namespace: it takes root and leaves nothing behind.
Answers of the catalogue are handed in to an exchange as `gqa submit` does it, by many processes at
once. `gqa grade --collect` grades one lesson after the other, into the gradebook that GQA_GRADEBOOK
names, and is killed at random moments; the marks are held against those of one submission of each
kind that was graded alone and undisturbed.
"""

import argparse
import os
import pwd
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
from nbgrader.api import Gradebook

from gqa_lib.course import places
from gqa_lib.course.manifest import Lesson, find_lesson
from grading.authoring.catalogue import catalogue, filled, first_right
from grading.authoring.trial import GQA, put_submission, run
from grading.nb.cells import read_notebook
from grading.nb.steps import course_of, exchange, file_log, quietly
from grading.pipeline.batch import NOTE
from grading.settings import COURSE_ID, gradebook_url, nbgrader_config

FIRST_UID = 70_000
INSIDE = "GQA_LOAD_INSIDE"  # set in the namespace: the folder of everything
# What every ten students hand in.
MIX = ("right", "right", "right", "right", "right", "partly", "partly", "begun", "stub", "broken")
LOOK_EVERY_S = 1.0  # at the memory
GONE_AFTER_S = 5.0  # what a killed run has started


def main(arguments: list[str] | None = None) -> None:
    """Print a table of times, memory and marks; leave with 1 if a mark is wrong or missing."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m grading.authoring.load")
    parser.add_argument("students", type=int)
    parser.add_argument("lessons", nargs="+")
    parser.add_argument("--kills", type=int, default=10, help="of `gqa grade`, at random moments")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between kills, about")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    if INSIDE not in os.environ:
        sys.exit(_in_a_namespace(chosen.students))
    home = Path(os.environ[INSIDE])
    lessons, chance = [find_lesson(one) for one in chosen.lessons], random.Random(chosen.seed)
    gradebook = os.environ.get("GQA_GRADEBOOK", "")
    contents = {lesson: {kind: _content(lesson, kind) for kind in set(MIX)} for lesson in lessons}
    expected = {one: _graded_alone(one, files, home / "alone") for one, files in contents.items()}
    _use(home / "class", home / "exchange", gradebook)
    run([*GQA, "release", *(lesson.number for lesson in lessons)])
    took = _hand_in_all(contents, chosen.students, home, chance)
    print(f"{len(lessons) * chosen.students} handed in within {took:.0f} s", flush=True)
    kills, wrong = chosen.kills, 0
    print("lesson  graded, s  s each  killed  left behind  peak MiB  wrong marks", flush=True)
    for lesson in lessons:
        grading = _Grading(lesson, chance, chosen.every)
        kills -= (killed := grading.to_the_end(kills))
        bad = _wrong_marks(lesson, chosen.students, expected[lesson])
        wrong += len(bad)
        print(
            f"{lesson.number:6} {grading.took_s:10.0f} {grading.took_s / chosen.students:7.2f} "
            f"{killed:7} {grading.left_behind:12} {grading.peak / 2**20:9.0f} {len(bad):12}  "
            f"{'; '.join(bad[:5])}",
            flush=True,
        )
    print(f"{chosen.kills - kills} kills; gradebook {gradebook_url().partition(':')[0]}")
    sys.exit(wrong > 0)


def _in_a_namespace(students: int) -> int:
    """Run this again where the class's users exist, in a folder that is removed afterwards."""
    if os.geteuid() != 0:
        raise SystemExit("this acts as the users of a class, which takes root.")
    with tempfile.TemporaryDirectory(prefix="gqa-load-") as folder:
        os.chmod(folder, 0o755)
        users = Path(folder, "passwd")
        lines = [
            f"{_name(n)}:x:{FIRST_UID + n}:{FIRST_UID + n}::/nonexistent:/bin/false"
            for n in range(students)
        ]
        users.write_text(Path("/etc/passwd").read_text() + "\n".join(lines) + "\n")
        users.chmod(0o644)
        again = [sys.executable, "-m", "grading.authoring.load", *sys.argv[1:]]
        line = 'mount --bind "$0" /etc/passwd && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", line, str(users), *again]
        return subprocess.run(command, env=os.environ | {INSIDE: folder}).returncode


def _name(number: int) -> str:
    return f"student{number:04}"


def _kind(number: int) -> str:
    """Return what a student hands in, in every lesson."""
    return MIX[number % len(MIX)]


def _use(home: Path, place: Path, gradebook: str = "") -> None:
    """Keep records, exchange and gradebook there from now on."""
    os.environ |= {"GQA_HOME": str(home), "GQA_EXCHANGE": str(place), "GQA_GRADEBOOK": gradebook}


def _content(lesson: Lesson, kind: str) -> bytes:
    """Return the notebook that a student of this kind hands in."""
    right = first_right(lesson)
    wrong: dict[str, str] = {}
    for answer in catalogue(lesson):
        if not answer.right:
            wrong.setdefault(answer.exercise, answer.source)
    half = list(right)[: max(1, len(right) // 2)]
    answers = {
        "right": right,
        "partly": right | {name: wrong[name] for name in half if name in wrong},
        "begun": {name: right[name] for name in half},
        "stub": {},
        "broken": {},
    }[kind]
    whole = nbformat.writes(filled(read_notebook(lesson.pristine), answers)).encode()
    return whole[: len(whole) // 2] if kind == "broken" else whole


def _graded_alone(lesson: Lesson, contents: dict[str, bytes], home: Path) -> dict[str, float]:
    """Return the mark of each kind of submission, graded with nothing beside it."""
    _use(home, home / "exchange")
    run([*GQA, "release", lesson.number])
    course = course_of(lesson, nbgrader_config())
    for kind, content in contents.items():
        put_submission(course, kind, content)
    run([*GQA, "grade", lesson.number, "--workers", "1"])
    with Gradebook(gradebook_url(), COURSE_ID) as gradebook:
        return {kind: gradebook.find_submission(lesson.slug, kind).score for kind in contents}


def _hand_in_all(
    contents: dict[Lesson, dict[str, bytes]], students: int, home: Path, chance: random.Random
) -> float:
    """Hand everything in, in random order, each by its student's own process; return seconds."""
    for lesson, files in contents.items():
        for number in range(students):
            folder = _work(home, number) / lesson.slug
            folder.mkdir(parents=True)
            (folder / f"{lesson.slug}.ipynb").write_bytes(files[_kind(number)])
    for number in range(students):
        for path in [_work(home, number).parent, *_work(home, number).parent.rglob("*")]:
            os.chown(path, FIRST_UID + number, FIRST_UID + number)
    turns = [(number, lesson) for number in range(students) for lesson in contents]
    chance.shuffle(turns)
    running: set[int] = set()
    began = time.perf_counter()
    for number, lesson in turns:
        if len(running) == 4 * (os.cpu_count() or 1):
            _end_of_one(running)
        if (process := os.fork()) == 0:
            _hand_in(number, lesson, home)
        running.add(process)
    while running:
        _end_of_one(running)
    return time.perf_counter() - began


def _work(home: Path, number: int) -> Path:
    return home / "students" / _name(number) / "work"


def _end_of_one(running: set[int]) -> None:
    process, status = os.wait()
    running.discard(process)
    if status:
        raise RuntimeError("a hand-in failed: its words are above.")


def _hand_in(number: int, lesson: Lesson, home: Path) -> None:
    """Become the student, hand in, and end."""
    status = 1
    try:
        os.setgroups([])
        os.setgid(FIRST_UID + number)
        os.setuid(FIRST_UID + number)
        work = _work(home, number)
        _use(work.parent / "records", home / "exchange")
        config = nbgrader_config()
        config.Exchange.assignment_dir = str(work)
        with quietly():
            exchange(course_of(lesson, config), "Submit", file_log("submit"))
        status = 0
    except Exception as error:
        print(f"{pwd.getpwuid(os.geteuid()).pw_name}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


class _Grading:
    """`gqa grade --collect` of one lesson, killed now and then and begun again."""

    def __init__(self, lesson: Lesson, chance: random.Random, every_s: float):
        self.lesson, self.chance, self.every_s = lesson, chance, every_s
        self.took_s, self.peak, self.left_behind = 0.0, 0, 0

    def to_the_end(self, kills: int) -> int:
        """Grade until nothing remains; return how often it was killed, at most `kills` times."""
        killed, began = 0, time.perf_counter()
        while not self._once(self._patience() if killed < kills else None):
            killed += 1
        self.took_s = time.perf_counter() - began
        return killed

    def _patience(self) -> float:
        return self.chance.uniform(0.2, 1.8) * self.every_s

    def _once(self, patience_s: float | None) -> bool:
        """Return whether it came to its end; else it was killed after so many seconds."""
        with tempfile.TemporaryFile("w+") as said:
            command = [*GQA, "grade", self.lesson.number, "--collect"]
            process = subprocess.Popen(command, stdout=said, stderr=said)
            seen: set[psutil.Process] = set()
            began = time.perf_counter()
            while process.poll() is None:
                seen |= self._look(process.pid)
                if patience_s is not None and time.perf_counter() - began > patience_s:
                    process.kill()
                    process.wait()
                    self.left_behind += len(psutil.wait_procs(seen, timeout=GONE_AFTER_S)[1])
                    return False
                time.sleep(LOOK_EVERY_S)
            if process.returncode:
                said.seek(0)
                raise RuntimeError(f"{' '.join(command)} ended with:\n{said.read()}")
            return True

    def _look(self, process: int) -> set[psutil.Process]:
        """Note the memory of a process and all that it started; return what it started."""
        try:
            main = psutil.Process(process)
            started = set(main.children(recursive=True))
        except psutil.NoSuchProcess:
            return set()
        self.peak = max(self.peak, sum(map(_memory, {main, *started})))
        return started


def _memory(process: psutil.Process) -> int:
    """Return the bytes of a process, its share only of pages that several have."""
    try:
        return process.memory_full_info().pss
    except psutil.Error:  # it has ended
        return 0


def _wrong_marks(lesson: Lesson, students: int, expected: dict[str, float]) -> list[str]:
    """Return who has another mark than those of the kind have, or none, or no note of an end."""
    graded = places.home() / "course" / "autograded"
    with Gradebook(gradebook_url(), COURSE_ID) as gradebook:
        scores = {
            one.student_id: one.score for one in gradebook.assignment_submissions(lesson.slug)
        }
    found = []
    for number in range(students):
        name, wanted = _name(number), expected[_kind(number)]
        note = graded / name / lesson.slug / NOTE
        if scores.get(name) != wanted or not note.exists():
            found.append(f"{name}: {scores.get(name)} for {wanted}")
    return found


if __name__ == "__main__":
    main()
