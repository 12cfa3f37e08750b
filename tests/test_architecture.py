"""The structure of the code: its imports, and constructs that never occur."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALL = sorted(
    path.relative_to(ROOT).as_posix()
    for top in ("minidl", "models", "benchmarks")
    for path in (ROOT / top).rglob("*.py")
)
FILES = [file for file in ALL if not file.startswith("benchmarks")]  # what is installed

# The parts of minidl that each part of the core may use; all other parts are above the core.
MAY_USE: dict[str, set[str]] = {
    "files": set(),
    "schema": set(),
    "gpu_support": set(),
    "device": {"gpu_support"},
    "kernels": {"device"},
    "changes": {"device"},
    "tensor": {"changes", "kernels", "device"},
    "lift": {"changes", "tensor", "device"},
    "ops": {"lift", "tensor", "kernels", "device"},
    "losses": {"ops", "tensor", "device"},
    "nn": {"changes", "ops", "tensor", "device"},
    "optim": {"changes", "kernels", "tensor", "device"},
    "checkpoint": {"device", "files", "schema"},
    "random": {"device", "kernels"},
}
CORE = [
    f for f in FILES if f.startswith("minidl/") and Path(f).parts[1].removesuffix(".py") in MAY_USE
]


def imports(file: str) -> Iterator[str]:
    """Yield the full names that a file imports, also within functions and by `import_module`, and
    those in texts such as "module:function"."""
    package = Path(file).parent.parts
    if package[0] == "models":
        package = ("minidl", *package)
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (
                n.value
                for n in ast.walk(node)
                if isinstance(n, ast.Constant) and isinstance(n.value, str)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"\w+(\.\w+)+:\w+", node.value):
                yield node.value.partition(":")[0]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def module(file: str) -> str:
    """Return the full name of a file's module: "minidl.models.zoo" for models/zoo.py."""
    parts = Path(file).with_suffix("").parts
    parts = ("minidl", *parts) if parts[0] == "models" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of modules that import one another, directly or through others."""
    reach = {name: set(used) for name, used in graph.items()}
    for between in graph:
        for used in reach.values():
            if between in used:
                used |= reach[between]
    groups = [{b for b in reach[a] if a in reach[b]} for a in graph if a in reach[a]]
    return [group for i, group in enumerate(groups) if group not in groups[:i]]


def import_graph(files: list[str]) -> dict[str, set[str]]:
    """Return {module: the modules among these files that it imports, itself left out}."""
    modules = {module(file): file for file in files}

    def owner(name: str) -> str:
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name

    return {
        name: {owner(imported) for imported in imports(file)} - {name, ""}
        for name, file in modules.items()
    }


def parts_used(file: str) -> set[str]:
    """Return the parts of minidl that a file imports: "device" for minidl.device.Array."""
    names = [name.split(".") for name in imports(file)]
    return {name[1] for name in names if name[0] == "minidl" and len(name) > 1}


def test_imports_are_seen():
    found = parts_used("minidl/ops/normalisation.py") - {"ops"}
    assert found == {"device", "kernels", "lift", "tensor"}
    assert parts_used("minidl/kernels/cpu/elementwise.py") <= {"kernels", "device"}
    assert {"losses", "nn", "ops", "optim"} <= parts_used("minidl/__init__.py")
    assert "cupy" in set(imports("minidl/device.py"))
    assert {Path(f).parts[1].removesuffix(".py") for f in CORE} == set(MAY_USE)


def test_no_modules_import_one_another():
    assert circles(import_graph(ALL)) == []


def test_circles_are_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert circles({"a": {"b"}, "b": set()}) == []
    graph = import_graph(ALL)
    assert "minidl.models.context_encoder.laplace" in graph["minidl.models.context_encoder.data"]
    assert "benchmarks.torch_models" in graph["benchmarks.gpu"]  # within a function
    assert "minidl.models.cli.demo" in graph["minidl.models.cli"]  # by a text


@pytest.mark.parametrize("file", CORE)
def test_the_core_imports_downward(file: str):
    part = Path(file).parts[1].removesuffix(".py")
    assert parts_used(file) - {part} <= MAY_USE[part]


@pytest.mark.parametrize("file", FILES)
def test_nothing_imports_what_it_should_not(file: str):
    tops = {name.partition(".")[0] for name in imports(file)}
    may_import_cupy = ("minidl/device.py", "minidl/gpu_support.py", "minidl/kernels/gpu/")
    if not file.startswith(may_import_cupy):
        assert not any(top.startswith("cupy") for top in tops)
    if file.startswith("minidl/"):
        assert "models" not in parts_used(file)
    assert "pickle" not in tops


@pytest.mark.parametrize("file", ALL)
def test_no_data_is_ever_run(file: str):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.findall(r"pickle|\beval\(|\bexec\(", text) == []


@pytest.mark.parametrize("file", ALL)
def test_a_file_fits_one_sitting(file: str):
    assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("module", ["minidl", "minidl.models"])
def test_importing_is_light(module: str):
    heavy = ["numba", "matplotlib", "PIL", "skimage", "cupy"]
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_package_is_installed():
    """A folder that setup.cfg does not list is missing from the wheel."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    named = config["options"]["packages"].split()
    folders = {Path(f).parent.as_posix() for f in FILES}
    expected = {f.replace("models", "minidl/models", 1) if f.startswith("models") else f
                for f in folders}  # fmt: skip
    assert sorted(named) == sorted(f.replace("/", ".") for f in expected)
    assert all((ROOT / f / "__init__.py").is_file() for f in folders)
    assert (ROOT / "minidl/models").resolve() == ROOT / "models"
