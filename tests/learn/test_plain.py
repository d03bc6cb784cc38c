"""Plain code: what may run where a watch is to be believed, and what may not."""

import linecache

import pytest
import torch

from gqa_lib.learn import check
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.watch import Watch
from gqa_lib.learn.watch.plain import NotPlain, PlainNames

SETUP = "import math\nimport torch\nfrom torch import nn\n"
TRITON = "import triton\nfrom triton import language as tl\n"


def names_of(*answers: str, setup: str = SETUP) -> PlainNames:
    names = PlainNames()
    names.trusted(setup)
    for answer in answers:
        names.answer(answer)
    return names


def value(source: str):
    """Return what `answer` is, or what calling it gives."""
    got = names_of(source).get("answer")
    return got() if callable(got) else got


@pytest.mark.parametrize(
    "source",
    [
        "import threading\ndef answer(): return threading",
        "def answer():\n    import shutil\n    return shutil",
        "from os import fork as answer",
        "answer = __import__('math')",
        "answer = dict(__array_interface__=1)",
        "from math import __dict__ as answer",
        "import math as __builtins__\nanswer = __builtins__",
        "class answer:\n    match print:\n        case __reduce_ex__: pass",
        "def answer():\n    global __builtins__\n    return 1",
        "class answer:\n    try: pass\n    except E as __getattr__: pass",
        "from gqa_lib.learn import watch\ndef answer(): return watch",
        "from functools import update_wrapper\ndef answer(): return update_wrapper",
        "from shutil import *\nimport shutil\ndef answer(): return shutil",
        "from . import x\nanswer = x",
        "import torch.utils\nanswer = torch.utils",
        "def answer(): return open('/etc/passwd')",
        "def answer(): return eval('1')",
        "answer = globals()",
        "answer = torch.__dict__",
        "answer = (lambda: 0).__globals__",
        "answer = torch.Tensor.mro()",
        "answer = torch.zeros(2).untyped_storage()",
        "answer = torch.Tensor._make_subclass",
        "answer = [].__class__.__base__",
        "class answer(metaclass=print): pass",
        "from IPython.display import display_html as answer",
        "from IPython import get_ipython as answer",
        "class answer:\n    def __getattribute__(self, name): return 1",
        "class answer:\n    def __reduce__(self): return print, ()",
        "class answer:\n    __module__ = 'torch'",
        "async def answer(): pass",
        "match 1:\n    case int(__dict__=d): answer = d",
        "match '{0.__class__}':\n    case str(format=f): answer = f(1)",
        "from gqa_lib.moved import import_module as answer",
        "from gqa_lib.arguments import Path as answer",
        "from gqa_lib.configs.shape import dataclass as answer",
        "from collections import UserString as answer",
        "from io import BytesIO as answer",
        "from numpy import recarray as answer",
        "answer = torch.zeros(2).register_hook(print)",
        "def answer(:",
    ],
)
def test_what_is_not_plain_is_refused(source):
    with pytest.raises(NotPlain, match=r"only plain code can be watched"):
        names_of(source).get("answer")


@pytest.mark.parametrize(
    "source",
    [
        "answer = torch.hub",
        "answer = torch.nn.Module.forward.torch",
        "answer = math.sys",
        "answer = getattr(torch, '__di' + 'ct__')",
        "class Name(str):\n    def startswith(self, *x): return False\n"
        "answer = getattr(torch, Name('__dict__'))",
        "answer = torch.Tensor\nanswer.clone = print",
        "def put(self): self.clone = print\nanswer = put(torch.Tensor)",
        "torch.zeros = print\nanswer = torch.zeros(1)",
        "answer = torch.zeros(1)\nanswer.clone = print",
        "class answer(torch.Tensor): pass",
        "answer = type(int)('X', (), {})",
        "setattr(torch.Tensor, 'clone', print)\nanswer = setattr(math, 'pi', 3)",
        "answer = __import__('os')",
        "for torch.Tensor.clone in (print,): answer = 1",
        "import os\nanswer = os.system",
        "from types import SimpleNamespace\nanswer = SimpleNamespace(**{'__reduce_ex__': print})",
        "answer = '{0.__class__}'.format(1)",
        "answer = str.format('{0.__class__}', 1)",
        "answer = getattr('{0.__class__}', 'format')(1)",
        "answer = '{:{0.__class__}}'.format(1)",
        "answer = '{a._b}'.format_map({'a': 1})",
        "answer = torch.ExcludeDispatchKeyGuard",
        "answer = torch.PyTorchFileReader",
        "import typing\nanswer = typing.get_args(typing.List['print()'])",
        "from typing import List\nanswer = List[int]._name",
        "import typing\nanswer = typing.TypedDict('T', {'x, print()': int})",
        "from dataclasses import dataclass\nanswer = dataclass(torch.nn.Linear)",
        "import enum\nanswer = enum.Enum('E', {'__array_interface__': 1})",
        "import abc\nanswer = abc.ABCMeta('E', (), {'__array_interface__': 1})",
        "class answer:\n    storage = 1\nanswer = torch.zeros(1).storage",
        "class B: _values = 1\nanswer = torch.Tensor._values",
        "class answer(nn.Module):\n    def _call_impl(self, x): return super()._call_impl(x)\n"
        "answer = answer()(1)",
        "def f(): pass\nfrom functools import wraps\nanswer = wraps(f)(torch.nn.functional.gelu)",
        "from functools import partial\nfrom types import SimpleNamespace\n"
        "p = partial(SimpleNamespace)\np.keywords['__reduce_ex__'] = 1\nanswer = p().x",
        "answer = nn.Linear(2, 2).compile(backend=print)",
        "torch.nn.functional.gelu.x = 1\nanswer = torch.nn.functional.gelu",
        "answer = [].__class__.__class__([])('X', (), {})",
        "class K(type): pass\nanswer = K",
        "del torch.Tensor.clone\nanswer = getattr(torch.Tensor, '__dict__')",
        "class K(type[int]): pass\nanswer = K",
        "answer = type[int]('X', (), {'__array_interface__': 1})",
        "import typing\nclass K(typing.Type): pass\nanswer = K",
        "import typing\nanswer = typing.get_args(typing.Type[typing.Type])",
        "import typing\nclass K(typing.Annotated[torch.Tensor, 0]): pass\nanswer = K",
        "class F(nn.Module):\n    def forward(self, bases): return (torch.Tensor,)\n"
        "def answer():\n    m = nn.Module()\n    m.add_module('__mro_entries__', F())\n"
        "    class K(m): pass\n    return K",
        "from typing import Protocol\nfrom dataclasses import dataclass\n@dataclass\n"
        "class P(Protocol):\n    gi_frame: int\nanswer = P",
        "p = nn.ParameterDict()\np['__array_interface__'] = {}\nanswer = p",
        "def answer(): return nn.ParameterDict({'__class__': 1})",
        "class L(nn.ParameterList):\n    def _get_abs_string_index(self, n): return '__x__'\n"
        "def answer(): L().append({})",
        "class D(dict, nn.Module): pass\nanswer = D",
        "import numpy as np\nA = np.array([8], dtype='u8')\n"
        "def answer(): return np.ndarray((1,), dtype=object, buffer=A)",
        "import numpy as np\nA = np.array([8], dtype='u8')\n"
        "def answer(): return type(A)((1,), dtype=object, buffer=A)",
        "import numpy as np\nclass B(np.ndarray): pass\nA = np.array([8], dtype='u8')\n"
        "def answer(): return B((1,), [('a', object)], A)",
        "import numpy as np\ndef answer(): return np.ndarray((1,), 'u8', np.array([None]))",
        "import numpy as np\nanswer = np.zeros(9).resize",
        "import numpy as np\nanswer = np.random.default_rng(0).bit_generator.cffi",
        "def answer(): object.__setattr__(torch.Tensor, 'clone', print)",
        "put = object.__setattr__\ndef answer(): put(math, 'pi', 3)",
        "class A: pass\ndef answer(): object.__setattr__(A(), '__class__', 3)",
        "import operator\ndef answer(): return operator.attrgetter('real.__class__')(1)",
        "import operator\ndef answer(): return operator.methodcaller('format', 1)('{0.real}')",
        "import IPython.display\nanswer = IPython.extract_module_locals",
    ],
)
def test_what_only_shows_when_it_runs_is_refused_then(source):
    clone, zeros = torch.Tensor.clone, torch.zeros
    with pytest.raises((AttributeError, TypeError, ImportError, NotPlain)):
        value(source)
    assert (torch.Tensor.clone, torch.zeros) == (clone, zeros)


@pytest.mark.parametrize(
    "source",
    [
        "def answer(): return nn.ParameterDict()['__dict__']",
        "def answer(): return nn.ParameterDict().copy()['_parameters']",
        "def answer(): return (nn.ParameterDict() | nn.ParameterDict())['_parameters']",
        "class N(str): pass\ndef answer(): return nn.ParameterDict()[N('__dict__')]",
        "class L(nn.ParameterList):\n    def _get_abs_string_index(self, n): return '__dict__'\n"
        "def answer(): return L()[0]",
    ],
)
def test_a_container_gives_only_what_was_put_into_it(source):
    answer = names_of(source).get("answer")
    with pytest.raises(LookupError):
        answer()


@pytest.mark.parametrize(
    "table",
    [
        "class M(nn.Module): pass\nm = M()\nm._parameters['__array_interface__'] = {}\n",
        "class M(nn.ParameterList): pass\nm = M()\nm._modules['__array_interface__'] = {}\n",
    ],
)
def test_python_finds_no_ways_of_treating_a_module_in_its_tables(table):
    made = names_of(table).get("m")
    assert made._parameters or made._modules
    assert not hasattr(made, "__array_interface__")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("import math\ndef answer(): return math.sqrt(4)", 2),
        ("import torch.nn.functional as F\ndef answer(): return F.relu(torch.ones(1)).item()", 1),
        ("from torch.nn import functional\nanswer = functional.relu(torch.ones(1)).item()", 1),
        ("import numpy as np\ndef answer(): return float(np.sqrt(4.0))", 2),
        ("def helper(): return 3\ndef answer(): return helper()", 3),
        ("SIZE = 4\nSIZE += 1\ndef answer(): return SIZE", 5),
        ("table = {}\ntable['a'] = 6\ndef answer(): return table['a']", 6),
        (
            "class Box:\n    def __init__(self): self._a = self.__b = 7\n"
            "    def b(self): return self.__b\ndef answer(): return Box().b()",
            7,
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 8\n"
            "def answer(): return P().x",
            8,
        ),
        (
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        for n in 'ab': setattr(self, n, nn.Linear(9, 9))\n"
            "def answer(): return M().a.in_features",
            9,
        ),
        ("%time 1\n!true\nimport threading\nprint(open)\ndef answer(): return 10\nanswer?", 10),
        (
            "try:\n    import einops as e\nexcept ImportError:\n    e = 0\ndef answer(): return 11",
            11,
        ),
        ("from math import *\ndef answer(): return round(pi)", 3),
        ("def answer(): return 0\ndef answer(): return 12", 12),
        ("def answer():\n    open = 13\n    return open", 13),
        ("from __future__ import annotations\ndef answer(x: No = 14): return x", 14),
        ("NEG = torch.tensor(15.0)\ndef answer(): return NEG.item()", 15),
        ("def answer(): return float(torch.as_tensor([16]) + torch.Tensor([0.0]))", 16),
        ("import numpy as np\ndef answer(): return float(np.ones(17).sum().clip(0, 20))", 17),
        ("import numpy as np\ndef answer(): return f'{np.ones(1)}'", "[1.]"),
        (
            "class Box:\n    def __init__(self):\n        self._values = self.storage = 1\n"
            "        self._version = self.handle = 2\n"
            "    def register(self, x): return self._apply(x)\n    def _apply(self, x): return x\n"
            "def answer():\n    b = Box()\n"
            "    return b.register(b._values + b.storage + b._version + b.handle)",
            6,
        ),
        (
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self._values = 3\n    def _get_name(self): return 'x'\n"
            "class N(M):\n    def _get_name(self): return super()._get_name() + 'y'\n"
            "def answer(): return repr(N())",
            "xy()",
        ),
        ("%%time\n?torch.matmul\n??torch\ndef answer(): return 11", 11),
        ("n = !nproc\nbest, x = %timeit -o 1\ndef answer(): return 12", 12),
        ("def answer():\n    display(1, clear=True)\n    return 13", 13),
        ("from IPython.display import display\ndef answer():\n    return display(1) or 14", 14),
        ("def answer():\n    return ('%d and %d'\n        % (1, 2))", "1 and 2"),
        ("%time\ndef answer():\n    return ('%d and %d'\n        % (1, 2))", "1 and 2"),
        ('def answer():\n    """Two.\n\n    !heads\n    """\n    return 2', 2),
        ("class Box:\n    def n(self): return self.__class__.__name__\nanswer = Box().n()", "Box"),
        ("D = 2.0\nHALF = 1 / D\ndel D\ndef answer(): return HALF", 0.5),
        ("x = 1\nA = x\nx = 2\ndef answer(): return A + x", 3),
        ("A = [n + x for x in (1,) for n in (1,)][0]\nx = 5\ndef answer(): return A + x", 7),
        ("C = 0\ndef answer():\n    global C\n    C += 1\n    return C", 1),
        ("S = []\nS.append(0.5)\ndef answer(): return S[0]", 0.5),
        ("S = []\nfor n in range(3): S.append(n)\nopen(S.x)\ndef answer(): return S[2]", 2),
        ("import os\nS = [1]\nopen(S.pop())\nprint(nowhere.x(S.pop()))\nanswer = S[0]", 1),
        ("def answer(): answer.calls += 1; return answer.calls\nanswer.calls = 0", 1),
        (
            "from types import SimpleNamespace\ndef answer():\n    s = SimpleNamespace(a=1)\n"
            "    s._b = 2\n    return s.a + s._b",
            3,
        ),
        ("def f(kind: type[int] | type, x): return isinstance(3, type)\nanswer = f(int, 1)", False),
        ("answer = isinstance(int, type) and type(3) is int", True),
        ("DEVICE = torch.cuda.is_available()\nanswer = 1", 1),
        ("def answer(): torch.testing.assert_close(torch.ones(1), torch.ones(1)); return 4", 4),
        (
            "import functools\ndef w(f):\n    @functools.wraps(f)\n    def inner(*a, **k): "
            "return f(*a, **k)\n    return inner\n@w\ndef answer(): return 5",
            5,
        ),
        (
            "import logging\nlog = logging.getLogger(__name__)\nlog.setLevel(logging.INFO)\n"
            "def answer(): log.info('x %d', 3); return 6",
            6,
        ),
        ("import os\nDEBUG = os.environ.get('DEBUG')\nanswer = bool(DEBUG)", False),
        (
            "from torch.func import vmap\n"
            "def answer(): return vmap(torch.exp)(torch.zeros(2)).sum()",
            2,
        ),
        ("import json\ndef answer(): return json.dumps({'a': 1})", '{"a": 1}'),
        (
            "try:\n    import no_such_package as e\nexcept ImportError:\n    e = None\n"
            "def answer(): return e",
            None,
        ),
        (
            "try:\n    from no_such.package import e\nexcept ImportError:\n    e = None\n"
            "def answer(): return e",
            None,
        ),
        (
            "def answer(): return '{0.shape} {n:{w}}'.format(torch.ones(1), n=1, w=2)",
            "torch.Size([1])  1",
        ),
        ("answer = ', '.join(map('{:.1f}'.format, (1, 2)))", "1.0, 2.0"),
        ("import re\nanswer = bool(re.compile('a').match('a'))", True),
        ("def f(**k): return k\nanswer = f(**{'a': 1}, b=2)['a']", 1),
        (
            "from enum import Enum, IntEnum, auto\nclass A(Enum):\n    X = auto()\n"
            "class B(IntEnum):\n    Y = 3\nanswer = B.Y + A.X.value + A(1).value",
            5,
        ),
        ("from typing import TypedDict\nclass T(TypedDict):\n    x: int\nanswer = T(x=2)['x']", 2),
        (
            "from typing import NamedTuple\nclass T(NamedTuple):\n    x: int\n"
            "answer = T(1)._replace(x=2).x",
            2,
        ),
        (
            "from abc import ABC, abstractmethod\nclass T(ABC):\n    @abstractmethod\n"
            "    def f(self): ...\nclass U(T):\n    def f(self): return 3\nanswer = U().f()",
            3,
        ),
        ("a, __ = 1, 2\nanswer = a + __", 3),
        ("from copy import deepcopy\nanswer = deepcopy([1])[0]", 1),
        (
            "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    d: int\n"
            "    def __post_init__(self): object.__setattr__(self, 'scale', self.d ** -0.5)\n"
            "answer = P(4).scale",
            0.5,
        ),
        (
            "def answer():\n    p = nn.ParameterDict({'a': nn.Parameter(torch.ones(1))})\n"
            "    p['b'] = torch.zeros(1)\n    del p['a']\n    q = p.copy() | p\n"
            "    return [*q], len(p), 'b' in q, q['b'].item(), [v.item() for v in q.values()]",
            (["b"], 1, True, 0, [0]),
        ),
        (
            "def answer():\n    p = nn.ParameterList([torch.ones(1), torch.zeros(1)])\n"
            "    return p[-1].item(), p[1:][0].item(), [one.item() for one in p]",
            (0, 0, [1, 0]),
        ),
        (
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.format = self.fields = self.resize = 1\n"
            "        self._buffers['n'] = torch.ones(2)\n        self.a = nn.Linear(3, 1)\n"
            "def answer():\n    m = M()\n"
            "    return m.n.numel() + m.a.in_features + m.fields + m.resize, hasattr(m, 'b')",
            (7, False),
        ),
        (
            "import numpy as np\ndef answer(x: np.ndarray | None = np.ones(2)):\n"
            "    made = np.ndarray((2, 3))\n    class B(np.ndarray): pass\n"
            "    return (isinstance(x, np.ndarray), type(x) is type(made) is np.ndarray,"
            " made.shape, isinstance(x, B), np.resize(x, 3).size, np.ndarray.sum(x))",
            (True, True, (2, 3), False, 3, 2),
        ),
        ("from typing import Literal, get_args\nanswer = get_args(Literal['a', 1])", ("a", 1)),
        (
            "import numpy as np\ndef answer(): return np.random.default_rng(0).normal(size=2).size",
            2,
        ),
        ("import numpy as np\ndef answer(): np.testing.assert_allclose(1, 1); return 2", 2),
        ("import os\nanswer = os.path.join('a', 'b')", "a/b"),
        ("import os\nos.environ['A'] = '1'\ndef answer(): return os.environ.get('A')", "1"),
        ("import sys, time\ndef answer(): return sys.platform[:0] + time.strftime('')", ""),
        ("def answer(): return torch.masked.softmax(torch.ones(2), -1).tolist()", [0.5, 0.5]),
        ("answer = torch.__version__ >= '1' and not torch.jit.is_scripting()", True),
        ("torch.backends.cuda.matmul.allow_tf32 = False\ndef answer(): return torch.e > 2", True),
        (
            "import torch.backends.cudnn as cudnn\ncudnn.benchmark = True\n"
            "def answer(): return cudnn.benchmark",
            True,
        ),
        (
            "def answer():\n    with torch.profiler.record_function('a'), "
            "torch.autograd.set_detect_anomaly(False), torch.cuda.amp.autocast(enabled=False):\n"
            "        return 3",
            3,
        ),
        (
            "import io, contextlib\ndef answer():\n"
            "    with contextlib.redirect_stdout(io.StringIO()) as f: f.write('a')\n"
            "    return f.getvalue()",
            "a",
        ),
        (
            "import warnings\ndef answer():\n    with warnings.catch_warnings():\n"
            "        warnings.simplefilter('ignore')\n    return 4",
            4,
        ),
        ("import operator\nanswer = operator.attrgetter('real.imag')(1)", 0),
        ("import operator\nanswer = operator.methodcaller('split', 'b')('abc')", ["a", "c"]),
        ("from datetime import datetime\nanswer = datetime(2020, 1, 2).day", 2),
        ("from pprint import pformat\nanswer = pformat({'a': 1})", "{'a': 1}"),
        ("import hashlib\nanswer = hashlib.md5(b'x').digest_size", 16),
        ("import platform, gc\ndef answer(): gc.collect(); return platform.system()[:0]", ""),
        (
            "import traceback\ndef answer():\n    try: 1 / 0\n"
            "    except ZeroDivisionError: return 'Zero' in traceback.format_exc()",
            True,
        ),
        ("from tqdm.auto import tqdm, trange\nanswer = [*tqdm([1, 2]), *trange(2)]", [1, 2, 0, 1]),
        ("from IPython.display import display, Markdown\nanswer = display(Markdown('a'))", None),
        ("import IPython\nanswer = IPython.display.display(1)", None),
    ],
)
def test_what_is_plain_runs(source, wanted):
    assert value(source) == wanted


def test_what_numpy_says_of_a_record_is_a_copy():
    source = "import numpy as np\nR = np.dtype([('a', 'i8')])\nfields = R.fields\n"
    names = names_of(source + "fields['a'] = (np.dtype('O'), 0)\nanswer = [fields, R][1]")
    assert names.get("answer").fields["a"][0] == "i8"


def test_only_what_a_name_needs_is_run():
    names = names_of("ran = []\ndef f(): return 1\nran.append(1)\nboom = 1 / 0\n")
    assert names.get("f")() == 1
    with pytest.raises(ZeroDivisionError):
        names.get("boom")


def test_a_later_cell_replaces_what_an_earlier_one_defined():
    names = names_of("def f(): return 1")
    assert names.get("f")() == 1
    names.answer("def f(): return 2")
    assert names.get("f")() == 2


KERNEL = """
@triton.jit
def copy(x, out, length, KEYS: tl.constexpr):
    n = tl.arange(0, KEYS)
    {line}
    tl.store(out + n, tl.load(x + n, mask=n < length, other=0.0), mask=n < length)
"""


@pytest.fixture
def interpreted(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def test_a_plain_kernel_is_launched(interpreted):
    names = names_of(
        "SIZE = tl.constexpr(4)" + KERNEL.format(line="n += SIZE - SIZE"), setup=TRITON
    )
    x, out = torch.arange(4.0), torch.zeros(4)
    kernel = names.get("copy", kernel=True)
    with Watch(kernels=True, given=[x, out]) as watch:
        kernel[(1,)](x, out, 3, KEYS=4)
    assert out.tolist() == [0, 1, 2, 0]
    assert watch.seen(None).reads == [3, 0]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("n.handle.data.fill(0)", "nothing that a tile has"),
        ("y = tl.core", "there is no tl.core"),
        ("y = tl", "used as tl.name"),
        ("tl = n", "Triton stays what it is"),
        ("y = open(n)", "one of Python's"),
        ("y = torch", "neither its own nor a kernel's"),
        ("y = torch.zeros(1)", "nothing that a tile has"),
        ("import torch", "Triton has no such statement"),
        ("y = [i for i in n]", "Triton has no such statement"),
        ("y = lambda: n", "Triton has no such statement"),
        ("y = tl.inline_asm_elementwise(n)", "there is no"),
    ],
)
def test_a_kernel_with_more_in_it_is_refused(line, why, interpreted):
    names = names_of(KERNEL.format(line=line), setup="import torch\n" + TRITON)
    with pytest.raises(NotPlain, match=why):
        names.get("copy", kernel=True)


@pytest.mark.parametrize(
    "source",
    [
        "def copy(x): pass",
        "class copy:\n    def __class_getitem__(cls, grid): return print",
        "copy = print",
        KERNEL.format(line="pass") + "copy = print",
        "import functools" + KERNEL.format(line="pass").replace("@triton.jit", "@functools.cache"),
        "class triton:\n    def jit(f): return print\n" + KERNEL.format(line="pass"),
    ],
)
def test_what_is_no_kernel_is_refused(source, interpreted):
    with pytest.raises(NotPlain):
        names_of(source, setup=TRITON).get("copy", kernel=True)


def run_in_a_notebook(source: str, name: str):
    """Return a name of a cell whose source can be looked up, as in a notebook."""
    file, names = f"<cell {hash(source)}>", {"__name__": "__main__", "torch": torch}
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)
    return names[name]


ATTENTION = """
def attention(q, k, v, causal=True):
    {line}
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v
"""


def test_a_notebook_says_what_is_not_plain_as_grading_does():
    check("attention", run_in_a_notebook(ATTENTION.format(line="pass"), "attention"))
    threads = ATTENTION.format(line="import threading")
    with pytest.raises(NotYet, match=r"(?s)Line 3 of\s+its cell, `import\s+threading`"):
        check("attention", run_in_a_notebook(threads, "attention"))


def test_torchs_own_attention_is_refused_where_its_steps_are_asked_for():
    mask = "torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)"
    mask = f"{mask}.tril(k.shape[2] - q.shape[2]) if causal else None"
    line = f"return torch.nn.functional.scaled_dot_product_attention(q, k, v, {mask})"
    with pytest.raises(NotYet, match=r"does all\s+of\s+it\s+in\s+one\s+call"):
        check("attention", run_in_a_notebook(ATTENTION.format(line=line), "attention"))


CALLED_BACK = (
    "class Step:\n    def __init__(self, do): self.do = do\n"
    "    def __index__(self): self.do(); return 0\n    __float__ = __index__\n"
    "def answer(q):\n    {call}\n    return q"
)


@pytest.mark.parametrize(
    "call",
    [
        "q[Step(lambda: 0)]",
        "q[0, Step(lambda: 0):]",
        "torch.tensor([Step(lambda: 0)])",
        "q.view([Step(lambda: 0)])",
        "q.sum(dim=Step(lambda: 0))",
        "F.triplet_margin_with_distance_loss(q, q, q, distance_function=lambda a, b: a - b)",
    ],
)
@pytest.mark.parametrize("watch", [{"whole": True}, {"made": True}, {"devices": True}])
def test_torch_is_given_no_code_to_call_while_it_is_watched(call, watch):
    lines = f"import torch.nn.functional as F\n{CALLED_BACK}".replace("{call}", call)
    answer = names_of(lines).get("answer")
    with pytest.raises(TypeError, match=r"would call while it is watched"), Watch(**watch):
        answer(torch.ones(2, 3))


def test_values_of_ones_own_classes_are_given_to_torch():
    answer = names_of(
        "from enum import IntEnum\nfrom typing import NamedTuple\n"
        "class Axis(IntEnum):\n    KEYS = 1\n"
        "class Shape(NamedTuple):\n    T: int\n    S: int\n"
        "def answer(q):\n    shape = Shape(*q.shape)\n"
        "    y = torch.zeros(shape) + q.view(shape).sum(Axis.KEYS, keepdim=True).to(float)\n"
        "    return y[[0, 1], ...] + torch.tensor([range(3), [1] * 3]) + q[q > 5].sum()"
    ).get("answer")
    with Watch(whole=True, made=True, devices=True):
        assert answer(torch.ones(2, 3)).tolist() == [[3, 4, 5], [4, 4, 4]]


def test_torchs_own_attention_is_seen_where_it_computes():
    with Watch(whole=True) as watch, torch._C.DisableTorchFunction():
        torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 2, 3, 4)] * 3)
    assert watch.seen(None).whole == "scaled_dot_product_attention"
