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
FILES = sorted(
    path.relative_to(ROOT).as_posix() for top in ("minidl", "models") for path in
    (ROOT / top).rglob("*.py")
)  # fmt: skip

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
    """Yield the full names that a file imports, also within functions and by `import_module`."""
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
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


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


@pytest.mark.parametrize("file", FILES)
def test_no_data_is_ever_run(file: str):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.findall(r"pickle|\beval\(|\bexec\(", text) == []


@pytest.mark.parametrize("file", FILES)
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
