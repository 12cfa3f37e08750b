"""The CUDA sources compile for real GPUs, and no registers are spilled."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from minidl.kernels.gpu import launch


def nvrtc_is_there() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    from cupy.cuda import nvrtc

    try:
        return bool(nvrtc.getVersion())
    except Exception:  # its library is loaded at the first call
        return False


def by_nvcc(architecture: str, folder: Path) -> str:
    """Return the report of CUDA's compiler on the kernels, registers and spills."""
    instances = ", ".join(f"(void*)&{name}" for name in launch.expressions())
    source = f"{launch.source()}\nvoid* instances[] = {{{instances}}};\n"
    (folder / "kernels.cu").write_text(source, "utf-8")
    done = subprocess.run(
        ["nvcc", "-std=c++17", f"-arch={architecture}", "-cubin", "-Xptxas", "-v", "kernels.cu"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def by_nvrtc(architecture: str, folder: Path) -> str:
    """Return the same report of NVRTC, the compiler that CuPy uses."""
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(launch.source(), "kernels.cu", (), ())
    for name in launch.expressions():
        nvrtc.addNameExpression(program, name)
    options = ("-std=c++17", f"-arch={architecture}", "--ptxas-options=-v")
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    assert all(nvrtc.getLoweredName(program, name) for name in launch.expressions())
    return nvrtc.getProgramLog(program)


NVCC = pytest.mark.skipif(not shutil.which("nvcc"), reason="nvcc is not installed")
NVRTC = pytest.mark.skipif(
    not nvrtc_is_there(), reason="no CuPy with NVRTC (pip install 'minidl[cuda-check]')"
)


@pytest.mark.parametrize(
    "compiled", [pytest.param(by_nvcc, marks=NVCC), pytest.param(by_nvrtc, marks=NVRTC)]
)
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])  # A100; H100 and H200
def test_kernels_stay_in_registers(
    architecture: str, compiled: Callable[[str, Path], str], tmp_path: Path
) -> None:
    """They compile without a warning, and spill nothing, or very little: the widest tiles gain more
    from a second block on the multiprocessor."""
    said = compiled(architecture, tmp_path)
    assert "warning" not in said
    report = re.findall(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers",
        said, re.DOTALL,
    )  # fmt: skip
    assert len(report) == len(launch.expressions())
    spilled = {name: int(bytes) for name, bytes, _ in report if bytes != "0"}
    assert all("Li128E" in name and bytes <= 100 for name, bytes in spilled.items()), spilled
    # two blocks of 256 threads share the 65,536 registers of a multiprocessor
    hot = [int(count) for name, _, count in report if re.search("(conv2d|matmul).*If", name)]
    assert len(hot) == 17
    assert max(hot) <= 128


def test_every_kernel_is_listed() -> None:
    """Every kernel in the files is compiled, and launched by a Python file."""
    defined = re.findall(r"__global__ void (?:__launch_bounds__\([^)]*\)\s)?(\w+)\(",
                         launch.source())  # fmt: skip
    assert sorted(defined) == sorted({name.partition("<")[0] for name in launch.KERNELS})
    folder = Path(launch.__file__).parent
    python = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    assert [name for name in defined if python.count(name) < 2] == []


def test_the_sources_are_installed() -> None:
    configuration = (Path(__file__).resolve().parents[1] / "setup.cfg").read_text("utf-8")
    assert "minidl.kernels.gpu = *.cu" in configuration
    folder = Path(launch.__file__).parent
    assert {path.stem for path in folder.glob("*.cu")} == set(launch.FILES)


@pytest.mark.parametrize("name", launch.FILES)
def test_a_file_fits_one_sitting(name: str) -> None:
    lines = (Path(launch.__file__).parent / f"{name}.cu").read_text("utf-8").splitlines()
    assert len(lines) <= 200
    assert max(map(len, lines)) <= 100
