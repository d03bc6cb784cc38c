"""Plain code: harmless parts of libraries are there, and lead no further."""

import pytest
from test_plain import names_of

IMPORTS = "import numpy as np, operator, os, sys, time, typing, warnings\n"


@pytest.mark.parametrize(
    "expression",
    [
        "torch.__version__ >= '2'",
        "np.__version__ > '1'",
        "torch.masked.softmax(torch.ones(2), -1).sum() == 1",
        "torch.autograd.set_detect_anomaly(False) is not None",
        "torch.profiler.record_function('a').name == 'a'",
        "not torch.jit.is_scripting()",
        "torch.jit.script(lambda: True)()",
        "torch.compile(lambda: True)()",
        "torch.compile(backend='eager')(lambda: True)()",
        "torch.backends.cudnn.deterministic in (True, False)",
        "callable(torch.cuda.synchronize)",
        "callable(torch.cuda.amp.autocast)",
        "os.path.join('a', 'b') == 'a' + os.sep + 'b'",
        "len(sys.platform) > 0",
        "len(time.strftime('%H:%M')) == 5",
        "np.testing.assert_array_equal([1], [1]) is None",
        "np.random.default_rng(0).normal(size=2).shape == (2,)",
        "np.random.rand(2).shape == (2,)",
        "operator.attrgetter('shape')(torch.ones(1)) == (1,)",
        "operator.methodcaller('softmax', -1)(torch.ones(1)) == 1",
        "typing.get_args(typing.Literal['a', 'b']) == ('a', 'b')",
    ],
)
def test_it_is_there(expression):
    assert names_of(f"{IMPORTS}def answer(): return {expression}").get("answer")()


def test_warnings_can_be_quiet_for_a_while():
    body = "    with warnings.catch_warnings(record=True) as said:\n        warnings.warn('x')\n"
    assert names_of(f"{IMPORTS}def answer():\n{body}    return said").get("answer")() is not None


@pytest.mark.parametrize(
    "expression",
    [
        "operator.attrgetter('__class__')",
        "operator.attrgetter('shape._values')",
        "operator.attrgetter('storage')",
        "operator.methodcaller('format')",
        "operator.methodcaller(type('S', (str,), {})('x'))",
        "np.random.default_rng(0).bit_generator",
        "np.random.default_rng(object())",
        "np.random.mtrand",
        "warnings.sys",
        "torch.masked.MaskedTensor",
        "torch.autograd.Function",
        "torch.jit.load",
        "torch.profiler.profile",
        "os.path.exists('/')",
        "os.path.os",
        "sys.modules",
        "typing.get_args(typing.List['print()'])",
    ],
)
def test_it_leads_no_further(expression):
    with pytest.raises((AttributeError, TypeError)):
        names_of(f"{IMPORTS}def answer(): return {expression}").get("answer")()
