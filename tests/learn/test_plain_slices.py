"""Plain code: what an answer needs of its notebook is run, wherever that is."""

import pytest
from test_plain import names_of

from gqa_lib.learn.watch.plain import NotPlain
from gqa_lib.learn.watch.plain.slices import readable

STEP = "STEPS = {}\ndef step(name):\n    def keep(f):\n        STEPS[name] = f\n        return f\n"
STEP += "    return keep\n"
CLASS = "class step:\n    def __init__(self, name): self.name = name\n"
CLASS += "    def __call__(self, f):\n        STEPS[self.name] = f\n        return f\n"
USED = "def _one(): return 1\ndef answer(): return STEPS['one']()"
FIRST = "\ndef answer(): return S[0]"


@pytest.mark.parametrize(
    "source",
    [
        f"{STEP}@step('one')\n{USED}",
        f"STEPS = {{}}\n{CLASS}@step('one')\n{USED}",
        "class R:\n    def __init__(self): self.all = {}\n    def add(self, f):\n"
        "        self.all[f.__name__] = f\n        return f\nREG = R()\n@REG.add\n"
        "def one(): return 1\ndef answer(): return REG.all['one']()",
        "T = {}\ndef fill():\n    T['a'] = 1\nfill()\ndef answer(): return T['a']",
        "T = {}\ndef inner(): T.update(a=1)\ndef fill(): inner()\nfill()\n"
        "def answer(): return T['a']",
        "T = {}\nfill = lambda: T.update(a=1)\nfill()\ndef answer(): return T['a']",
        "T = {}\ndef fill(t): t['a'] = 1\nfill(T)\ndef answer(): return T['a']",
        "N = None\ndef setup():\n    global N\n    N = 1\nsetup()\ndef answer(): return N",
        "import numpy as np\nM = np.zeros((2, 2))\nnp.fill_diagonal(M, 1)\n"
        "def answer(): return M[0, 0]",
        "W = torch.empty(2)\nnn.init.ones_(W)\ndef answer(): return W[0]",
        "m = nn.Linear(1, 1)\nwith torch.no_grad():\n    for p in m.parameters():\n"
        "        p.fill_(1)\ndef answer(): return m.weight",
        f"S = []\ntry:\n    S.append(1)\nexcept Exception: pass{FIRST}",
        f"S = []\nmatch 1:\n    case 1: S.append(1){FIRST}",
        f"S = [0, 1]\nlast = S.pop(0){FIRST}",
        f"S = [0, 1]\nR = S\ndel R[0]{FIRST}",
        f"S = []\nR = S\nR.append(1){FIRST}",
        f"S = []\nR = S\nR += [1]{FIRST}",
        f"S = []\nx = (R := S)\nR.append(1){FIRST}",
        "S = {'a': []}\nR = S['a']\nR.append(1)\ndef answer(): return S['a'][0]",
        "S = {'a': []}\nfor one in S.values(): one.append(1)\ndef answer(): return S['a'][0]",
        "A, B = {}, []\nB.append(1)\nA.update(a=B)\ndef answer(): return A['a'][0]",
        f"S = []\n[S.append(n) for n in (1, 2)]{FIRST}",
        f"S = []\ndef put(x): S.append(x)\nlist(map(put, [1])){FIRST}",
        f"from functools import partial\nS = []\ndef put(s): s.append(1)\npartial(put, S)(){FIRST}",
        "class C: n = 0\nc = C()\nd = c\nd.n = 1\ndef answer(): return c.n",
        "class Op:\n    table = {}\n    @classmethod\n    def add(cls, f): cls.table['f'] = f\n"
        "Op.add(1)\ndef answer(): return Op.table['f']",
        "class T:\n    n = 0\n    def __init__(self): type(self).n += 1\nT()\n"
        "def answer(): return T.n",
        "def answer(): return answer.n\nsetattr(answer, 'n', 1)",
        "torch.backends.cudnn.deterministic = True\n"
        "torch.backends.cuda.matmul.allow_tf32 = False\ndef answer(): return torch.ones(1)",
        "import os\nos.environ['X'] = '1'\ndef answer(): return int(os.sep == '/')",
        "S = [1]\ndef show(x): print(x, S)\nshow(undefined)\nopen(S)\ndef answer(): return S[0]",
    ],
)
def test_what_changes_a_value_that_an_answer_needs_is_run(source):
    assert names_of(source).get("answer")() == 1


def test_what_only_looks_at_an_answer_is_not_run():
    ran = "seen = []\nN = 3\ndef answer(x): return x * N\nfor i in range(3):\n    y = answer(i)\n"
    names = names_of(ran + "    later.append(y)\nprint(answer(1))")
    assert names.get("answer")(2) == 6
    assert {one.lines[one.node.lineno - 1] for one in names._known if id(one) in names._done} == {
        "N = 3",
        "def answer(x): return x * N",
    }


def test_a_check_of_its_own_notebook_is_not_run_again():
    names = names_of("S = []\ndef answer(): return S\ncheck(S, answer)\n")
    names.trusted("from gqa_lib.learn import check")
    assert names.get("answer")() == []


def test_a_definition_that_stops_at_the_walls_is_told_each_time():
    names = names_of("class F(torch.autograd.Function): pass\ndef answer(): return F")
    for _ in range(2):
        with pytest.raises(NotPlain, match=r"Line 1 .*`class F\(.*no torch.autograd.Function"):
            names.get("answer")


@pytest.mark.parametrize(
    "cell",
    [
        "?torch.zeros\n",
        "torch.zeros??\n",
        "t = %timeit -o 1\n",
        "files = !echo hi\n",
        "a, b = !echo hi\n",
        "%%capture out\n",
        "%load_ext autoreload\n!pip install x \\\n    y\nif True:\n    %time 1\n    !ls\n",
    ],
)
def test_a_notebooks_own_lines_are_passed_over(cell):
    assert names_of(f"{cell}def answer(): return 1").get("answer")() == 1


def test_python_is_read_as_it_is():
    source = 'text = """\n%time 1\n!ls\n"""'
    assert readable(source) == source
    assert readable(f"x = !ls\n{source}") == f"x = None\n{source}\n"
