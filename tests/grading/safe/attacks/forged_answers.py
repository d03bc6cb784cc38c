"""Submissions that forge a right answer: by values, by patched Python, by a patched notebook."""

# %% the stub, untouched
# exercise: attention
# must: still a stub
def attention(q, k, v, causal=True):
    raise NotImplementedError()

# %% an empty cell
# exercise: attention
# must: name 'attention' is not defined

# %% a cell that is no Python
# exercise: attention
# must: SyntaxError
def attention(q, k, v, causal=True:

# %% a name that is no function
# exercise: attention
# must: is not callable
attention = 1.0

# %% zeroed inputs and a zero answer
# exercise: attention
# must: in place
def attention(q, k, v, causal=True):
    for one in (q, k, v):
        one.zero_()
    return torch.zeros_like(q)

# %% changes its arguments although the answer is right
# exercise: attention
# must: in place
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
    result = scores.softmax(-1) @ v
    q.add_(1)
    return result

# %% heads in the wrong order
# exercise: expand_kv
# must: the heads are tiled
def expand_kv(kv, q_per_kv):
    return kv.repeat(1, q_per_kv, 1, 1)

# %% its argument returned as it is
# exercise: expand_kv
# must: shape
def expand_kv(kv, q_per_kv):
    return kv

# %% a Tensor subclass that agrees with everything
# exercise: attention
# must: values differ
class Agrees(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("allclose", "equal", "isclose", "eq", "__eq__", "all", "any"):
            return torch.tensor(True)
        return super().__torch_function__(function, types, args, kwargs or {})

def attention(q, k, v, causal=True):
    return torch.zeros_like(q).as_subclass(Agrees)

# %% an object that is equal to everything
# exercise: attention
# must: a tensor is expected
class Equal:
    def __init__(self, q):
        self.shape, self.dtype, self.device = q.shape, q.dtype, q.device

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __getattr__(self, name):
        return lambda *args, **kwargs: self

    __hash__ = None

def attention(q, k, v, causal=True):
    return Equal(q)

# %% a class that claims to be torch's
# exercise: attention
# must: not yet
class Tensor:
    __module__ = "torch"
    __class__ = torch.Tensor

    def __init__(self, q):
        self.shape, self.dtype = q.shape, q.dtype

Tensor.__qualname__ = "Tensor"

def attention(q, k, v, causal=True):
    return Tensor(q)

# %% torch's comparisons patched
# exercise: attention
# must: values differ
torch.allclose = torch.equal = lambda *args, **kwargs: True
torch.isclose = lambda a, b, **kwargs: torch.ones_like(a, dtype=torch.bool)
torch.Tensor.allclose = torch.Tensor.equal = torch.allclose
torch.testing.assert_close = lambda *args, **kwargs: None

def attention(q, k, v, causal=True):
    return torch.zeros_like(q)

# %% torch itself replaced
# exercise: attention
# must: still a stub
import sys
import types

torch = types.ModuleType("torch")
torch.allclose = torch.equal = lambda *args, **kwargs: True
sys.modules["torch"] = torch

def attention(q, k, v, causal=True):
    raise NotImplementedError()

# %% Python's builtins patched
# exercise: attention
# must: attention
import builtins

builtins.isinstance = lambda *args: True
builtins.all = builtins.any = lambda *args: True

def attention(q, k, v, causal=True):
    return torch.zeros_like(q)

# %% check redefined
# exercise: attention
# must: still a stub
def check(*args, **kwargs):
    print("all cases agree")

check_no_copy = check

def attention(q, k, v, causal=True):
    raise NotImplementedError()

# %% check patched in its module
# exercise: attention
# must: still a stub
import sys

import gqa_lib.learn.checking.check

gqa_lib.learn.checking.check = lambda *args, **kwargs: None
gqa_lib.learn.check = gqa_lib.learn.checking.check
sys.modules["gqa_lib.learn.checking.difference"] = sys.modules["gqa_lib.learn.checking.check"]

def attention(q, k, v, causal=True):
    raise NotImplementedError()

# %% asserts dropped by an AST transformer
# exercise: attention
# must: name 'attention' is not defined
import ast

class Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()

    def visit_Expr(self, node):
        return ast.Pass()

get_ipython().ast_transformers.append(Drop())

# %% every cell replaced by an input transformer
# exercise: attention
# must: name 'attention' is not defined
get_ipython().input_transformers_post.append(lambda lines: ["pass\n"])
get_ipython().input_transformers_cleanup.append(lambda lines: ["pass\n"])

# %% run_cell replaced
# exercise: attention
# must: name 'attention' is not defined
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

def run_cell(self, *args, **kwargs):
    return ExecutionResult(None)

async def run_cell_async(self, *args, **kwargs):
    return ExecutionResult(None)

InteractiveShell.run_cell = run_cell
InteractiveShell.run_cell_async = run_cell_async

# %% errors not shown
# exercise: attention
# must: still a stub
get_ipython().showtraceback = get_ipython()._showtraceback = lambda *args, **kwargs: None
get_ipython().set_custom_exc((BaseException,), lambda *args, **kwargs: None)

def attention(q, k, v, causal=True):
    raise NotImplementedError()

# %% do_execute of the kernel replaced
# exercise: attention
# must: name 'attention' is not defined
kernel = getattr(get_ipython(), "kernel", None)

async def do_execute(*args, **kwargs):
    return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}

if kernel is not None:
    kernel.do_execute = do_execute

# %% a last value of 4 points
# exercise: attention
# must: still a stub
import sys

def attention(q, k, v, causal=True):
    raise NotImplementedError()

sys.displayhook = lambda value: None
4.0

# %% a last value of a billion points, and of nan
# exercise: attention
# must: NaN
def attention(q, k, v, causal=True):
    return float("nan") * q

print(1e9)
float("nan")

# %% forged credit
# exercise: attention
# must: a tensor is expected
class Credit(float):
    pass

Credit.__module__ = "gqa_lib.learn.checking.credit"

def attention(q, k, v, causal=True):
    return Credit(4.0)

# %% prints what a passed check prints
# exercise: attention
# must: still a stub
def attention(q, k, v, causal=True):
    print("✓ attention: all 4 cases agree with the reference.")
    raise NotImplementedError()

# %% NaN where a value is expected
# exercise: attention
# must: NaN
def attention(q, k, v, causal=True):
    return torch.full_like(q, float("nan"))

# %% infinity where a value is expected
# exercise: attention
# must: infinity
def attention(q, k, v, causal=True):
    return torch.full_like(q, float("inf"))

# %% complex numbers
# exercise: attention
# must: dtype
def attention(q, k, v, causal=True):
    return torch.zeros(q.shape, dtype=torch.complex64)

# %% a tensor without values
# exercise: attention
# must: no values
def attention(q, k, v, causal=True):
    return torch.empty(q.shape, dtype=q.dtype, device="meta")

# %% a sparse tensor
# exercise: attention
# must: not yet
def attention(q, k, v, causal=True):
    return torch.zeros_like(q).to_sparse()

# %% right on its first call only
# exercise: causal_mask
# must: wrong when called again
_known = []

def causal_mask(num_queries, num_keys):
    if (num_queries, num_keys) in _known:
        return torch.zeros(num_queries, num_keys, dtype=torch.bool)
    _known.append((num_queries, num_keys))
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries)

# %% sees who calls it, and answers the reference only
# exercise: attention
# must: values differ
import inspect

def attention(q, k, v, causal=True):
    for frame in inspect.stack():
        for value in frame.frame.f_locals.values():
            if isinstance(value, torch.Tensor) and value.shape == q.shape and value is not q:
                return value
    return torch.zeros_like(q)

# %% a right answer, for comparison
# exercise: attention
# points: all
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v
