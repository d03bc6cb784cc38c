"""The one-step changes: each operator takes a place in a solution and yields what else could stand.

The families: operators, constants, comparisons, conditions, arguments (swapped, dropped), calls
(dropped, confused with a neighbour), names (a sibling instead), slices, statements (left out).
`wrappers` has the changes that are made to a function as a whole.
"""

import ast
from collections.abc import Iterator

from .places import Change, change, places

# fmt: off
_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv), ast.FloorDiv: (ast.Div, ast.Mod, ast.Mult),
    ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult, ast.Div), ast.MatMult: (),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq, ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}
_NEIGHBOURS = {
    "max": ("min",), "min": ("max",), "sum": ("mean",), "exp": ("exp2",), "log": ("log2",),
    "tril": ("triu",), "triu": ("tril",), "any": ("all",), "all": ("any",), "ceil": ("floor",),
    "cdiv": ("max",), "repeat_interleave": ("repeat",), "repeat": ("repeat_interleave",),
    "zeros": ("ones",), "ones": ("zeros",), "zeros_like": ("ones_like",), "maximum": ("minimum",),
    "minimum": ("maximum",), "cos": ("sin",), "sin": ("cos",), "reshape": ("view",),
    "float": ("half", "double"), "float32": ("float64", "float16"), "unsqueeze": ("squeeze",),
    "k": ("v",), "v": ("k",), "k_dim": ("v_dim",), "v_dim": ("k_dim",),
    "num_heads": ("num_kv_heads",), "num_kv_heads": ("num_heads",),
    "num_layers": ("num_heads",), "head_dim": ("num_kv_heads",),
    "flops_per_s": ("bandwidth_bytes_per_s",), "bandwidth_bytes_per_s": ("flops_per_s",),
    "q_proj": ("k_proj", "o_proj"), "k_proj": ("v_proj",), "v_proj": ("k_proj",),
    "o_proj": ("q_proj",), "tensor_split": ("chunk", "split"), "logaddexp": ("maximum",),
    "next_power_of_2": ("int",),
}
# fmt: on


def changes(source: str) -> Iterator[Change]:
    """Yield every one-step change of what a learner writes in a solution."""
    for node, parent, function in places(source):
        for operator in _BY_NODE.get(type(node), ()):
            yield from operator(node, parent, function)


def _arithmetic(node: ast.BinOp, *_) -> Iterator[Change]:
    for other in _OPERATORS.get(type(node.op), ()):
        yield change("operator", node, ast.BinOp(node.left, other(), node.right))
    if not isinstance(node.op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr):
        yield change("operands swapped", node, ast.BinOp(node.right, node.op, node.left))
    yield change("operand dropped", node, node.left)
    yield change("operand dropped", node, node.right)


def _sign(node: ast.UnaryOp, *_) -> Iterator[Change]:
    yield change("sign dropped", node, node.operand)
    value = getattr(node.operand, "value", None)
    if isinstance(node.op, ast.USub) and isinstance(value, int | float):
        yield from _numbers(node, -value)


def _augmented(node: ast.AugAssign, *_) -> Iterator[Change]:
    for other in _OPERATORS.get(type(node.op), ()):
        yield change("operator", node, ast.AugAssign(node.target, other(), node.value))
    yield change("operator", node, ast.Assign([node.target], node.value, lineno=node.lineno))


def _comparison(node: ast.Compare, *_) -> Iterator[Change]:
    for other in _COMPARISONS.get(type(node.ops[0]), ()):
        yield change("comparison", node, ast.Compare(node.left, [other()], node.comparators))


def _boolean(node: ast.BoolOp, *_) -> Iterator[Change]:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield change("and, or", node, ast.BoolOp(other, node.values))
    for value in node.values:
        yield change("operand dropped", node, value)


def _condition(node: ast.If | ast.IfExp | ast.While, *_) -> Iterator[Change]:
    yield change("condition", node.test, ast.UnaryOp(ast.Not(), node.test))
    yield change("condition", node.test, ast.Constant(True))
    yield change("condition", node.test, ast.Constant(False))


def _constant(node: ast.Constant, parent: ast.AST, *_) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield change("constant", node, ast.Constant(not value))
    elif isinstance(value, int | float) and not isinstance(parent, ast.UnaryOp):
        yield from _numbers(node, value)
    elif isinstance(value, str) and value != "-inf" and not isinstance(parent, ast.JoinedStr):
        yield change("text", node, repr(value + "_"))


def _numbers(node: ast.expr, value: float) -> Iterator[Change]:
    others = (
        value + 1,
        value - 1,
        -value,
        2 * value,
        *([value / 2] * isinstance(value, float)),
        0 * value,
    )
    for other in dict.fromkeys(others):
        if other != value and repr(other) != "-0.0":
            yield change("constant", node, repr(other))


def _infinity(node: ast.expr, *_) -> Iterator[Change]:
    if ast.unparse(node) in ("float('-inf')", "-torch.inf"):
        for finite in ("-1e30", "-1e4", "-100.0", "-50.0", "-10.0", "0.0"):
            yield change("finite for infinite", node, finite)


def _call(node: ast.Call, *_) -> Iterator[Change]:
    if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
        yield change("call dropped", node, node.func.value)
    elif node.args and not isinstance(node.args[0], ast.Starred):
        yield change("call dropped", node, node.args[0])
    for one, (left, right) in enumerate(zip(node.args, node.args[1:], strict=False)):
        swapped = [*node.args[:one], right, left, *node.args[one + 2 :]]
        yield change("arguments swapped", node, ast.Call(node.func, swapped, node.keywords))
    for one in range(len(node.args)):
        rest = [*node.args[:one], *node.args[one + 1 :]]
        yield change("argument dropped", node, ast.Call(node.func, rest, node.keywords))
    for keyword in node.keywords:
        others = [k for k in node.keywords if k is not keyword]
        yield change("argument dropped", node, ast.Call(node.func, node.args, others))


def _unsafe(node: ast.Call, *_) -> Iterator[Change]:
    """Yield the forms that overflow where the right ones do not."""
    if not isinstance(node.func, ast.Attribute):
        return
    whole, name = ast.unparse(node.func.value), node.func.attr
    dim = ast.unparse(node.args[0]) if node.args else "-1"
    if name == "softmax":
        dim = ast.unparse(node.keywords[0].value) if node.keywords else dim
        yield change("overflows", node, f"({whole}.exp() / {whole}.exp().sum({dim}, keepdim=True))")
    if name == "logsumexp":
        yield change("overflows", node, f"{whole}.exp().sum({dim}).log()")
    if name == "logaddexp" and len(node.args) == 2:
        one, other = map(ast.unparse, node.args)
        yield change("overflows", node, f"({one}.exp() + {other}.exp()).log()")


def _detached(node: ast.Call, *_) -> Iterator[Change]:
    if isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_proj"):
        yield change("detached", node, f"{ast.unparse(node)}.detach()")


def _attribute(node: ast.Attribute, *_) -> Iterator[Change]:
    for other in _NEIGHBOURS.get(node.attr, ()):
        yield change("neighbour", node, ast.Attribute(node.value, other, node.ctx))


def _name(node: ast.Name, parent: ast.AST, function: ast.FunctionDef | None) -> Iterator[Change]:
    if not isinstance(node.ctx, ast.Load):
        return
    if isinstance(parent, ast.Call) and parent.func is node:
        for other in _NEIGHBOURS.get(node.id, ()):
            yield change("neighbour", node, other)
    names = [argument.arg for argument in function.args.args] if function else []
    names = [name for name in names if name != "self"]
    if node.id in names and len(names) > 1:
        place = names.index(node.id)
        yield change("another parameter", node, names[(place + 1) % len(names)])
        if len(names) > 2:
            yield change("another parameter", node, names[place - 1])


def _slice(node: ast.Slice, *_) -> Iterator[Change]:
    if node.lower is not None:
        yield change("slice", node, ast.Slice(None, node.upper, node.step))
    if node.upper is not None:
        yield change("slice", node, ast.Slice(node.lower, None, node.step))
        less = ast.BinOp(node.upper, ast.Sub(), ast.Constant(1))
        yield change("slice", node, ast.Slice(node.lower, less, node.step))


def _statement(node: ast.stmt, *_) -> Iterator[Change]:
    yield change("left out", node, "pass")


def _return(node: ast.Return, *_) -> Iterator[Change]:
    yield change("left out", node, "return None")


def _raise(node: ast.Raise, *_) -> Iterator[Change]:
    yield change("left out", node, "pass")
    if isinstance(node.exc, ast.Call):
        yield change("bare error", node, ast.Raise(node.exc.func, None))
        message = ast.unparse(node.exc.args[0]) if node.exc.args else ""
        yield change("assert for an error", node, f"assert False, {message or repr('')}")


def _continue(node: ast.Continue, *_) -> Iterator[Change]:
    yield change("break for continue", node, "break")


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("torch", "nn", "tl", "triton", "math")


_BY_NODE: dict[type, tuple] = {
    ast.BinOp: (_arithmetic,),
    ast.UnaryOp: (_sign, _infinity),
    ast.AugAssign: (_augmented, _statement),
    ast.Assign: (_statement,),
    ast.Expr: (_statement,),
    ast.Compare: (_comparison,),
    ast.BoolOp: (_boolean,),
    ast.If: (_condition,),
    ast.IfExp: (_condition,),
    ast.While: (_condition,),
    ast.Constant: (_constant,),
    ast.Call: (_call, _infinity, _unsafe, _detached),
    ast.Attribute: (_attribute,),
    ast.Name: (_name,),
    ast.Slice: (_slice,),
    ast.Return: (_return,),
    ast.Raise: (_raise,),
    ast.Continue: (_continue,),
}
