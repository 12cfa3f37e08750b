"""Planted faults: small changes of the code, one at a time, that the tests must see.

`python -m tests.attacks.faults --count 250 --seed 1` draws faults evenly from the folders of the
package, plants each in a copy of the repository, runs the tests of that part until one fails, and
prints a table of the share that was seen in each folder. Every fault that no test saw is printed as
the line before and after. A fault that no test can see is listed in `UNSEEN`, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .fault_tables import NEAREST, TESTS, UNSEEN

ROOT = Path(__file__).resolve().parents[2]
LOOKS = ("models/plots.py", "minidl/draw/picture.py")  # how a figure looks: people judge that
SLOWEST = 180  # seconds; a fault with which a single test runs longer is seen: it would not end
HEAVY = ("numpy", "numba", "scipy.ndimage", "scipy.sparse.linalg", "skimage.metrics",
         "skimage.restoration", "matplotlib.pyplot", "PIL.Image", "safetensors.numpy", "tqdm",
         "pytest", "hypothesis")  # fmt: skip

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
        """The whole file with the change."""
        return _replaced((ROOT / self.path).read_text(), self.node, self.after)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"

    @property
    def reason(self) -> str:
        """Why no test can see it; empty where one should."""
        return UNSEEN.get((self.path, self.before, self.after), "")


# --- drawing faults -------------------------------------------------------------------------------


def faults_of(path: Path) -> list[Fault]:
    """All faults that can be planted in a file."""
    name = str(path.relative_to(ROOT))
    return [
        Fault(name, node.lineno, ast.unparse(node), after, node)
        for node in _nodes(ast.parse(path.read_text()), "/kernels/" in name)
        for after in _changes(node)
    ]


def _nodes(tree: ast.AST, constants: bool = False) -> Iterator[ast.expr | ast.stmt]:
    """The expressions and statements below a node that decide what the code computes: no
    annotations, decorators, documentation, messages or, where `constants` is set, module-level
    tuning constants."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if constants and isinstance(tree, ast.Module) and isinstance(child, ast.Assign):
                continue
            if isinstance(child, ast.FunctionDef) and child.name in ("__repr__", "_kinds"):
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            if not isinstance(child, ast.Raise):
                yield from _nodes(child)


def _changes(node: ast.expr | ast.stmt) -> Iterator[str]:
    """The source of a node with one thing changed, for each thing that can be."""
    new: Any = copy.deepcopy(node)
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            new.ops = [SWAPS[type(op)]()]
        case ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr()):
            return  # a message that is put together
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
    """The source with the text of a node replaced."""
    lines = source.encode().splitlines(keepends=True)  # columns count bytes
    assert node.end_lineno is not None
    head = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    tail = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    if isinstance(node, ast.expr):
        after = f"({after})"
    indented = after.replace("\n", "\n" + " " * node.col_offset)
    return (head + indented.encode() + tail).decode()


def drawn(count: int, seed: int, only: Sequence[str]) -> list[Fault]:
    """`count` faults, as many from each folder, at random; at most one in each line."""
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


# --- running the tests with a fault ---------------------------------------------------------------


class Limit:
    """A pytest plugin that ends the process where a test runs for longer than SLOWEST."""

    def pytest_runtest_logstart(self) -> None:
        signal.alarm(SLOWEST)


class Copy:
    """A copy of the repository, in which one fault at a time is planted and the tests run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.process = folder, 0
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True,
        ).stdout.decode()  # fmt: skip
        for name in filter(None, files.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)

    def start(self, fault: Fault) -> None:
        """Plant a fault and run the tests of its part in a child process."""
        self.fault, self.began = fault, time.monotonic()
        self._write(fault.source)
        tests = tests_of(fault.path)
        self.process = os.fork()
        if not self.process:
            try:
                os._exit(self._run(tests))
            finally:
                os._exit(99)

    def _run(self, tests: list[str]) -> int:
        os.setsid()  # so that all that the tests start ends with them
        os.chdir(self.folder)
        quiet = os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        for name in [n for n in sys.modules if n.split(".")[0] in ("minidl", "models", "tests")]:
            del sys.modules[name]
        sys.path[:] = [str(self.folder), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
        os.environ["PYTHONPATH"] = str(self.folder)
        os.environ["NUMBA_CACHE_DIR"] = str(self.folder / ".cache")
        if "/kernels/" in self.fault.path:  # compiled code of the right source must not stand in
            shutil.rmtree(self.folder / ".cache", ignore_errors=True)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not exercise"]
        return int(pytest.main([*options, *tests], plugins=[Limit()]))

    def ended(self) -> int | None:
        """The exit code of the tests, negative for a run that died; None before."""
        pid, status = os.waitpid(self.process, os.WNOHANG)
        if not pid:
            return None
        with contextlib.suppress(ProcessLookupError):  # what the tests have left running
            os.killpg(self.process, signal.SIGKILL)
        self._write((ROOT / self.fault.path).read_text())
        self.process = 0
        return os.waitstatus_to_exitcode(status)

    def _write(self, source: str) -> None:
        path = self.folder / self.fault.path
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(source)


def tests_of(path: str) -> list[str]:
    """The test files of a file of the package, the nearest first."""
    names = [*NEAREST.get(path, "").split(), *TESTS[str(Path(path).parent)].split()]
    files = [f"tests/test_{name}.py" for name in dict.fromkeys(names)]
    return [file for file in files if (ROOT / file).is_file()]


def judged(faults: Sequence[Fault], workers: int) -> Iterator[tuple[Fault, bool, float]]:
    """(fault, whether a test saw it, seconds), in the order in which they end."""
    for name in HEAVY:
        importlib.import_module(name)
    todo = list(reversed(faults))
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder) / str(i)) for i in range(workers)]
        while todo or any(c.process for c in copies):
            for c in copies:
                code = c.ended() if c.process else None
                if code is not None:
                    yield c.fault, code != 0, time.monotonic() - c.began
                if not c.process and todo:
                    c.start(todo.pop())
            time.sleep(0.05)


def table(results: Sequence[tuple[Fault, bool]]) -> str:
    """The share of faults seen, by folder; what no test can see is not counted."""
    rows: dict[str, list[bool]] = {folder: [] for folder in TESTS}
    for fault, seen in results:
        if seen or not fault.reason:
            rows[str(Path(fault.path).parent)].append(seen)
    rows = {folder: row for folder, row in rows.items() if row}
    rows["all"] = [seen for row in rows.values() for seen in row]
    return "\n".join(
        f"{folder:24} {sum(row):4} of {len(row):4} seen, {sum(row) / max(1, len(row)):4.0%}"
        for folder, row in rows.items()
    )


def plant(
    count: int, seed: int, *, seconds: float = math.inf, workers: int = 2, only: Sequence[str] = ()
) -> list[tuple[Fault, bool]]:
    """Plant faults one after another, print each with its fate, and return whether it was seen."""
    end, results = time.monotonic() + seconds, []
    for fault, seen, spent in judged(drawn(count, seed, only), workers):
        results.append((fault, seen))
        state = "seen    " if seen else "no test can see it" if fault.reason else "NOT SEEN"
        print(f"{state} {spent:5.1f} s  {fault}", flush=True)
        if time.monotonic() > end:
            break
    print(table(results))
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant faults; returns 1 if one was not seen that could be."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.faults", description=__doc__)
    parser.add_argument("--count", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="plant no more after this")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", action="append", default=[], metavar="PATH")
    given = parser.parse_args(arguments)
    print(f"planted faults: seed {given.seed}", flush=True)
    results = plant(
        given.count, given.seed, seconds=60 * given.minutes, workers=given.workers, only=given.only
    )
    return int(any(not seen and not fault.reason for fault, seen in results))


if __name__ == "__main__":
    sys.exit(main())
