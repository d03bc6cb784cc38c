"""What stands in a solution's syntax tree, and how one place of it is changed."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True)
class Change:
    """One place of a source and what stands there instead."""

    kind: str
    line: int  # from 1
    column: int
    end_line: int
    end_column: int
    text: str

    def applied(self, source: str) -> str:
        """Return the source with this change."""
        lines = source.splitlines()
        before = lines[self.line - 1].encode()[: self.column].decode()
        after = lines[self.end_line - 1].encode()[self.end_column :].decode()
        lines[self.line - 1 : self.end_line] = f"{before}{self.text}{after}".split("\n")
        return "\n".join(lines) + "\n"


def change(kind: str, node: ast.AST, new: ast.AST | str) -> Change:
    """Return the change that puts `new` where `node` stands.

    Args:
        kind: what family of mistakes it belongs to.
        node: an expression, a statement, an argument or a keyword of the source.
        new: a tree or text.
    """
    text = new if isinstance(new, str) else ast.unparse(new)
    if isinstance(node, ast.expr) and isinstance(new, ast.expr):
        text = f"({text})" if _may_need_parentheses(new) else text
    place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
    return Change(kind, *place, text)


def _may_need_parentheses(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare | ast.BoolOp | ast.IfExp)


def places(source: str) -> Iterator[tuple[ast.AST, ast.AST, ast.FunctionDef | None]]:
    """Yield each node that a learner writes, with its parent and the function it stands in.

    These are the nodes between BEGIN and END SOLUTION.
    """
    written = _written(source)
    yield from _walk(ast.parse(source), None, written)


def functions(source: str) -> Iterator[ast.FunctionDef]:
    """Yield the functions and methods of a solution whose body, or part of it, a learner writes."""
    written = _written(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and any(s.lineno in written for s in node.body):
            yield node


def first_written(source: str, function: ast.FunctionDef) -> ast.stmt:
    """Return the first statement of a function that a learner writes."""
    written = _written(source)
    return next(s for s in function.body if s.lineno in written)


def _walk(node: ast.AST, function: ast.FunctionDef | None, written: set[int]) -> Iterator:
    inside = node if isinstance(node, ast.FunctionDef) else function
    for child in ast.iter_child_nodes(node):
        if getattr(child, "lineno", None) in written:
            yield child, node, inside
        yield from _walk(child, inside, written)


def _written(source: str) -> set[int]:
    """Return the numbers of the lines between BEGIN and END SOLUTION."""
    lines, inside = set(), False
    for number, line in enumerate(source.splitlines(), 1):
        if BEGIN in line:
            inside = True
        elif END in line:
            inside = False
        elif inside:
            lines.add(number)
    return lines
