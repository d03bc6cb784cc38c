import random
import shutil

import nbformat
import pytest

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson
from grading.authoring.catalogue import catalogue
from grading.nb.cells import grade_id
from grading.similarity.compare import LEAST, USUAL_LEAST, compare
from grading.similarity.tokens import LENGTH, fingerprints, tokens_of

LESSON = find_lesson("04")
SOURCE = """\
def expand(kv, times):
    \"\"\"Say something.\"\"\"
    shape = kv.shape
    wide = kv.new_empty(shape[0], shape[1] * times, *shape[2:])
    for head in range(shape[1]):
        for copy in range(times):
            wide[:, head * times + copy].copy_(kv[:, head])
    assert wide.numel() == kv.numel() * times, "copied"
    return wide
"""
COPIED = """\
def expand(kv, times):
    s = kv.shape   # the shape

    out = kv.new_empty(s[0], s[1] * times, *s[2:])
    for i in range(s[1]):
        for j in range(times):
            out[:, i * times + j].copy_(kv[:, i])
    assert out.numel() == kv.numel() * times, "other words"
    return out
"""


def prints(source):
    return fingerprints(tokens_of(source)).keys()


def other(number):
    """An answer that shares little with another of another number."""
    drawn = random.Random(number)
    calls = [
        drawn.choice(["sum", "max", "sorted", "tuple", "abs", "any", "zip"]) for _ in range(60)
    ]
    return f"def f(v):\n    return {'('.join(calls)}(v{')' * 60}\n"


def test_names_of_ones_own_comments_texts_and_numbers_do_not_count():
    copied = COPIED.replace("def expand(kv, times):", 'def expand(kv, times):\n    "x"')
    assert prints(SOURCE) == prints(copied)
    assert prints(SOURCE) != prints(SOURCE.replace("copy_", "fill_"))
    assert prints("self.k = self.k.clone()  # one\nx.y[0] += 1") == prints(
        "self.keys = self.keys.clone()\nx.y[1] += 2"
    )


@pytest.mark.parametrize("source", ["def f(:\n  '''", "\tx\n y", "x = (", "%magic\nx", "é\0"])
def test_what_is_no_python_is_read_up_to_there(source):
    assert isinstance(tokens_of(source), list)


def test_a_copy_stands_out_and_its_lines_are_told():
    answers = {f"s{n}": other(n) for n in range(8)} | {"ada": SOURCE, "bob": COPIED}
    found = compare("expand", answers, usual=[])
    first = found.pairs[0]
    assert first.students == ("ada", "bob")
    assert first.alike > 0.85
    assert found.rarest(first) == 2
    assert all(pair.alike < 0.5 for pair in found.pairs[1:])
    assert found.as_alike(first) == 1
    mine, theirs = found.lines(first)
    assert {5, 6, 7, 8} <= mine
    assert {5, 6, 7, 8} <= theirs
    assert sum(found.histogram()) == found.none + len(found.pairs) == 10 * 9 // 2
    assert found.at_most(0.5) <= found.at_most(0.99) <= 1


def test_the_usual_is_not_compared_and_the_short_is_left_out():
    answers = {"ada": SOURCE, "bob": COPIED, "eva": "def expand(kv, times):\n    return kv\n"}
    assert compare("expand", answers, usual=[SOURCE]).short == 3
    assert compare("expand", answers, usual=[]).short == 1
    assert len(prints(SOURCE)) > LEAST
    many = {f"s{n}": SOURCE for n in range(USUAL_LEAST + 1)}
    assert compare("expand", many, usual=[]).short == len(many)
    ring = {f"s{n}": SOURCE for n in range(USUAL_LEAST)}
    assert len(compare("expand", ring, usual=[]).pairs) == USUAL_LEAST * (USUAL_LEAST - 1) // 2
    assert LENGTH > 1


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """A class whose hand-ins are in `submitted/`: two alike, usual answers, a broken one."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GQA_GRADEBOOK", raising=False)
    course = tmp_path / "home" / "course"
    name = f"{LESSON.slug}.ipynb"
    (course / "release" / LESSON.slug).mkdir(parents=True)
    shutil.copy(LESSON.pristine, course / "release" / LESSON.slug / name)
    usual = [one.source for one in catalogue(LESSON) if one.exercise == "expand_kv"]
    hostile = COPIED.replace("other words", "</pre><script>alert(1)</script>{{ 7 * 7 }}")
    answers = {
        "ada": SOURCE,
        "b<i>b": hostile,
        "eva": usual[0],
        "tim": usual[0],
        "mia": usual[1],
        "liu": None,
    }
    for student, source in answers.items():
        folder = course / "submitted" / student / LESSON.slug
        folder.mkdir(parents=True)
        notebook = nbformat.read(LESSON.pristine, 4)
        for cell in notebook.cells:
            if grade_id(cell) == "expand_kv" and source:
                cell.source = source
        nbformat.write(notebook, folder / name)
    broken = course / "submitted" / "max" / LESSON.slug
    broken.mkdir(parents=True)
    (broken / name).write_text("{")
    return tmp_path


def test_the_page_has_the_pair_side_by_side_and_every_word_of_theirs_as_text(submitted, capsys):
    page = submitted / "page.html"
    assert main(["similar", "04", "-o", str(page)]) == 0
    said = capsys.readouterr().out
    assert "04-grouped-query-attention: the answers of 6 students." in said
    assert "Not read: 1 (max)" in said
    assert "expand_kv: 5 answers, 3 with too little of their own" in said
    text = page.read_text(encoding="utf-8")
    assert "ada and b&lt;i&gt;b" in text
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)" in text
    assert "{{ 7 * 7 }}" in text
    assert "<script" not in text
    assert "<i>" not in text
    assert "wide[:, head * times + copy].copy_(kv[:, head])" in text
    assert text.count("<details") == 1
    assert not [word for word in ("http:", "https:", "src=", "url(") if word in text]
    assert page.stat().st_mode & 0o077 == 0


def test_one_hand_in_is_not_compared(tmp_path, monkeypatch, submitted, capsys):
    shutil.rmtree(submitted / "home" / "course" / "submitted")
    assert main(["similar", "04", "-o", str(tmp_path / "x.html")]) == 1
    assert "0 hand-ins to 04-grouped-query-attention can be compared" in capsys.readouterr().err
