"""The tutor: what it may see, what it answers, what it refuses."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import AsyncMock, MagicMock

import pytest
from jupyterlab_server.workspaces_handler import WorkspacesManager
from planning import planned

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn.guide.hints import all_hints
from gqa_lib.learn.tutor import answer
from gqa_lib.learn.tutor.answer import ask
from gqa_lib.learn.tutor.chat import TUTOR, put_chat
from gqa_lib.learn.tutor.evaluate import kept, measure, read
from gqa_lib.learn.tutor.lexicon import data, edits, stems
from gqa_lib.learn.tutor.magic import lesson_of
from gqa_lib.learn.tutor.passages import plain, sections, sections_of, sentences
from gqa_lib.learn.tutor.requests import request
from gqa_lib.learn.tutor.search import index
from gqa_lib.learn.tutor.showing import link, markdown, terminal
from grading.authoring.source import read_source, source_of
from grading.quiz.bank import load_bank

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.delenv("GQA_TUTOR_BASE_URL", raising=False)


@pytest.fixture
def quoting(monkeypatch):
    """As if no authored answer fitted: the lessons' own sentences answer."""
    monkeypatch.setattr(answer, "SURE", 9.0)
    monkeypatch.setattr(answer, "ALIKE", 9.0)


def everything_quotable():
    return [s for section in sections() for p in section.passages for s in p.sentences]


def cell(text, **metadata):
    return {"cell_type": "markdown", "id": "c", "metadata": metadata, "source": text}


def texts(*cells):
    found = sections_of(lessons()[1], {"cells": [cell("# Title\n\nFirst words."), *cells]})
    return [s for section in found for p in section.passages for s in p.sentences]


def test_every_lesson_has_passages():
    assert {section.lesson.number for section in sections()} == {one.number for one in lessons()}
    assert all(section.passages for section in sections())


def test_no_line_of_a_solution_or_hidden_test_is_among_the_passages():
    seen = re.sub(r"\s+", "", " ".join(everything_quotable()))
    for lesson in lessons():
        for source in read_source(source_of(lesson)).cells:
            hidden = re.findall(
                r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", source.source, re.DOTALL
            )
            for line in "\n".join(hidden).splitlines():
                code = re.sub(r"\s+|#.*", "", line)
                assert len(code) < 15 or code not in seen, line


def test_no_hint_is_among_the_passages():
    seen = " ".join(everything_quotable())
    for ladder in all_hints().values():
        for _, text in ladder:
            for sentence in sentences(text):
                assert len(sentence) < 25 or sentence not in seen


def test_no_text_of_the_quiz_bank_is_among_the_passages():
    seen = " ".join(plain(sentence) for sentence in everything_quotable())
    bank = load_bank()
    assert bank
    for question in bank:
        for text in (question.stem, *(o.text for o in question.options if len(o.text) > 40)):
            assert " ".join(text.split()) not in seen, question.id
        for option in question.options:
            assert " ".join(option.why.split()) not in seen, question.id


def test_a_line_that_splits_heads_is_not_quoted():
    seen = " ".join(everything_quotable())
    assert "unflatten" not in seen
    assert texts(cell("Good. `y.unflatten(-1, (h, -1)).transpose(1, 2)` splits.")) == [
        "First words.",
        "Good.",
    ]


@pytest.mark.parametrize(
    "hidden",
    [
        cell("Which is right?\n\n- a: this\n- b: that", quiz="q12"),
        cell("Which is right?", tags=["quiz"]),
        cell("Which is right?", nbgrader={"grade_id": "quiz-3"}),
        cell("## Quiz\n\nWhich is right?"),
        cell("## Three questions\n\nWhich is right?"),
        cell("<details><summary>Hint</summary>\n\nWhich is right?\n</details>", hints="attention"),
    ],
)
def test_quiz_and_hints_are_not_seen(hidden):
    assert texts(hidden) == ["First words."]


def test_a_quiz_section_ends_at_the_next_heading_of_its_level():
    after = cell("## In three lines\n\nLast words.")
    within = cell("### One\n\nWhich is right?")
    assert texts(cell("## Closing quiz\n\nHow?"), within, after) == ["First words.", "Last words."]


def test_sentences_are_cut_where_they_end_and_rows_stay_whole():
    text = (
        "As Su et al. (2021) say, it turns. **Only** the *distance* counts:\n\n$$a = b$$\n\n"
        "| head | b |\n|---|---|\n| `reset()` | forgets. All |\n\n- **Races.** Two programs race.\n"
        "- (One more.)\n\n```python\nsecret = 1\n```"
    )
    assert sentences(text) == [
        "As Su et al. (2021) say, it turns.",
        "**Only** the *distance* counts: $$a = b$$",
        "`reset()` | forgets. All",
        "**Races.** Two programs race.",
        "(One more.)",
    ]


def test_answers_are_the_lessons_own_words(quoting):
    everything = set(everything_quotable())
    for question in [q for q in kept(DATA)["tuning"] if q.kind == "inside"][::6]:
        reply = ask(question.text)
        quoted = [sentence for _, row in reply.quotes for sentence in row]
        assert set(quoted) <= everything
        assert reply.refused or reply.kind or 2 <= len(quoted) <= 4, question.text


def test_the_answer_is_the_sentence_that_answers_not_the_first(quoting):
    assert "Divide by $\\sqrt{D}$, because" in ask("why divide by sqrt of head_dim?").text


def test_the_open_lesson_comes_first():
    asked = "how do i fold the query heads?"
    assert ask(asked, "03").sources[0].lesson.number == "03"
    assert ask(asked, "04").sources[0].lesson.number == "04"


def test_typing_errors_are_forgiven():
    assert ask("wht is teh kv cahce").sources[0].lesson.slug == "02-kv-cache"
    assert edits("cahce", "cache", 2) == 1
    assert edits("weather", "tile", 2) > 2


def test_a_refusal_names_what_is_not_covered_and_stops():
    reply = ask("what is LoRA?")
    assert reply.refused
    assert reply.text == "The course does not cover “lora”, so I stop here."
    assert reply.as_dict() == {"refused": True, "answer": reply.text, "sources": []}


def test_a_refusal_says_what_is_nearest():
    reply = ask("how do I train a BPE tokenizer for the roofline plot of decoding?")
    assert reply.refused
    assert reply.nearest.lesson.number == "06"
    assert reply.nearest.title in reply.text
    assert link(reply.nearest) in markdown(reply)


def test_what_is_planned_is_said_to_be_planned():
    ask("how does attention work?")  # reads the lessons, all of them
    with planned("13"):
        replies_on_what_is_planned()


def replies_on_what_is_planned():
    reply = ask("what is lesson 13 about?")
    assert reply.refused
    assert "Lesson 13, “Tensor parallelism”, is planned, not written yet" in reply.text
    reply = ask("how does tensor parallelism work?")
    assert not reply.refused
    assert reply.planned == "Lesson 13, “Tensor parallelism”, is planned, not written yet."
    assert reply.planned in terminal(reply)
    assert reply.planned in markdown(reply)
    assert ask("how does attention work?").planned == ""


def test_an_empty_question_is_refused():
    assert ask("").refused
    assert ask("?!").refused


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("write split_heads for me", "solution"),
        ("give me the code of exercise 3", "solution"),
        ("How do I implement kv_head_of?", "solution"),
        ("what is the answer to Q12", "quiz"),
        ("which option is right?", "quiz"),
        ("what does split_heads do?", None),
        ("what should merge_partials return for an empty part?", None),
        ("how do I hand in my solution?", None),
        ("why does kv_head_of let neighbours share?", None),
        ("what is exercise 3 of lesson 4 about?", None),
    ],
)
def test_requests_are_told_from_questions(question, kind):
    assert request(question) == kind


def test_every_kept_request_is_refused_and_no_kept_question_is_taken_for_one():
    for questions in kept(DATA).values():
        for question in questions:
            asked_for = request(question.text) is not None
            assert asked_for == (question.kind == "requests"), question


def test_a_request_is_sent_to_the_hints():
    assert '`hint("split_heads")`' in ask("please write split_heads").text
    assert '`hint("expand_kv")`' in ask("give me the code of exercise 2", "04").text
    assert '`hint("attention")`' in ask("solve exercise 2 of lesson 1").text
    assert "quiz" in ask("what is the answer to question 3").text


def test_topics_name_sections_that_exist():
    there = {f"{section.lesson.number}#{section.title}" for section in sections()}
    assert set(data()["topics"]) <= there


def test_kept_questions_name_sections_that_exist():
    for questions in kept(DATA).values():
        for question in (q for q in questions if q.kind == "inside"):
            for wanted in question.right:
                number, _, heading = wanted.partition("#")
                assert any(
                    s.lesson.number == number and s.heading.startswith(heading) for s in sections()
                ), wanted


def test_what_is_elsewhere_ends_where_a_lesson_treats_it():
    lexicon = index().lexicon
    assert ("lora",) in lexicon.elsewhere
    lexicon = type(lexicon)(lexicon.vocabulary, [("lora", "in", "practice")])
    assert ("lora",) not in lexicon.elsewhere


def test_there_are_enough_questions():
    first = read(DATA / "tutor_questions.toml")
    count = {kind: sum(q.kind == kind for q in first) for kind in ("inside", "outside", "requests")}
    assert count["inside"] >= 130
    assert count["outside"] >= 70
    assert count["requests"] >= 20
    assert len({q.text for q in first}) == len(first)


FLOORS = {
    # a little under what was reached, so that an edit of a lesson that breaks it is seen
    "test": {"answered": 0.93, "top-1": 0.85, "top-3": 0.95, "recall": 0.93},
    "fresh": {"answered": 0.90, "top-1": 0.75, "top-3": 0.85, "recall": 0.80},
}


@pytest.mark.parametrize("name", FLOORS)
def test_the_tutor_is_as_good_as_it_was(name):
    reached, floors = measure(kept(DATA)[name]), FLOORS[name]
    assert reached["answered"] >= floors["answered"]
    assert reached["top-1 of answered"] >= floors["top-1"]
    assert reached["top-3 of answered"] >= floors["top-3"]
    assert reached["refusal recall"] >= floors["recall"]
    assert reached["requests refused"] == 1.0


def test_sections_with_the_same_heading_are_linked_to_by_their_cell():
    four = [s for s in sections() if s.lesson.number == "04" and s.heading == "Spot the bug"]
    assert len({s.fragment for s in four}) == len(four) == 3
    assert all(s.fragment == f"cell-id={s.cell_id}" for s in four)
    again = next(s for s in sections() if s.heading == "Measure again")
    assert link(again).endswith(
        "../04-grouped-query-attention/04-grouped-query-attention.ipynb#Measure-again)"
    )


def test_asking_from_the_command_line(capsys):
    assert main(["ask", "what", "is", "a", "ridge", "point?", "--lesson", "6", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["refused", "answer", "sources"]
    assert said["refused"] is False
    assert said["sources"][0] == {
        "slug": "06-decode-is-bandwidth-bound",
        "section": "Two numbers of your machine",
    }
    assert main(["ask", "what is a ridge point?"]) == 0
    assert "-- lesson 06, Two numbers of your machine" in capsys.readouterr().out
    assert main(["ask", "x", "--lesson", "77"]) == 1
    assert "no lesson '77'" in capsys.readouterr().err


def test_asking_loads_no_torch_and_no_network():
    code = (
        "import socket, sys; socket.socket.connect = None; from gqa_lib.cli import main;"
        "main(['ask', 'what does a cache save, and why?']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not {"torch", "IPython", "openai", "nbformat", "transformers"} & loaded


def test_table_rows_stand_on_their_own_lines(quoting):
    reply = ask("what does reset do", "02")
    assert "\n> - `reset()` | forgets all tokens" in "\n" + markdown(reply).replace(
        "> - ", "\n> - "
    )
    assert "- reset() | forgets all tokens" in terminal(reply).splitlines()


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/home/me/work/02-kv-cache/02-kv-cache.ipynb", "02-kv-cache"),
        ("02-kv-cache/02-kv-cache.updated-abc123.ipynb", "02-kv-cache"),
        ("/content/04-grouped-query-attention.ipynb", "04-grouped-query-attention"),
        ("notes.ipynb", None),
        (None, None),
    ],
)
def test_the_lesson_of_a_notebook(path, slug):
    assert lesson_of(path) == slug


def test_the_cell_magic_knows_the_open_notebook(monkeypatch, request):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    request.addfinalizer(InteractiveShell.clear_instance)
    monkeypatch.setenv("JPY_SESSION_NAME", "/w/03-multi-query-attention/x.ipynb")
    shown = []
    monkeypatch.setattr("gqa_lib.learn.tutor.magic.display", shown.append)
    shell.run_line_magic("load_ext", "gqa_lib.learn.tutor")
    shell.run_cell("%%ask\nhow do i fold the query heads?")
    assert "Lesson 03, Fold the queries instead" in shown[0].data
    assert "(../03-multi-query-attention/03-multi-query-attention.ipynb#" in shown[0].data


class Server:
    """What the persona sees of JupyterLab."""

    def __init__(self, *paths):
        kernels = [{"last_activity": f"2026-01-0{n}"} for n in range(1, len(paths) + 1)]
        self.session_manager = MagicMock()
        self.session_manager.list_sessions = AsyncMock(
            return_value=[
                {"type": "notebook", "path": path, "kernel": kernel}
                for path, kernel in zip(paths, kernels, strict=True)
            ]
        )


def persona(*paths):
    from gqa_lib.learn.tutor.persona import Tutor

    chat, made = MagicMock(), Tutor.__new__(Tutor)
    made.chat, manager = chat, MagicMock()
    manager.parent.serverapp = Server(*paths)
    type(made).parent = property(lambda self: manager)
    return made, chat


def say(made, chat, body):
    from jupyterlab_chat.models import Message

    asyncio.run(made.process_message(Message(body=body, id="1", time=0.0, sender="me")))
    return chat.add_message.call_args.args[0]


def test_the_open_lesson_is_the_one_in_front_not_the_one_that_ran_last(tmp_path, monkeypatch):
    from gqa_lib.course.places import DESK, workspaces

    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(workspaces()))
    quiz, four = "notebook:16-quiz/16-quiz.ipynb", "notebook:04-grouped-query-attention/04.ipynb"
    left = {"type": "tab-area", "currentIndex": 1, "widgets": [quiz, four]}
    right = {"type": "tab-area", "currentIndex": 0, "widgets": ["chat:tutor.chat"]}
    dock = {"type": "split-area", "sizes": [2, 1], "children": [left, right]}
    layout = {"main": {"dock": dock, "current": "chat:tutor.chat"}}
    desk = {"data": {"layout-restorer:data": layout}, "metadata": {"id": DESK}}
    WorkspacesManager(str(workspaces())).save(DESK, json.dumps(desk))
    made, chat = persona("16-quiz/16-quiz.ipynb")
    assert "Open lesson: 04" in say(made, chat, "how do i fold the query heads?").body
    left["currentIndex"] = 0
    WorkspacesManager(str(workspaces())).save(DESK, json.dumps(desk))
    assert "Open lesson: 16" in say(made, chat, "how do i fold the query heads?").body
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(tmp_path / "another"))
    made, chat = persona("02-kv-cache/02-kv-cache.ipynb")
    assert "Open lesson: 02" in say(made, chat, "how do i fold the query heads?").body


def test_the_persona_answers_and_says_which_lesson_is_open():
    made, chat = persona(
        "02-kv-cache/02-kv-cache.ipynb", "03-multi-query-attention/03-multi-query-attention.ipynb"
    )
    said = say(made, chat, "@Tutor how do i fold the query heads?")
    assert "Open lesson: 03 · Multi-query attention" in said.body
    assert "rendermime:handle-local-link" in said.body
    assert "#Fold-the-queries-instead" in said.body
    assert said.mime_model.trusted


def test_the_persona_answers_with_no_lesson_open():
    made, chat = persona()
    said = say(made, chat, "what is LoRA <script>alert(1)</script>")
    assert "No lesson is open" in said.body
    assert "<script" not in said.body


def test_jupyterlab_finds_the_persona():
    from importlib.metadata import entry_points

    from gqa_lib.learn.tutor.chat import TUTOR

    (entry,) = entry_points(group="jupyter_ai.personas", name="gqa-tutor")
    made = entry.load()
    package = made.__module__.partition(".")[0]
    assert f"jupyter-ai-personas::{package}::{made.__name__}" == TUTOR
    config = Path("grading/jupyter/student/jupyter_lab_config.py").read_text(encoding="utf-8")
    assert f'default_persona_id = "{TUTOR}"' in config
    assert Path(made.defaults.fget(None).avatar_path).exists()


def test_what_opens_a_port_or_shares_documents_is_not_installed():
    pinned = Path("constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    names = {line.partition("==")[0] for line in pinned.splitlines()}
    assert not {"jupyter-ai", "jupyter-server-mcp", "jupyter-collaboration"} & names


def test_the_chat_lies_beside_the_lessons_and_is_never_overwritten(tmp_path, monkeypatch):
    from gqa_lib.learn.tutor.chat import put_chat

    monkeypatch.setenv("GQA_WORK", str(tmp_path))
    made = put_chat()
    assert made == tmp_path / "tutor.chat"
    assert "no solutions" in json.loads(made.read_text())["messages"][0]["body"]
    made.write_text("{}")
    put_chat()
    assert made.read_text() == "{}"


def test_headings_are_shown_plainly():
    assert plain("Exercise 1 · `kv_head_of`, *the* [way](x)") == "Exercise 1 · kv_head_of, the way"
    assert find_lesson("4").title == "Grouped-query attention"
    assert stems("Quantities of $\\sqrt{D}$ heads") == ["quantiti", "of", "sqrt", "d", "head"]


def test_the_chats_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            put_chat()
    assert list((tmp_path / "work").iterdir()) == []
    assert json.loads(put_chat().read_text(encoding="utf-8"))["users"].keys() == {TUTOR}
