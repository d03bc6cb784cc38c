"""The tutor's layers: sums, definitions, cells, the bank, small talk and follow-ups."""

import tomllib
from pathlib import Path

import pytest

from gqa_lib.cli import main
from gqa_lib.configs import load_model
from gqa_lib.cost import kv_cache_bytes
from gqa_lib.learn.tutor import meaning
from gqa_lib.learn.tutor.amounts.asked import read
from gqa_lib.learn.tutor.amounts.worked import in_units, worked
from gqa_lib.learn.tutor.answer import ask
from gqa_lib.learn.tutor.authored import bank
from gqa_lib.learn.tutor.cells import cells_of
from gqa_lib.learn.tutor.showing import markdown, terminal

DATA = Path(__file__).parents[1] / "data"
NUMBERS = {
    question: value
    for name in ("practice", "last")
    for question, value in tomllib.loads((DATA / f"tutor_{name}.toml").read_text())[
        "numbers"
    ].items()
}


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.delenv("GQA_TUTOR_BASE_URL", raising=False)


@pytest.mark.parametrize(
    ("question", "name", "tokens", "size"),
    [
        ("how big is the KV cache of Llama 3 8B at 8k in fp8", "Llama-3-8B", 8192, 1),
        ("kv cache of lama-3.3 70b with 16384 tokens", "Llama-3.3-70B", 16_384, 2),
        ("wie groß ist der kv cache von mistral-nemo 12b bei 32k", "Mistral-Nemo-12B", 32_768, 2),
        ("Qwen2.5:7b KV-cache size, context 131,072, int4?", "Qwen2.5-7B", 131_072, 0.5),
        ("memory of the cache of gemma-2 9b for 4k tokens", "Gemma-2-9B", 4096, 2),
        ("how much cache does deepseek-v3 need at 128k", "DeepSeek-V3", 131_072, 2),
    ],
)
def test_a_cache_is_computed_as_the_library_does(question, name, tokens, size):
    reply = ask(question)
    right = in_units(kv_cache_bytes(load_model(name), [tokens], size))
    assert reply.kind == "computed"
    assert reply.text.startswith(f"**{right}** for {name}")
    assert reply.sources[0].lesson.number == "05"


def test_the_formula_and_what_went_into_it_are_shown():
    text = ask("kv cache of llama-3-8b at 8k in fp8").text
    assert "2 (K and V) × 32 layers × 8 KV heads × 128 × 1 byte (8 bits)" in text
    assert "64 KiB per token" in text
    assert "8k = 8,192" in text


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("how many sequences of 8k fit into 80 GB with llama-3-8b", "**59 sequences**"),
        ("I keep 40 GiB free for the cache, how many llama-3-8b chats of 8192 tokens", "**40 seq"),
        ("how long a context fits for llama 3 8b on 24 GB", "**60,573 tokens**"),
        ("how many sequences of llama-3-8b fit", "needs the memory as well"),
        ("flop per byte of decode attention of qwen2.5-7b in bf16", "**7 FLOP per byte**"),
        ("how many times smaller is falcon-180b's cache than as mha", "**29 times**"),
        ("how many kv heads does llama 3 70b have", "64 query heads, 8 KV heads of 128"),
        ("is gemma-2 9b gqa?", "Gemma-2-9B is **GQA**"),
        ("bytes per token of tinyllama", "**22 KiB per token**"),
        ("kv cache for 32 layers, 8 kv heads, head dim 128 at 4096 tokens in fp16", "**512 MiB**"),
        ("kv cache of llama 3 8b if it were MHA at 8k", "**4 GiB**"),
        ("kv cache of llama 3 8b with 5 kv heads at 8k", "5"),
    ],
)
def test_other_amounts(question, said):
    assert said in ask(question).text


@pytest.mark.parametrize(
    "question",
    ["what is the kv cache", "why does llama 3 8b need a kv cache", "how big is my kv cache",
     "kv cache of gpt-4 at 8k", "how many heads are there"],
)  # fmt: skip
def test_without_a_model_or_an_amount_nothing_is_computed(question):
    assert worked(read(question)) is None
    assert ask(question).kind != "computed"


def test_the_right_values_are_said_of_questions_nobody_tuned_on():
    for question, value in NUMBERS.items():
        number = value.split(" (")[0].split(" sequences")[0].removesuffix(" times")
        if "GFLOP" not in value and "26" not in number:  # read by hand: what is counted differs
            assert number.split(" ")[0] in ask(question).text, (question, value)


def conversation(*questions, lesson=None):
    reply = None
    for question in questions:
        said = ask(question, lesson, before=reply)
        reply = said if not said.refused and said.kind != "talk" else reply
    return said


def test_follow_ups_change_what_was_given():
    first = "how big is the kv cache of llama 3 8b at 8k"
    assert conversation(first, "and in fp8?").text.startswith("**512 MiB**")
    assert conversation(first, "and for MQA?").text.startswith("**128 MiB**")
    assert conversation(first, "what about 32k?").text.startswith("**4 GiB**")
    assert conversation(first, "and in fp8?", "thanks", "and for MQA?").text.startswith("**64 MiB")
    fit = "how many sequences of 8k fit with llama-3-8b into 80 GB"
    assert conversation(fit, "and with 24 GB?").text.startswith("**7 sequences**")
    assert conversation(first, "and for Qwen2.5-7B at 8k?").text.startswith("**448 MiB**")


def test_why_and_more_stay_with_the_subject_and_do_not_repeat():
    first = ask("what is folding")
    why = ask("why?", before=first)
    more = ask("tell me more", before=why)
    assert not why.refused
    assert len({first.text, why.text, more.text}) == 3
    assert {s.lesson.number for s in why.stands_on + more.stands_on} <= {"03", "04"}


def test_and_for_another_kind_asks_the_same_of_it():
    assert "**Decode**" in conversation("what is prefill", "and decode?").text
    assert "**TPOT**" in conversation("what is TTFT", "and TPOT?").text


def test_why_with_nothing_before_it_is_no_answer():
    assert ask("why?").refused


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("what is a KV head", "**KV head**: a set of keys and values"),
        ("What does q_per_kv mean?", "**Q_per_kv**: how many query heads"),
        ("was ist ein kv head", "**KV head**"),
        ("rooflines wtf", "**Roofline**"),
        ("define MQA", "**Multi-query attention**"),
        ("what is gqa", "**Grouped-query attention**"),
        ("what's the memory bandwith", "**Memory bandwidth**"),
    ],
)
def test_a_term_is_defined(question, said):
    reply = ask(question)
    assert said.lower() in reply.text.lower() or reply.kind == "authored"
    assert reply.kind in ("defined", "authored")
    assert reply.sources


def test_two_terms_are_told_apart():
    text = ask("prefill vs decode").text
    assert "refill" in text
    assert "ecode" in text


@pytest.mark.parametrize(
    "question", ["thanks!", "hi", "ok cool", "danke, hat geholfen", "who are you?"]
)
def test_small_talk_gets_one_line_and_no_section(question):
    reply = ask(question)
    assert reply.kind == "talk"
    assert not reply.refused
    assert not reply.sources


def test_every_code_cell_says_what_it_does():
    from gqa_lib.course.manifest import lessons

    for lesson in lessons():
        there = cells_of(lesson.number)
        assert all(5 <= len(cell.does.split()) <= 24 for cell in there), lesson.number
        assert there


def test_a_cell_is_found_by_its_number_and_by_its_code():
    third = next(cell for cell in cells_of("04") if cell.number == 3)
    assert third.does in ask("what does cell 3 do?", "04").text
    assert third.does in ask("what does cell 3 of lesson 4 do?").text
    line = third.source.splitlines()[0]
    assert third.does in ask(f"what does this cell do:\n{line}", "04").text
    assert "Which cell?" in ask("what does this cell do?", "04").text


def test_an_authored_answer_is_found_by_its_own_questions_and_says_where_it_stands():
    for one in bank()[::60]:
        reply = ask(one.questions[0])
        assert reply.text == one.text or reply.kind in ("defined", "computed"), one.questions[0]
        if reply.kind == "authored":
            assert reply.stands_on[0].title == one.section
            assert reply.stands_on[0].place.startswith(f"lesson {one.lesson}")


def test_what_an_answer_rests_on_is_named_without_numbers_of_ours():
    one = next(one for one in bank() if one.facts)
    shown = terminal(ask(one.questions[0])), markdown(ask(one.questions[0]))
    assert all("Figures: " in text and one.facts[0] not in text for text in shown)


def test_without_the_word_vectors_it_still_answers(monkeypatch):
    from gqa_lib.learn.tutor import matching

    monkeypatch.setattr(meaning, "_model", lambda: None)
    monkeypatch.setattr(matching, "_made", {})
    one = bank()[7]
    assert ask(one.questions[1]).text == one.text
    monkeypatch.setattr(matching, "_made", {})


def test_gqa_ask_without_a_question_takes_one_after_the_other(monkeypatch, capsys):
    lines = iter(["kv cache of llama-3-8b at 8k", "and in fp8?", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    main(["ask"])
    out = capsys.readouterr().out
    assert "1 GiB for Llama-3-8B" in out
    assert "512 MiB for Llama-3-8B" in out


def test_gqa_ask_with_nothing_to_read_says_where_a_question_goes(monkeypatch, capsys):
    def ended(prompt):
        raise EOFError

    monkeypatch.setattr("builtins.input", ended)
    assert main(["ask"]) == 1
    assert "write it after `gqa ask`" in capsys.readouterr().err
