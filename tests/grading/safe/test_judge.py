"""The judge and its proxies: a test runs unchanged, and the student's names are values or calls."""

import contextlib
import socket
import threading

import pytest

from grading.safe.judge import Judge
from grading.safe.link import Link
from grading.student.serve import Server
from grading.student.wire import Channel

SETUP = "import torch\nfrom torch import nn\nfrom gqa_lib.cache import KVCache\n"


@pytest.fixture
def ask():
    """Return a function: the judge's result of a test of a student's cell, both sources."""
    lines = []

    def ask(student: str, test: str, trusted: str = SETUP, time_s: float = 300) -> dict:
        ours, theirs = socket.socketpair()
        lines.extend((ours, theirs))
        names: dict = {"__name__": "__main__"}
        exec(compile(SETUP + student, "<student>", "exec"), names)
        server = Server(Channel(theirs), names)

        def serve():
            with contextlib.suppress(EOFError, OSError):
                while True:
                    server.serve()

        threading.Thread(target=serve, daemon=True).start()
        judge = Judge(Link(Channel(ours)))
        assert judge.run_trusted(trusted)["error"] is None
        return judge.run_test(test, time_s)

    yield ask
    for line in lines:
        line.close()


def passes(result: dict) -> bool:
    return result["error"] is None and not result["stopped"]


def test_values_come_as_they_are(ask):
    student = "a = 3\nb = 'text'\nc = {'x': (1, [2.5, None])}\nd = torch.arange(6).view(2, 3)"
    assert passes(ask(student, "assert (a, b, c) == (3, 'text', {'x': (1, [2.5, None])})"))
    assert passes(ask(student, "assert torch.equal(d, torch.arange(6).view(2, 3))"))


def test_a_wrong_value_fails_with_the_tests_own_error(ask):
    result = ask("a = 3", "assert a == 4, 'it is 4'")
    assert result["error"] == ["AssertionError", "it is 4"]


def test_a_name_that_is_not_there_is_a_name_error(ask):
    assert ask("", "answer")["error"] == ["NameError", "name 'answer' is not defined"]


def test_functions_take_and_give_values(ask):
    student = "def add(a, b=1, *rest, **more):\n    return [a + b, rest, more]"
    assert passes(ask(student, "assert add(2) == [3, (), {}]"))
    assert passes(ask(student, "assert add(2, 3, 4, x=5) == [5, (4,), {'x': 5}]"))


def test_arguments_stay_as_they_are_unless_the_test_asks(ask):
    student = "def double(x):\n    x.mul_(2)\n    return x"
    before = "x = torch.ones(3)\n"
    assert passes(ask(student, before + "y = double(x)\nassert x.sum() == 3 and y.sum() == 6"))
    trusted = SETUP + "from gqa_lib.learn import inplace\n"
    seen = before + "inplace(double)(x)\nassert x.sum() == 6"
    assert passes(ask(student, seen, trusted))


def test_arguments_keep_their_strides(ask):
    student = "def joined(x):\n    return x.view(-1)"
    error = ask(student, "joined(torch.ones(2, 3).T)")["error"]
    assert error[0] == "RuntimeError"
    assert "view size is not compatible" in error[1]


def test_classes_methods_attributes_and_items(ask):
    student = """
class Store:
    kind = "store"
    def __init__(self, n): self.items, self.n = {}, n
    def put(self, key, value): self.items[key] = value; return self
    def __getitem__(self, key): return self.items[key]
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    @property
    def twice(self): return 2 * self.n
"""
    assert passes(
        ask(
            student,
            "s = Store(4)\n"
            "assert s.put('a', 1).put('b', torch.ones(2)) is not None\n"
            "assert (s.n, s.twice, Store.kind, len(s), list(s)) == (4, 8, 'store', 2, ['a', 'b'])\n"
            "assert s['a'] == 1 and s['b'].sum() == 2\n",
        )
    )


def test_a_module_with_its_weights(ask):
    student = """
class Layer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.proj = nn.Linear(d, d, bias=False)
    def forward(self, x): return self.proj(x)
"""
    assert passes(
        ask(
            student,
            "layer = Layer(3)\n"
            "assert {n: tuple(w.shape) for n, w in layer.state_dict().items()} == "
            "{'proj.weight': (3, 3)}\n"
            "layer.load_state_dict({'proj.weight': 2 * torch.eye(3)})\n"
            "x = torch.ones(2, 3)\n"
            "assert torch.equal(layer(x), 2 * x)\n"
            "assert torch.equal(layer.proj.weight, 2 * torch.eye(3))\n"
            "assert sum(p.numel() for p in layer.parameters()) == 9\n",
        )
    )


@pytest.mark.parametrize(
    ("raised", "caught"),
    [
        ("ValueError('no')", "ValueError"),
        ("KeyError('no')", "KeyError"),
        ("NotImplementedError()", "NotImplementedError"),
        ("type('Odd', (ValueError,), {})('no')", "ValueError"),
        ("type('Odd', (KeyError,), {})('no')", "LookupError"),
        ("RecursionError('no')", "RuntimeError"),
    ],
)
def test_errors_come_back_as_themselves(ask, raised, caught):
    student = f"def stops():\n    raise {raised}"
    test = f"try:\n    stops()\nexcept {caught}:\n    pass\nelse:\n    assert False"
    assert passes(ask(student, test))


def test_an_error_keeps_its_name_and_message(ask):
    student = "def stops():\n    raise type('Odd', (ValueError,), {})('seven')"
    assert ask(student, "stops()")["error"] == ["Odd", "seven"]


@pytest.mark.parametrize("name", ["NotYet", "Complaint", "Stopped", "Credit", "__class__"])
def test_an_error_with_a_name_of_ours_is_still_an_error(ask, name):
    student = f"def stops():\n    raise type({name!r}, (Exception,), {{}})('all is well')"
    result = ask(student, "from grading.safe.link import Stopped\nstops()")
    assert not passes(result)
    assert "credit" not in result


@pytest.mark.parametrize(
    "raised", ["StopIteration(1)", "KeyboardInterrupt", "SystemExit(0)", "GeneratorExit"]
)
def test_what_would_end_the_judge_is_only_an_error(ask, raised):
    test = "try:\n    stops()\nexcept Exception as error:\n    caught = True\nassert caught"
    assert passes(ask(f"def stops():\n    raise {raised}", test))


def test_trusted_names_win_over_the_students(ask):
    student = "torch = None\ncheck = lambda *a: None\nlen = lambda x: 7"
    trusted = SETUP + "def check(x):\n    assert x == 1"
    assert ask(student, "check(2)", trusted)["error"][0] == "AssertionError"
    assert passes(ask(student, "assert len([1]) == 1 and torch.ones(1) == 1", trusted))


def test_a_name_that_a_test_defines_is_the_tests_own(ask):
    assert passes(ask("expected = 5", "expected = 4\nassert expected == 4"))


def test_a_proxy_is_equal_to_nothing_else(ask):
    student = (
        "class Equal:\n    def __eq__(self, other): return True\n    __hash__ = None\ne = Equal()"
    )
    assert passes(ask(student, "assert e != 1 and e == e and not isinstance(e, torch.Tensor)"))


def test_what_it_prints_is_told_apart_and_bounded(ask):
    result = ask("def say():\n    print('x' * 10**6)", "say()\nprint('the test')")
    assert result["out"] == "the test\n"
    assert 100 < len(result["printed"]) <= 20_000


@pytest.mark.parametrize(("credit", "told"), [(1.5, 1.5), (0, 0.0), (1e9, 1e9)])
def test_credit_is_what_the_trusted_helper_makes(ask, credit, told):
    trusted = SETUP + "from gqa_lib.learn import partial_credit\n"
    assert ask("", f"partial_credit({credit})", trusted)["credit"] == told


@pytest.mark.parametrize("last", ["answer", "answer()", "1.5", "float('nan')"])
def test_any_other_number_is_no_credit(ask, last):
    result = ask("class Credit(float): pass\ndef answer(): return Credit(4)", last)
    assert "credit" not in result


def test_a_shared_cache_is_used_by_both(ask):
    student = """
def fill(cache, n):
    k_all, v_all = cache.append(torch.ones(1, 2, n, 3), torch.zeros(1, 2, n, 3))
    return k_all, cache.length, cache.max_seq_len
"""
    assert passes(
        ask(
            student,
            "cache = KVCache(1, 2, 8, 3)\n"
            "k_all, length, room = fill(cache, 5)\n"
            "assert (cache.length, length, room, tuple(k_all.shape)) == (5, 5, 8, (1, 2, 5, 3))\n"
            "try:\n    fill(cache, 4)\n"
            "except ValueError as error:\n    assert 'max_seq_len' in str(error)\n"
            "else:\n    assert False\n"
            "cache.reset()\nassert fill(cache, 4)[1] == 4\n",
        )
    )


@pytest.mark.parametrize("name", ["_k", "_check", "__class__", "__dict__", "__init__"])
def test_a_shared_cache_shows_its_public_names_only(ask, name):
    student = f"def look(cache):\n    return cache._server.of_judge(cache._number, {name!r})"
    result = ask(student, "look(KVCache(1, 2, 8, 3))")
    assert result["error"][0] == "AttributeError"


def test_a_complaint_stands_although_the_students_code_swallows_it(ask):
    trusted = SETUP + (
        "from gqa_lib.learn.exercises.exercise import Complaint\n"
        "class Strict(KVCache):\n"
        "    def append(self, k, v):\n        raise Complaint('not so')\n"
    )
    student = "def use(c):\n    try:\n        c.append(1, 2)\n    except BaseException: pass"
    assert ask(student, "use(Strict(1, 2, 8, 3))", trusted)["error"] == ["Complaint", "not so"]


def test_what_cannot_be_passed_on_is_the_tests_fault_and_says_so(ask):
    error = ask("def f(x): return x", "f(object())")["error"]
    assert error[0] == "TypeError"
    assert "arguments go by value" in error[1]


def test_a_call_that_does_not_return_is_stopped(ask):
    student = "import threading\ndef waits():\n    threading.Event().wait(600)"
    result = ask(student, "try:\n    waits()\nexcept Exception:\n    pass", time_s=0.3)
    assert result["stopped"] == "time limit"
    assert result["error"] == ["Stopped", "Your code was stopped: time limit."]


def test_a_report_of_huge_numbers_is_only_a_report():
    from grading.safe.reports import seen_of

    told = {"settings": [], "mixed": "", "left_behind": False, "operation": "x" * 10**6}
    seen = seen_of(told | {"copied": 10**4000, "largest": -(10**4000)})
    assert 0 <= seen.largest < seen.copied < 2**63
    assert len(seen.operation) <= 80
