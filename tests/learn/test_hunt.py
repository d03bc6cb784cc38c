"""Bug hunts: what inputs expose, what is refused and kept, and that nothing is given away."""

import re

import pytest
import torch

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.hardware import Hardware
from gqa_lib.learn import hunt, progress
from gqa_lib.learn.exercises.hunts import all_hunts
from gqa_lib.learn.exercises.hunts.hunt import wrong_answer
from gqa_lib.learn.exercises.hunts.inputs import inputs_of
from gqa_lib.learn.exercises.hunts.trying import exposed, idle
from gqa_lib.learn.guide.ending import ending
from gqa_lib.learn.progress.hunted import Hunted, better
from gqa_lib.learn.progress.standing import standing
from gqa_lib.learn.progress.table import progress_table
from grading.authoring.source import lesson_notebook, read_source, source_of

HUNTS = all_hunts()


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def qkv(B=2, Hq=6, Hkv=2, T=3, S=7, D=5):
    return randn(B, Hq, T, D), randn(B, Hkv, S, D), randn(B, Hkv, S, D).flip(2)


def far_below_zero(Hq, Hkv):
    q, k, v = qkv(Hq=Hq, Hkv=Hkv)
    return 1000 * (1 + q.abs()), -(1 + k.abs()), v


def parts(lse_a, lse_b):
    lses = torch.tensor(float(lse_a)), torch.tensor(float(lse_b))
    return torch.tensor([1.0]), lses[0], torch.tensor([3.0]), lses[1]


ROUND = Hardware("round", 2e12, 1e11, 1e9, "made up")
GOOD = {
    "split_heads": [(torch.arange(48.0).view(2, 3, 8), 2)],
    "attention": [far_below_zero(3, 3), (*qkv(Hq=3, Hkv=3), False)],
    "KVCache": [(8, [3, 2, "reset", 1])],
    "multi_query_attention": [qkv(Hkv=1), (*qkv(Hkv=1), False)],
    "kv_head_of": [(5, 8, 4)],
    "expand_kv": [(torch.arange(48.0).view(2, 2, 4, 3), 3)],
    "grouped_query_attention": [qkv(), (*qkv(), False)],
    "kv_bytes_per_token": [("Qwen3-4B", 0.5)],
    "is_memory_bound": [(20, ROUND), (10, "H200 SXM")],
    "merge_partials": [parts(100, 98)],
    "split_kv_decode": [(9 * qkv(T=1, S=11)[0], *qkv(T=1, S=11)[1:], 4)],
}
BLAND = {  # one sequence, equal sizes, zeros: inputs -> bugs that they expose
    "split_heads": ((torch.zeros(2, 3, 8), 2), 0),
    "attention": (tuple(torch.zeros(3, 1, 1, 2, 2)), 0),
    "KVCache": ((3, [3]), 1),
    "multi_query_attention": (qkv(B=1, Hq=1, Hkv=1, T=4, S=4), 0),
    "kv_head_of": ((0, 8, 1), 0),
    "expand_kv": ((randn(1, 1, 1, 4), 3), 0),
    "grouped_query_attention": (qkv(B=1, Hq=1, Hkv=1, T=4, S=4), 0),
    "kv_bytes_per_token": (("Llama-2-7B", 2), 0),
    "is_memory_bound": ((1e9, ROUND), 1),
    "merge_partials": (parts(0, 0), 2),
    "split_kv_decode": ((torch.zeros(1, 2, 1, 4), *torch.zeros(2, 1, 2, 8, 4), 2), 0),
}


@pytest.fixture(autouse=True)
def own_record(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


def caught(name, inputs):
    return sum(map(bool, exposed(HUNTS[name], inputs)))


def kept():
    return [(e["exercise"], e["score"], e["max_score"], e["detail"]) for e in progress.events()]


@pytest.mark.parametrize("name", HUNTS)
def test_a_good_set_of_inputs_exposes_all_bugs_and_none_of_it_is_idle(name):
    hunted = HUNTS[name]
    found = exposed(hunted, GOOD[name])
    assert [place for place, how in enumerate(found, 1) if not how] == []
    assert len(GOOD[name]) == hunted.fewest
    assert idle(found, len(GOOD[name])) == []


@pytest.mark.parametrize("name", HUNTS)
def test_a_bland_input_exposes_few(name):
    given, bugs = BLAND[name]
    assert caught(name, [given]) == bugs < len(HUNTS[name].bugs)


@pytest.mark.parametrize("name", HUNTS)
def test_the_first_try_exposes_something_and_leaves_something(name, capsys):
    exec(HUNTS[name].example, {"hunt": hunt, "torch": torch})
    said = capsys.readouterr().out
    assert ": caught: " in said
    assert "still at large" in said
    hunt(name)
    assert HUNTS[name].call in capsys.readouterr().out


@pytest.mark.parametrize("name", HUNTS)
def test_what_a_bug_was_is_said_once_it_is_caught_and_not_before(name, capsys):
    hunt(name)
    given, _ = BLAND[name]
    hunt(name, given)
    said = capsys.readouterr().out
    for bug, how in zip(HUNTS[name].bugs, exposed(HUNTS[name], [given]), strict=True):
        assert (bug.was in said) == bool(how)
    hunt(name, *GOOD[name])
    said = capsys.readouterr().out
    assert all(bug.was in said and bug.quiet in said for bug in HUNTS[name].bugs)


def solution_lines(lesson):
    """Yield the lines of a lesson's solutions, without blanks, that can give something away."""
    for cell in read_source(source_of(lesson)).cells:
        for region in re.findall(r"### BEGIN SOLUTION\n(.*?)### END", cell.source, re.DOTALL):
            bare = (re.sub(r"\s|#.*", "", line) for line in region.splitlines())
            yield from (line.removeprefix("return") for line in bare if len(line) > 12)


@pytest.mark.parametrize("name", HUNTS)
def test_what_is_shown_has_no_line_of_a_solution_and_no_code_of_a_bug(name):
    one = HUNTS[name]
    texts = [one.does, one.example, *(text for bug in one.bugs for text in (bug.was, bug.quiet))]
    bare = re.sub(r"\s", "", " ".join(texts))
    lines = {line for lesson in lessons() for line in solution_lines(lesson)}
    assert len(lines) > 100
    assert [line for line in lines if line in bare] == []
    calls = [text for bug in one.bugs for text in (bug.was, bug.quiet) if re.search(r"\w\(", text)]
    assert calls == []


def test_the_wrong_answers_are_the_catalogue_s():
    assert wrong_answer(HUNTS["expand_kv"].exercise, "tiled") in [
        bug.wrong for bug in HUNTS["expand_kv"].bugs
    ]
    with pytest.raises(ValueError, match="0 mistakes of expand_kv say 'no such'"):
        wrong_answer(HUNTS["expand_kv"].exercise, "no such")


def test_each_lesson_from_01_to_07_has_a_hunt_that_there_is():
    for lesson in lessons()[1:8]:
        notebook = lesson_notebook(lesson)
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        asked = re.findall(r'^hunt\("(\w+)"', code, re.MULTILINE)
        assert asked, lesson.slug
        text = "\n".join(cell.source for cell in notebook.cells)
        assert set(re.findall(r'hunt\("(\w+)"', text)) <= HUNTS.keys()


SLIPS = [
    ("kv_head_of", (5, 6, 2), "in brackets of its own; this is an int"),
    ("kv_head_of", [(5, 6)], "is (query_head, num_heads, num_kv_heads); this one has 2"),
    ("kv_head_of", [(5, 6, 4)], "6 query heads cannot share 4 KV heads"),
    ("kv_head_of", [(6, 6, 2)], "There is no query head 6: of 6 the last is 5"),
    ("kv_head_of", [(0, 6, 0)], "num_kv_heads is 0; this hunt takes 1"),
    ("kv_head_of", [(True, 6, 2)], "query_head must be a whole number; it is a bool"),
    ("kv_head_of", [(5, 6, 2), (5, 6.0, 2)], "Input 2: num_heads must be a whole number"),
    ("kv_head_of", [[]], "There is no input in that"),
    ("kv_head_of", [(1, 6, 2)] * 9, "more than 8 inputs"),
    ("split_heads", [([1.0], 1)], "x must be a tensor (B, T, d_model); it is a list"),
    ("split_heads", [(torch.zeros(2, 4), 2)], "must have the shape (B, T, d_model); it has (2, 4)"),
    ("split_heads", [(torch.zeros(1, 2, 5), 2)], "5 channels, which 2 heads cannot share"),
    ("split_heads", [(torch.zeros(1, 0, 4), 2)], "there is nothing in it"),
    ("split_heads", [(torch.zeros(1).expand(10**4, 10**4, 4), 2)], "numbers. A hunt takes 100,000"),
    ("split_heads", [(torch.full((1, 1, 4), torch.nan), 2)], "NaN or infinity"),
    ("split_heads", [(torch.empty(1, 1, 4, device="meta"), 2)], "'meta'"),
    ("split_heads", [(torch.zeros(1, 1, 4, dtype=torch.cfloat), 2)], "make it floating point"),
    ("split_heads", [lambda: 1 / 0], "stopped with ZeroDivisionError"),
    ("attention", [qkv()], "q has 6 heads and k 2"),
    ("attention", [(*qkv(Hkv=6), 1)], "causal must be True or False; it is an int"),
    ("attention", [tuple(x.long() for x in qkv(Hkv=6))], "q is torch.int64; make it floating"),
    ("multi_query_attention", [qkv()], "one KV head, (B, 1, S, D); k is (2, 2, 7, 5)"),
    ("grouped_query_attention", [qkv(T=7, S=3)], "as many keys or more"),
    ("grouped_query_attention", [qkv(Hkv=4)], "6 query heads cannot share 4"),
    ("grouped_query_attention", [(*qkv()[:2], randn(2, 2, 8, 5))], "must have one shape"),
    ("grouped_query_attention", [(qkv()[0].double(), *qkv()[1:])], "one dtype"),
    ("grouped_query_attention", [qkv(B=1, Hq=4, Hkv=1, T=400, S=400, D=2)], "640,000 scores"),
    ("KVCache", [(8, [3, 6])], "come to 9 tokens, and max_seq_len is 8"),
    ("KVCache", [(8, [3, "rest"])], "\"reset\"; it is 'rest'"),
    ("KVCache", [(8, 3)], "steps must be a list"),
    ("KVCache", [(8, [])], "steps has 0 steps"),
    ("expand_kv", [(torch.zeros(1, 100, 90, 10), 100)], "is too large for a hunt"),
    ("kv_bytes_per_token", [("Lama-3-8B", 2)], "Did you mean"),
    ("kv_bytes_per_token", [("DeepSeek-V3", 2)], "do not all keep full keys and values"),
    ("kv_bytes_per_token", [("Llama-3-8B", 0)], "must be above 0"),
    ("is_memory_bound", [(3, "H2000 SXM")], "no data sheet for 'H2000 SXM'"),
    ("is_memory_bound", [(3, None)], "The hardware must be a name or a Hardware; it is None"),
    ("merge_partials", [(*parts(0, 0)[:3], torch.zeros(2))], "lse_b must have the shape"),
    ("merge_partials", [parts(0, torch.inf)], "NaN or infinity"),
    ("split_kv_decode", [(*qkv(), 2)], "A decode step has one query"),
    ("split_kv_decode", [(*qkv(T=1), 0)], "num_splits is 0"),
]


@pytest.mark.parametrize(("name", "inputs", "said"), SLIPS)
def test_a_slip_is_said_in_a_sentence_and_leaves_no_trace(name, inputs, said, capsys):
    hunt(name, *inputs)
    out = capsys.readouterr().out
    assert out.startswith("Not tried: ")
    assert said in out
    assert HUNTS[name].example in out
    assert progress.events() == []


@pytest.mark.parametrize("name", HUNTS)
@pytest.mark.parametrize(
    "odd", [None, 3, "x", (), ((),), [None], {}, {1}, torch.zeros(3), object(), print, type, len]
)
def test_whatever_is_given_nothing_is_raised(name, odd, capsys):
    hunt(name, odd)
    hunt(name, (odd,) * 2)
    hunt(name, (odd,) * 3)
    hunt(name, (odd,) * 4)
    assert capsys.readouterr().out.count("Not tried: ") == 4
    assert progress.events() == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("split_head", "There is no hunt 'split_head'. Did you mean hunt(\"split_heads\")?"),
        ("zzz", "There are 'split_heads', 'attention'"),
        (None, "There is no hunt"),
    ],
)
def test_a_hunt_that_there_is_not_is_named_no_further(name, said, capsys):
    hunt(name, (1, 2))
    assert said in capsys.readouterr().out


def test_a_maker_of_inputs_is_as_good_as_the_inputs():
    given = [(5, 8, 4), (5, 6, 2)]
    assert inputs_of(given) == inputs_of([lambda: given]) == inputs_of([given])
    assert inputs_of([lambda: (5, 8, 4)]) == given[:1]
    assert inputs_of([lambda: iter(given)]) == given


def test_what_the_learner_gave_is_left_as_it_was_and_may_need_gradients():
    q, k, v = (x.requires_grad_() for x in qkv())
    before = [x.detach().clone() for x in (q, k, v)]
    assert caught("grouped_query_attention", [(q, k, v)]) == 6
    assert all(torch.equal(*pair) for pair in zip((q, k, v), before, strict=True))


def test_in_bfloat16_rounding_exposes_nothing():
    q, k, v = (x.bfloat16() for x in qkv(B=1, Hq=1, Hkv=1, T=4, S=4))
    assert caught("grouped_query_attention", [(q, k, v)]) == 0


def test_the_same_hunt_says_the_same_twice(capsys):
    hunt("KVCache", (8, [3, 2]))
    first = capsys.readouterr().out.splitlines()
    hunt("KVCache", (8, [3, 2]))
    assert capsys.readouterr().out.splitlines()[:-1] == first[:-1]


def test_only_a_better_hunt_is_kept_and_the_best_is_shown(capsys):
    hunt("kv_head_of", (0, 8, 1))
    assert kept() == []
    hunt("kv_head_of", (5, 6, 2))
    hunt("kv_head_of", (5, 6, 2))
    assert kept() == [("kv_head_of", 2.0, 4.0, "1")]
    hunt("kv_head_of", (5, 6, 2), (5, 8, 4))
    assert "Without input 1 it would be as many." in capsys.readouterr().out
    hunt("kv_head_of", (5, 8, 4))
    hunt("kv_head_of", (5, 8, 4), (5, 6, 2))
    assert kept()[1:] == [("kv_head_of", 4.0, 4.0, "2"), ("kv_head_of", 4.0, 4.0, "1")]
    said = capsys.readouterr().out
    assert "4 of 4 bugs caught with 1 input. That is your best so far." in said
    assert said.rstrip().endswith(
        "Your best is 4 of 4 bugs caught with 1 input. Without input 2 it would be as many."
    )
    lesson = find_lesson("04")
    assert standing(lesson).hunts == {"kv_head_of": Hunted(4, 4, 1)}
    assert "- Bug hunt `kv_head_of`: 4 of 4 bugs caught with 1 input" in ending(lesson)
    assert re.search(r"bug hunt: kv_head_of +4 of 4 bugs caught with 1 input", progress_table())


def test_more_bugs_count_before_fewer_inputs():
    one, two = Hunted(3, 4, 1), Hunted(4, 4, 3)
    assert better(None, one) == one
    assert better(one, two) == better(two, one) == two
    assert better(two, Hunted(4, 4, 2)) == Hunted(4, 4, 2)


def test_a_hunt_in_the_record_that_was_changed_on_its_way_is_passed_over():
    for score, of, inputs in (
        (2.0, 4.0, "many"),
        (5.0, 4.0, "1"),
        (2.0, 4.0, "-1"),
        (None, 4, "1"),
    ):
        progress.add(find_lesson("04").slug, "kv_head_of", "hunt", score, of, inputs)
    assert standing(find_lesson("04")).hunts == {}


def test_a_record_that_cannot_be_written_does_not_spoil_the_hunt(monkeypatch, capsys):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("gqa_lib.learn.progress.hunted.add", full)
    hunt("kv_head_of", (5, 8, 4))
    assert "4 of 4 bugs caught with 1 input. (It was not saved: no space left)" in (
        capsys.readouterr().out
    )


def test_graded_it_does_nothing(monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    hunt("kv_head_of", (5, 8, 4))
    assert capsys.readouterr().out == ""
    assert progress.events() == []
