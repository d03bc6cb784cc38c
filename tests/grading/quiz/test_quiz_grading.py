"""The quiz graded as everything is: in the sandbox, with what a stranger hands in beside it."""

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn import progress
from gqa_lib.learn.guide.work import put_lessons
from gqa_lib.learn.quiz import saved
from gqa_lib.learn.quiz.graded import graded_questions
from gqa_lib.learn.quiz.questions import questions_of
from gqa_lib.learn.quiz.saved import FILE, Saved
from gqa_lib.learn.quiz.sitting import Sitting, keep_draw, sitting_of
from grading.authoring.catalogue import filled
from grading.classroom.release import release
from grading.classroom.round import grade_class
from grading.intake.arrivals import Submissions
from grading.intake.class_file import attempts_opened, course_seed, open_attempt, set_course_seed
from grading.intake.collect import SafeCollect
from grading.intake.sittings import sitting_of_submission
from grading.learner.submit import SubmitError, submit, work_notebook
from grading.limited import sandbox
from grading.nb.cells import read_notebook
from grading.nb.steps import course_of, exchange, file_log, quietly
from grading.quiz import right_answers
from grading.quiz.bank import load_bank
from grading.settings import gradebook_url, nbgrader_config

needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
LESSON = find_lesson("16")
EVERYTHING = right_answers("16")
OTHER = dict(zip("ABCD", "BCDA", strict=True))


def drawn(student, attempt=1):
    """Return the right answers to what a student's attempt draws."""
    return {one.id: EVERYTHING[one.id] for one in questions_of("16", student, attempt)}


def with_wrong(answers, count):
    """Return the answers with the first of them wrong."""
    first = list(answers)[:count]
    return answers | {name: OTHER[answers[name]] for name in first}


def file(answers, attempt=1):
    return json.dumps({"version": 1, "attempt": attempt, "answers": answers}).encode()


class Class:
    """A class in which the quiz is released."""

    def __init__(self):
        self.course = course_of(LESSON, nbgrader_config())

    def folder(self, student, step="submitted_directory"):
        step = getattr(self.course, step)
        return Path(self.course.format_path(step, student, LESSON.slug))

    def hand_in(self, student, content=None, cell="answers = {}", at="2026-11-20 12:00:00.0 UTC"):
        folder = self.folder(student)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        notebook = filled(read_notebook(LESSON.pristine), {"quiz": cell})
        nbformat.write(notebook, str(folder / f"{LESSON.slug}.ipynb"))
        (folder / "timestamp.txt").write_text(at)
        submissions = Submissions(LESSON.slug)  # as if it had been collected
        submissions.collected(student, at.encode())
        submissions.save()
        if isinstance(content, bytes):
            (folder / FILE).write_bytes(content)
        elif content is not None:
            content(folder / FILE)
        return folder

    def page(self, student):
        """Return a student's feedback page, made now."""
        self.course.student_id = student
        with quietly():
            pages = GenerateFeedback(coursedir=self.course, config=self.course.config)
            pages.log, pages.force = file_log("feedback"), True
            pages.start()
        path = self.folder(student, "feedback_directory") / f"{LESSON.slug}.html"
        return path.read_text(encoding="utf-8")


@pytest.fixture
def group(tmp_path, monkeypatch, released):
    released(LESSON, tmp_path / "home")
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    return Class()


def scores():
    with Gradebook(gradebook_url()) as gradebook:
        return {s.student.id: s.score for s in gradebook.assignment_submissions(LESSON.slug)}


def a_link(to):
    return lambda path: path.symlink_to(to)


def hand_in_everything(group, tmp_path):
    """Hand in for many students, honest and not; return student -> the points they must get."""
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_bytes(file(EVERYTHING))
    mine = {name: drawn(name) for name in ("full", "part", "written", "both", "more")}
    gone = list(mine["part"])[-2:]
    part = {n: letter for n, letter in with_wrong(mine["part"], 3).items() if n not in gone}
    over = with_wrong(mine["both"], 1)
    shared = len(drawn("borrowed").keys() & drawn("full").keys())
    wanted = {
        "full": (15, file(mine["full"])),
        "part": (10, file(part)),
        "empty": (0, None),
        "written": (15, None, f"answers = {mine['written']}"),
        "both": (14, file(mine["both"]), f"answers = {dict(list(over.items())[:1])}"),
        "emptied": (15, file(drawn("emptied")), ""),
        "more": (15, file(mine["more"] | {"Q999": "A"})),
        "everything": (15, file(EVERYTHING)),
        "borrowed": (shared, file(mine["full"])),
        "second": (
            len(drawn("second").keys() & drawn("second", 2).keys()),
            file(drawn("second", 2), attempt=2),
        ),
        # what is no file of choices costs its author all that is in it
        "link": (0, a_link(elsewhere)),
        "hard-link": (0, lambda path: path.hardlink_to(elsewhere)),
        "pipe": (0, lambda path: os.mkfifo(path)),
        "folder": (0, lambda path: path.mkdir()),
        "huge": (0, file(drawn("huge")) + b" " * 3_000_000),
        "deep": (0, b"[" * 19_000),
        "nan": (0, b'{"version": 1, "attempt": NaN, "answers": {}}'),
        "twice": (0, b'{"version": 1, "version": 1, "attempt": 1, "answers": {}}'),
        "types": (0, file({name: [letter] for name, letter in drawn("types").items()})),
        # and code in the cell has no way to the key
        "reads": (0, None, "answers = {'Q25': open('/solutions/quiz.toml').read()}"),
        "imports": (
            0,
            None,
            "from grading.quiz import right_answers\nanswers = right_answers('16')",
        ),
        "proxy": (0, None, "class A(dict):\n    def get(self, *_): return 'B'\nanswers = A"),
        "stops": (0, file(drawn("stops")), "import os\nos._exit(0)"),
    }
    for student, (_, *handed) in wanted.items():
        group.hand_in(student, *handed)
    return {student: float(points) for student, (points, *_) in wanted.items()}


@needs_sandbox
def test_a_class_with_honest_and_hostile_files(group, tmp_path):
    wanted = hand_in_everything(group, tmp_path)
    outcome = grade_class(LESSON)
    assert outcome.failed == {}
    assert scores() == wanted
    assert grade_class(LESSON).graded == []

    page = group.page("part")
    read = text(page)
    assert page.count('<article class="question">') == 15
    assert page.count("your answer, right") == 10
    assert len(re.findall('"tag none">your answer<', page)) == 3
    assert page.count("Not answered</span>") == 2
    bank = {one.id: one for one in load_bank()}
    own = drawn("part")
    for one in bank.values():
        shown = [option.why[:40] for option in one.options if plain(option.why)[:40] in read]
        assert len(shown) == (4 if one.id in own else 0), one.id
    assert "Drawn for part, attempt 1." in page
    assert "it is a link to another file" in group.page("link")
    assert "None of the 15 questions is answered" in (empty := group.page("empty"))
    assert '<article class="question">' not in empty

    group.hand_in("part", file(drawn("part")))  # the file alone is other
    assert grade_class(LESSON).graded == ["part"]
    assert scores()["part"] == 15


def text(page):
    from bs4 import BeautifulSoup

    return " ".join(BeautifulSoup(page, "html.parser").text.split())


def plain(markup):
    return " ".join(markup.replace("`", "").split())


@needs_sandbox
def test_the_attempt_is_the_one_that_was_open_when_it_came(group, monkeypatch):
    before, after = (
        f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%d %H:%M:%S.%f} UTC"
        for hours in (-1, 1)
    )
    assert open_attempt() == 2
    group.hand_in("early", file(drawn("early", 1)), at=before)
    group.hand_in("late", file(drawn("late", 2)), at=after)
    group.hand_in("stale", file(drawn("stale", 1)), at=after)
    grade_class(LESSON)
    shared = len(drawn("stale", 1).keys() & drawn("stale", 2).keys())
    assert scores() == {"early": 15.0, "late": 15.0, "stale": float(shared)}
    assert shared < 5


def test_opening_an_attempt_keeps_the_seed_and_tells_students(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    (tmp_path / "exchange").mkdir(mode=0o777)
    (tmp_path / "exchange").chmod(0o777)
    set_course_seed(7)
    (released,) = release([LESSON])
    assert (released / "attempt.txt").read_text() == "1\n"
    (released,) = release([LESSON], new_attempt=True)
    assert (released / "attempt.txt").read_text() == "2\n"
    assert course_seed() == 7
    set_course_seed(None)
    assert len(attempts_opened()) == 1
    assert course_seed() is None


@pytest.mark.parametrize("line", ["quiz_attempts = 3", 'quiz_attempts = ["soon"]'])
def test_a_record_of_attempts_that_cannot_be_read_is_told(tmp_path, monkeypatch, line):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    (tmp_path / "class.toml").write_text(line)
    with pytest.raises(ValueError, match="quiz_attempts"):
        attempts_opened()


def test_collecting_brings_the_choices_and_nothing_through_a_link(group, tmp_path, monkeypatch):
    inbound = tmp_path / "exchange" / "gqa" / "inbound"
    inbound.mkdir(parents=True)
    group.course.config.Exchange.root = str(tmp_path / "exchange")
    group.course.config.ExchangeCollect.check_owner = False
    good = file(drawn("ada"))
    for student, content in {"ada": good, "ben": None, "cy": a_link(tmp_path / "x")}.items():
        made = group.hand_in(student, content)
        shutil.move(made, inbound / f"{student}+{LESSON.slug}+2026-11-20 12:00:00 UTC+x")
    assert group.course.config.ExchangeFactory.collect is SafeCollect
    with quietly():
        exchange(group.course, "Collect", file_log("collect"), update=True)
    assert (group.folder("ada") / FILE).read_bytes() == good
    assert not (group.folder("ben") / FILE).exists()
    assert "link" in json.loads((group.folder("cy") / FILE).read_bytes())["refused"]
    found = sitting_of_submission(group.folder("cy"), "cy", LESSON.slug)
    assert found.saved == {}
    assert "link" in found.trouble
    assert sitting_of_submission(group.folder("ada"), "ada", LESSON.slug) == Sitting(
        "ada", 1, drawn("ada")
    )


def test_one_who_learns_alone_gets_another_draw_after_each_mark(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("GQA_STUDENT", "ada")
    put_lessons()
    folder = work_notebook(LESSON).parent
    with pytest.raises(SubmitError, match="none of the 15 questions of attempt 1"):
        submit(LESSON)
    saved.write(folder, Saved(1, with_wrong(drawn("ada"), 4)))
    marks = submit(LESSON)
    assert (marks.score, marks.max_score) == (11, 15)
    assert progress.scores_of(LESSON.slug) == [(11, 15)]
    assert marks.feedback.read_text(encoding="utf-8").count('<article class="question">') == 15
    graded, missed = graded_questions(), with_wrong(drawn("ada"), 4)
    assert {name for name, one in graded.items() if one.missed} == {
        name for name, letter in missed.items() if letter != EVERYTHING[name]
    }
    for one in load_bank():
        if one.id in graded:
            assert graded[one.id].answer == one.answer
            assert [plain(why) for why in graded[one.id].whys.values()] == [
                plain(option.why) for option in one.options
            ]
    assert graded.keys() == missed.keys()
    with pytest.raises(SubmitError, match="none of the 15 questions of attempt 2"):
        submit(LESSON)  # the file is of the first
    saved.write(folder, Saved(2, drawn("ada", 2)))
    assert submit(LESSON).score == 15
    assert progress.scores_of(LESSON.slug) == [(11, 15), (15, 15)]


def test_one_who_learns_alone_is_graded_with_the_questions_of_lessons_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("GQA_STUDENT", "ada")
    put_lessons()
    for number in ("05", "06"):
        progress.add(find_lesson(number).slug, "", "reset")
    folder = work_notebook(LESSON).parent
    sitting = keep_draw(LESSON.number, sitting_of(LESSON.number, folder))  # it is shown
    asked = questions_of(LESSON.number, "ada", 1, sitting.lessons)
    assert {one.lesson for one in asked} == {"05", "06"}
    saved.write(folder, Saved(1, {one.id: EVERYTHING[one.id] for one in asked}))
    assert submit(LESSON).score == 15
