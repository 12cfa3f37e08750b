"""Sources: a Python function or a CUDA kernel, with the parts of its file that it uses."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from minidl.kernels import cpu, gpu, reference
from minidl.kernels.gpu import launch

CUDA = {path.stem: path for path in sorted(Path(launch.__file__).parent.glob("*.cu"))}
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Source:
    """Code of one language from one file. goes_on: {file of the same folder: names that it defines
    and the code uses}."""

    file: str
    language: str
    text: str
    goes_on: dict[str, list[str]]


def of_object(thing: Any) -> str:
    """Return the source of an op's plain function, or of a class, below the source of the private
    class that it shares with others."""
    code = inspect.unwrap(thing)
    shared = [c for c in getattr(code, "__bases__", ()) if c.__name__.startswith("_")]
    return "\n\n\n".join(inspect.getsource(c).rstrip() for c in (*shared, code))


def of_kernel(name: str) -> list[Source]:
    """Return a kernel three times: its reference, the CPU's and the GPU's."""
    found = [_python(reference, name), _python(_home(cpu, name), name)]
    on_gpu = _python(_home(gpu, name), name)
    return [*found, on_gpu, *_cuda(name, on_gpu)]


def _home(package: ModuleType, name: str) -> ModuleType:
    module = inspect.getmodule(inspect.unwrap(getattr(package, name)))
    assert module is not None
    return module


def _python(module: ModuleType, name: str) -> Source:
    """Return a function of a module, with the parts of the same file that it uses."""
    text = inspect.getsource(module)
    lines, tree = text.splitlines(), ast.parse(text)
    blocks: dict[str, ast.stmt] = {}
    compiled: dict[str, str] = {}  # a function's version for Numba: @overload(exp) def _exp
    elsewhere: dict[str, str] = {}  # names imported from the same folder, and the file
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            elsewhere |= {alias.name: node.module for alias in node.names}
        for defined in _defined(node):
            blocks[defined] = node
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and _names(decorator.func) == {"overload"}:
                    compiled |= dict.fromkeys(_names(decorator.args[0]), defined)

    def names_in(n: str) -> set[str]:
        return (_names(blocks[n]) if n in blocks else set()) | {compiled.get(n, n)}

    used = _closure(name, names_in)
    nodes = {id(blocks[n]): blocks[n] for n in used if n in blocks}
    main = blocks[name]
    others = sorted((n for n in nodes.values() if n is not main), key=_first)
    parts = [_segment(lines, node) for node in (main, *others)]
    goes_on: dict[str, list[str]] = {}
    for other in sorted(used & elsewhere.keys()):
        goes_on.setdefault(f"{elsewhere[other]}.py", []).append(other)
    return Source(_path(module.__file__), "python", "\n\n".join(parts), goes_on)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return []


def _first(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _segment(lines: list[str], node: ast.stmt) -> str:
    return "\n".join(lines[_first(node) - 1 : node.end_lineno])


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _closure(start: str, names_in: Callable[[str], Iterable[str]]) -> set[str]:
    """Return all names that a name's text uses, directly or through other names."""
    seen, todo = {start}, [start]
    while todo:
        for name in names_in(todo.pop()):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


def _path(file: str | None) -> str:
    """Return a file's path, beginning with the folder of the package."""
    parts = Path(file or "").parts
    return "/".join(parts[len(parts) - 1 - parts[::-1].index("minidl") :])


# --- CUDA ----------------------------------------------------------------------------------------


def _cuda(name: str, launcher: Source) -> list[Source]:
    """Return the kernels of the .cu file that the strings of its launching file name."""
    strings = " ".join(
        n.value for n in ast.walk(ast.parse(launcher.text))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )  # fmt: skip
    stem = Path(launcher.file).stem
    blocks = cuda_blocks(CUDA[stem].read_text("utf-8"))
    named = {w for w in _WORD.findall(strings) if "__global__" in blocks.get(w, "")}
    used: set[str] = set()
    for kernel in named:
        used |= _closure(kernel, lambda n: _WORD.findall(_code(blocks.get(n, ""))))
    # First the kernel of this name, then other launched kernels, then the functions that they use.
    order = sorted(blocks, key=lambda n: (n != name, n not in named))
    parts = dict.fromkeys(blocks[n] for n in order if n in used)
    if not parts:
        return []
    goes_on = {}
    for other in launch.FILES[: launch.FILES.index(stem)]:  # the files compiled before it
        there = sorted(used & cuda_blocks(CUDA[other].read_text("utf-8")).keys() - blocks.keys())
        if there:
            goes_on[CUDA[other].name] = there
    return [Source(_path(str(CUDA[stem])), "cuda", "\n\n".join(parts), goes_on)]


def cuda_blocks(text: str) -> dict[str, str]:
    """Return {name: definition} of a .cu file, each with the comment above it."""
    blocks: dict[str, str] = {}
    gathered: list[str] = []
    depth = 0
    for line in text.splitlines():
        if not line.strip() and depth == 0:
            if gathered and all(part.startswith("//") for part in gathered):
                gathered = []  # a remark about the file
            continue
        gathered.append(line)
        code = line.partition("//")[0]
        depth += code.count("{") - code.count("}")
        if depth == 0 and code.rstrip().endswith((";", "}")):
            block = "\n".join(gathered)
            for name in _cuda_names(_code(block)):
                blocks[name] = block
            gathered = []
    return blocks


def _code(block: str) -> str:
    """Remove comments, and lines such as #pragma unroll, which name no kernel."""
    return re.sub(r"//[^\n]*|^\s*#[^\n]*", "", block, flags=re.MULTILINE)


def _cuda_names(code: str) -> list[str]:
    head = re.sub(
        r"template\s*<[^{;]*?>\s*(?=struct|constexpr|__|class)", "", code.strip(), count=1
    )
    head = re.sub(r"__launch_bounds__\([^)]*\)", "", head)
    if head.startswith("constexpr"):
        return re.findall(r"(\w+)(?:<[^>=]*>)?\s*=", head.partition(";")[0])
    if head.startswith("typedef"):
        return _WORD.findall(head.partition(";")[0])[-1:]
    if found := re.match(r"struct\s+(?:alignas\(\d+\)\s*)?(\w+)", head):
        return [found.group(1)]
    found = re.search(r"(\w+)\s*\(", head)
    return [found.group(1)] if found else []
