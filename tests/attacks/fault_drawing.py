"""Drawing planted faults: changes of one expression or statement of the package."""

from __future__ import annotations

import ast
import copy
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .fault_tables import TESTS, UNSEEN

ROOT = Path(__file__).resolve().parents[2]
# the look of a figure, which people judge
LOOKS = ("models/plots.py", "minidl/tools/drawing/picture.py")

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Add, ast.Pow: ast.Mult,
}  # fmt: skip
OPPOSITES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum",
             "floor": "ceil", "ceil": "floor", "any": "all", "all": "any",
             "sum": "mean", "mean": "sum", "argmin": "argmax", "argmax": "argmin"}  # fmt: skip


@dataclass
class Fault:
    """A change of one expression or statement: the file, the line's number, the text before and
    after."""

    path: str
    line: int
    before: str
    after: str
    node: ast.expr | ast.stmt = field(repr=False)

    @property
    def source(self) -> str:
        """Return the whole file with the change."""
        return _replaced((ROOT / self.path).read_text(), self.node, self.after)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"

    @property
    def reason(self) -> str:
        """Return why no test can see the fault; empty if one should."""
        line = (ROOT / self.path).read_text().splitlines()[self.line - 1]
        for (text, before, after), reason in UNSEEN.get(self.path, {}).items():
            if (before, after) == (self.before, self.after) and text in line:
                return reason
        return ""


def faults_of(path: Path) -> list[Fault]:
    """Return all faults that can be planted in a file."""
    name = str(path.relative_to(ROOT))
    return [
        Fault(name, node.lineno, ast.unparse(node), after, node)
        for node in _nodes(ast.parse(path.read_text()), "/kernels/" in name)
        for after in _changes(node)
    ]


def _nodes(tree: ast.AST, constants: bool = False) -> Iterator[ast.expr | ast.stmt]:
    """Yield the expressions and statements below a node that decide the result: no annotations,
    decorators, documentation, messages or, if `constants` is set, module-level tuning constants."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue  # what is zipped is of one length
            if isinstance(child, ast.UnaryOp) and _is_reshape(tree):
                continue  # any negative number stands for the rest
            if constants and isinstance(tree, ast.Module) and isinstance(child, ast.Assign):
                continue
            if isinstance(child, ast.FunctionDef) and child.name in ("__repr__", "_kinds"):
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            if not isinstance(child, ast.Raise):
                yield from _nodes(child)


def _is_reshape(tree: ast.AST) -> bool:
    match tree:
        case ast.Call(func=ast.Attribute(attr="reshape")):
            return True
    return False


def _changes(node: ast.expr | ast.stmt) -> Iterator[str]:
    """Yield the source of a node with one change, for each possible change."""
    new: Any = copy.deepcopy(node)
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            new.ops = [SWAPS[type(op)]()]
        case ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr()):
            return  # a composed message
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            new.op = SWAPS[type(op)]()
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            new = new.operand
        case ast.Constant(value=bool(value)):
            new.value = not value
        case ast.Constant(value=int(value)):
            new.value = value + 1
        case ast.Constant(value=float(value)):
            new.value = 1.5 * value or 1.0
        case ast.Call(func=ast.Name(id=name)) if name in OPPOSITES:
            new.func.id = OPPOSITES[name]
        case ast.Call(func=ast.Attribute(attr=name)) if name in OPPOSITES:
            new.func.attr = OPPOSITES[name]
        case ast.IfExp() | ast.While():
            new.test = ast.UnaryOp(ast.Not(), new.test)
        case ast.Break():
            new = ast.Continue()
        case ast.Continue():
            new = ast.Break()
        case (
            ast.Raise()
            | ast.Expr(value=ast.Call())
            | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
        ):
            new = ast.Pass()
        case _:
            return
    yield ast.unparse(new)


def _replaced(source: str, node: ast.expr | ast.stmt, after: str) -> str:
    """Return the source with the text of a node replaced."""
    lines = source.encode().splitlines(keepends=True)  # columns count bytes
    assert node.end_lineno is not None
    head = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    tail = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    if isinstance(node, ast.expr):
        after = f"({after})"
    indented = after.replace("\n", "\n" + " " * node.col_offset)
    return (head + indented.encode() + tail).decode()


def drawn(count: int, seed: int, only: Sequence[str]) -> list[Fault]:
    """Draw `count` random faults, equally many from each folder, at most one in each line."""
    chance = random.Random(seed)
    folders: dict[str, list[Fault]] = defaultdict(list)
    for folder in TESTS:
        for path in sorted((ROOT / folder).glob("*.py")):
            if str(path.relative_to(ROOT)) in LOOKS:
                continue
            if not only or any(str(path.relative_to(ROOT)).startswith(o) for o in only):
                folders[folder] += faults_of(path)
    queues = []
    for found in folders.values():
        chance.shuffle(found)
        queues.append(list({(fault.path, fault.line): fault for fault in found}.values()))
    chosen: list[Fault] = []
    while len(chosen) < count and any(queues):
        chosen += [queue.pop() for queue in queues if queue]
    return chosen[:count]
