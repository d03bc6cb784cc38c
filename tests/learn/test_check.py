"""The instant checks: what they accept, what they refuse, and what they say."""

import re
from dataclasses import replace

import pytest
import torch

from gqa_lib.learn import check as check_function
from gqa_lib.learn import check_no_copy, kv_copied, progress
from gqa_lib.learn.checking.difference import difference
from gqa_lib.learn.checking.running import not_yet
from gqa_lib.learn.exercises import all_exercises
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.exercises.variants import plain_attention
from gqa_lib.learn.guide.hints import all_hints, hint

MISTAKES = [
    pytest.param(exercise, mistake, id=f"{exercise.name}-{place}")
    for exercise in all_exercises().values()
    for place, mistake in enumerate(exercise.mistakes)
]


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))


def in_learners_dtype(function):
    """Return the function with its results where its arguments are, in the dtype of numbers there.

    That is the first tensor's of floating point, as codes come with a scale.
    """

    def wrapped(*arguments):
        result = function(*arguments)
        tensors = [one for one in arguments if isinstance(one, torch.Tensor)]
        like = next((one for one in tensors if one.is_floating_point()), arguments[0])
        if isinstance(result, tuple):
            return tuple(converted(one, like) for one in result)
        if isinstance(result, dict) and isinstance(arguments[0], dict):
            (like, *_) = arguments[0].values()
            return {name: converted(one, like) for name, one in result.items()}
        return converted(result, like)

    def converted(result, like):
        if isinstance(result, torch.Tensor) and isinstance(like, torch.Tensor):
            result = result.to(like.device)
            if result.is_floating_point():
                result = result.to(like.dtype)
        return result

    return wrapped


def attention(q, k, v, causal=True):
    return plain_attention(q, k, v, causal).to(q.device, q.dtype)


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_each_known_mistake_is_refused_and_named(exercise, mistake, monkeypatch):
    called = replace(exercise, call=lambda yours, *arguments: yours(*arguments))
    monkeypatch.setitem(all_exercises(), exercise.name, called)
    with pytest.raises(NotYet) as refused:
        check_function(exercise.name, in_learners_dtype(mistake.wrong))
    assert mistake.says in " ".join(str(refused.value).split())


@pytest.mark.parametrize("exercise", all_exercises().values(), ids=lambda e: e.name)
def test_the_oracle_itself_passes_with_any_seed(exercise, monkeypatch, capsys):
    called = replace(exercise, call=lambda yours, *arguments: yours(*arguments), trains=False)
    monkeypatch.setitem(all_exercises(), exercise.name, called)
    check_function(exercise.name, in_learners_dtype(exercise.oracle), seed=None)
    assert "✓" in capsys.readouterr().out


def test_a_stub_is_told_to_delete_its_raise():
    def stub(q, k, v, causal=True):
        raise NotImplementedError()

    with pytest.raises(NotYet, match="still a stub"):
        check_function("attention", stub)


def test_torchs_own_not_implemented_is_not_taken_for_a_stub():
    def on_booleans(q, k, v, causal=True):
        return (q > 0) @ (k > 0).mT

    with pytest.raises(NotYet, match=r"stopped with (NotImplemented|Runtime)Error"):
        check_function("attention", on_booleans)


def test_an_error_that_is_returned_was_not_raised():
    def returns(num_heads, num_kv_heads):
        return num_heads // num_kv_heads if num_heads % num_kv_heads == 0 else ValueError("no")

    with pytest.raises(NotYet, match="raise a ValueError instead"):
        check_function("queries_per_kv_head", returns)


def test_tensors_in_place_of_an_error_are_shown_by_their_shapes():
    def refuses_nothing(q, k, v, o, num_heads, num_kv_heads, ranks, rank):
        first, D = rank * num_kv_heads // ranks, len(q) // num_heads
        kv = slice(first * D, (first + max(1, num_kv_heads // ranks)) * D)
        return q.chunk(ranks)[rank], k[kv], v[kv], o.chunk(ranks, 1)[rank]

    with pytest.raises(NotYet, match=r"\(a tensor \(6, 6\), a tensor \(3, 6\), "):
        check_function("shard_projections", refuses_nothing)


def test_a_result_that_gradients_do_not_reach_is_refused():
    def values_only(q, k, v, causal=True):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device)
            hidden = hidden.triu(scores.shape[-1] - scores.shape[-2] + 1)
            scores = scores.masked_fill(hidden, -torch.inf)
        return scores.softmax(-1) @ v.detach()

    with pytest.raises(NotYet, match=r"(?s)of the 3 tensors .* reach 2"):
        check_function("attention", values_only)


def test_values_that_look_alike_are_printed_until_they_differ():
    found = difference(torch.tensor([0.12345678]), torch.tensor([0.12349678]).double())
    one, other = re.findall(r"0\.\d+", found)
    assert one != other


def test_an_error_names_the_learners_own_line():
    def broken(q, k, v, causal=True):
        return q @ k

    with pytest.raises(NotYet, match=r"(?s)RuntimeError.*\n  in broken, line \d+: return q @ k"):
        check_function("attention", broken)


def test_changing_an_argument_in_place_is_refused():
    def greedy(q, k, v, causal=True):
        result = attention(q, k, v, causal)
        q.zero_()
        return result

    with pytest.raises(NotYet, match="changed its argument number 1 in place"):
        check_function("attention", greedy)


def test_zeroed_inputs_and_a_zero_answer_do_not_pass():
    def forger(q, k, v, causal=True):
        for tensor in (q, k, v):
            tensor.zero_()
        return torch.zeros_like(q)

    with pytest.raises(NotYet):
        check_function("attention", forger)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda q, k, v, causal=True: None, "is a `return` missing"),
        (lambda q, k, v, causal=True: attention(q, k, v, causal).double(), "dtype"),
        (lambda q, k, v, causal=True: attention(q, k, v, causal)[:, :, :1], "shape"),
        (lambda q, k, v, causal=True: attention(q, k, v, causal) * torch.nan, "NaN"),
        (lambda q, k, v, causal=True: attention(q, k, v, causal).tolist(), "tensor is expected"),
    ],
)
def test_what_is_wrong_is_said(wrong, said):
    with pytest.raises(NotYet, match=said):
        check_function("attention", wrong)


def test_a_mistake_that_fits_one_case_by_chance_is_not_named():
    def differing_everywhere(weight, head_dim):  # .all for .any: right where nothing is alike
        heads = weight.reshape(-1, head_dim * weight.shape[1])
        return 1 + int((heads[1:] != heads[:-1]).all(dim=1).sum())

    with pytest.raises(NotYet) as refused:
        check_function("kv_heads_in_weights", differing_everywhere)
    assert "That is what you get" not in str(refused.value)


def test_an_answer_remembered_from_an_earlier_call_is_refused():
    seen = {}

    def memorised(q, k, v, causal=True):
        return seen.setdefault((q.shape, causal), attention(q, k, v, causal))

    with pytest.raises(NotYet, match=r"keep\s+something from one call"):
        check_function("attention", memorised)


def test_changing_a_setting_of_torch_is_refused_and_set_back():
    def global_dtype(q, k, v, causal=True):
        torch.set_default_dtype(torch.float64)
        return attention(q, k, v, causal)

    with pytest.raises(NotYet, match="set_default_dtype, which changes everything"):
        check_function("attention", global_dtype)
    assert torch.get_default_dtype() == torch.float32


def test_after_an_answer_that_sets_the_default_device_no_mode_is_left():
    def answer(num_queries, num_keys):
        torch.set_default_device("cpu:0")
        return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries)

    with pytest.raises(NotYet, match="set_default_device, which changes everything"):
        check_function("causal_mask", answer)
    assert torch.get_default_device() == torch.device("cpu")
    assert torch._C._len_torch_function_stack() == 0  # torch.compile stumbles over one


@pytest.mark.skipif(torch.cuda.is_available(), reason="the real device is tried instead")
def test_a_tensor_left_on_the_cpu_is_found_without_a_gpu():
    def cpu_mask(q, k, v, causal=True):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(hidden(q.shape[2], k.shape[2]), -torch.inf)
        return scores.softmax(-1) @ v

    with pytest.raises(NotYet, match="would fail on a GPU"):
        check_function("attention", cpu_mask)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the real device is tried instead")
def test_what_comes_from_numpy_is_on_the_cpu():
    def means(weight, num_heads, num_kv_heads):
        heads = weight.cpu().double().numpy().reshape(num_kv_heads, num_heads // num_kv_heads, -1)
        mean = torch.from_numpy(heads.mean(1)).reshape(-1, weight.shape[1])
        return mean.to(weight.dtype)

    before = torch.from_numpy
    with pytest.raises(NotYet, match="would fail on a GPU"):
        check_function("mean_pool_heads", means)
    check_function("mean_pool_heads", lambda weight, *rest: means(weight, *rest).to(weight.device))
    assert torch.from_numpy is before


def test_a_notebook_shows_the_message_without_a_traceback():
    with pytest.raises(NotYet) as refused:
        check_function("attention", lambda q, k, v, causal=True: q)
    assert refused.value._render_traceback_() == [str(refused.value)]
    assert "hint('attention')" in str(refused.value)


def test_an_unknown_exercise_suggests_the_closest():
    with pytest.raises(ValueError, match="Did you mean 'attention'"):
        check_function("atention", None)


def expanding(q, k, v, causal=True):
    k, v = (t.repeat_interleave(q.shape[1] // k.shape[1], 1) for t in (k, v))
    return attention(q, k, v, causal)


def hidden(T, S):
    return ~torch.ones(T, S, dtype=torch.bool).tril(S - T)


def broadcasting(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.view(B, k.shape[1], -1, T, D) @ k.unsqueeze(2).mT / D**0.5
    scores = scores.masked_fill(hidden(T, k.shape[2]), -torch.inf)
    return (scores.softmax(-1) @ v.unsqueeze(2)).view(B, Hq, T, D)


def folding(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, k.shape[1], -1, D) @ k.mT / D**0.5
    scores = scores.masked_fill(hidden(T, k.shape[2]).repeat(Hq // k.shape[1], 1), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)


@pytest.mark.parametrize("idle", [lambda *_: None, lambda q, k, v, causal: q])
def test_doing_nothing_copies_nothing_and_does_not_pass(idle):
    with pytest.raises(NotYet, match="not right yet"):
        check_no_copy("grouped_query_attention", idle)


def expanding_one_sequence_at_a_time(q, k, v, causal=True):
    return torch.cat([expanding(*(t[b : b + 1] for t in (q, k, v))) for b in range(len(q))])


def cloning_per_query_head(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    heads = [
        attention(q[:, h : h + 1], *(t[:, h // R].clone().unsqueeze(1) for t in (k, v)))
        for h in range(q.shape[1])
    ]
    return torch.cat(heads, 1)


@pytest.mark.parametrize(
    "copying", [expanding, broadcasting, expanding_one_sequence_at_a_time, cloning_per_query_head]
)
def test_a_copy_of_k_per_query_head_is_seen(copying):
    with pytest.raises(NotYet, match="elements of keys and values in all"):
        check_no_copy("grouped_query_attention", copying)


def test_folding_is_no_copy(capsys):
    check_no_copy("grouped_query_attention", folding)
    assert "never copied" in capsys.readouterr().out


def test_one_kv_head_broadcast_is_copied_from_the_second_sequence_on():
    def broadcast(q, k, v, causal=True):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(hidden(q.shape[2], k.shape[2]), -torch.inf)
        return scores.softmax(-1) @ v

    def copied(B):
        q, k, v = torch.randn(B, 8, 1, 32), *torch.randn(2, B, 1, 40, 32)
        return kv_copied(broadcast, q, k, v)[0]

    assert [copied(1), copied(2)] == [0, 2 * 2 * 8 * 40 * 32]
    with pytest.raises(NotYet, match=r"as does q @ k\.mT"):
        check_no_copy("multi_query_attention", broadcast)


def test_copies_are_not_looked_for_where_there_are_no_cases():
    with pytest.raises(ValueError, match="attention has no cases to see copies in"):
        check_no_copy("attention", attention)


def test_checks_are_recorded_but_not_while_grading(monkeypatch):
    check_function("attention", attention)
    with pytest.raises(NotYet):
        check_function("attention", lambda q, k, v, causal=True: q)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    check_function("attention", attention)
    assert [e["score"] for e in progress.events(kind="check")] == [1.0, 0.0]


def test_a_record_that_cannot_be_written_does_not_fail_a_right_answer(monkeypatch, capsys):
    monkeypatch.setenv("GQA_HOME", "/dev/null/nowhere")
    check_function("attention", attention)
    assert "Progress was not saved" in capsys.readouterr().out


@pytest.mark.parametrize("name", all_exercises())
def test_the_hints_that_a_message_offers_exist(name):
    (offered,) = re.findall(r"hint\('(.+?)'\)", str(not_yet(all_exercises()[name])))
    assert len(all_hints()[offered]) >= 3


def test_hints_are_a_ladder(capsys):
    ladder = all_hints()["attention"]
    assert len(ladder) >= 3
    hint("attention")
    first = capsys.readouterr().out
    hint("attention")
    second = capsys.readouterr().out
    assert ladder[0][0] in first
    assert ladder[1][0] not in first
    assert ladder[0][0] in second
    assert ladder[1][0] in second
    for _ in ladder:
        hint("attention")
    assert "the last one" in capsys.readouterr().out


def test_no_machine_is_drawn_on_its_ridge_where_rounding_would_decide():
    drawn = all_exercises()["is_memory_bound"]
    for seed in range(100):
        for case in ({"draw": n} for n in range(1, 25)):
            work, machine = drawn.make(torch.Generator().manual_seed(seed), **case)
            ridge = machine.flops_per_s / machine.bandwidth_bytes_per_s
            assert abs(work / ridge - 1) > 1e-3
            assert drawn.oracle(work, machine) is (work < ridge)


def test_of_several_named_results_the_wrong_one_is_named():
    expected = {"length": 3, "k_all": torch.zeros(2, 3)}
    assert difference({"length": 3, "k_all": torch.zeros(2, 3)}, expected) is None
    found = difference({"length": 4, "k_all": torch.zeros(2, 3)}, expected)
    assert found == "length: 4; expected 3."
    found = difference({"length": 3, "k_all": torch.zeros(2, 4)}, expected)
    assert found == "k_all: shape (2, 4); expected (2, 3)."
    assert "expected length, k_all" in difference({"length": 3}, expected)
