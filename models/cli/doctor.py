"""`minidl doctor` and `minidl gradcheck`: the installation, and the gradients."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

from minidl import gpu_support, gradcheck_cases, kernels
from minidl.device import choose, tf32
from minidl.gradcheck import TOLERANCE
from minidl.models.terminal import printable

KNOWN = ("MINIDL_THREADS", "MINIDL_KERNELS", "MINIDL_SIMD", "MINIDL_DENSE", "MINIDL_TRACEBACK")
PACKAGES = ("numpy", "numba", "pillow", "matplotlib", "scikit-image", "safetensors", "cupy")


def doctor(options: argparse.Namespace) -> int:
    """Print what this machine has and what minidl will use. Returns 1 for an unknown setting."""
    answer = _findings()
    wrong = 1 if "settings" in answer else 0
    if options.json:
        print(json.dumps(answer))
        return wrong
    for name, value in answer.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        print(printable(f"{name:10} {value}"))
    return wrong


def gradcheck(options: argparse.Namespace) -> int:
    """Print a table of every op, loss and layer; return 1 if any gradient is wrong."""
    device = choose(options.device)
    rows = gradcheck_cases.errors(device)
    wrong = sum(not error < TOLERANCE for _, _, error in rows)
    if options.json:
        print(json.dumps([dict(zip(("kind", "name", "error"), row, strict=True)) for row in rows]))
    else:
        print(f"{'':7}{'':32}largest relative error, float64, on the {device.name}")
        for kind, name, error in rows:
            verdict = "" if error < TOLERANCE else "   WRONG"
            print(f"{kind:7}{name:32}{error:.1e}{verdict}")
        print(f"{len(rows)} checked, {wrong} above {TOLERANCE:g}")
    return 1 if wrong else 0


def _findings() -> dict[str, Any]:
    from threadpoolctl import threadpool_info

    import minidl

    missing = gpu_support.why_no_gpu()
    versions = {p: v for p in PACKAGES if (v := _version(p))}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    libraries = {i["internal_api"]: f"{i['num_threads']} threads" for i in threadpool_info()}
    answer: dict[str, Any] = {
        "minidl": minidl.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cores": cores,
        "matrices": libraries or "NumPy's own",
        "packages": versions,
        "kernels": _kernels(),
        "gpu": missing or _gpu(),
        "device": f"auto means {'cpu' if missing else 'gpu'}",
    }
    unknown = sorted(n for n in os.environ if n.startswith("MINIDL_") and n not in KNOWN)
    if unknown:
        answer["settings"] = f"{', '.join(unknown)} unknown; expected {', '.join(KNOWN)}"
    if sys.flags.dev_mode:
        answer["mode"] = "Python's development mode: slow"
    return answer


def _kernels() -> str:
    """Return how the CPU's kernels are computed: by Numba, with its threads and its register tile.

    Raises ValueError if a variable of the environment has an unknown value.
    """
    if kernels.implementation("cpu") is kernels.reference:
        return "NumPy alone, slow: " + (
            "MINIDL_KERNELS is reference" if _version("numba") else "pip install numba"
        )
    from minidl.kernels.cpu.gemm import choice
    from minidl.kernels.cpu.gemm.register_tile import TILE, TILES
    from minidl.kernels.cpu.runtime import threadpool

    tile = next(name for name, tile in TILES.items() if tile is TILE)
    micro_kernel, reason = choice.choose()
    products = "the micro-kernel" if micro_kernel else "BLAS"
    return (
        f"Numba, {threadpool.num_threads()} threads, tiles for {tile}; "
        f"large matrix products by {products} ({reason})"
    )


def _gpu() -> dict[str, Any]:
    """Return the GPU's name, memory, driver, CUDA, kernel compiler, and precision of products.

    The compiler comes with CUDA's libraries, not with CuPy.
    """
    cupy = choose("gpu").xp
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    free, total = cupy.cuda.runtime.memGetInfo()
    driver, runtime = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
    return {
        "name": name,
        "memory": f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free",
        "driver": _dotted(driver),
        "CUDA": _dotted(runtime),
        "compiler": _compiler(cupy) or f"missing: pip install 'minidl[cuda{runtime // 1000}-ctk]'",
        "TF32": "on" if tf32() else "off; CUPY_TF32=1 is for tensor cores, and less exact",
    }


def _dotted(version: int) -> str:
    """Return CUDA's version number as text: 12.8 for 12080."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _compiler(cupy: Any) -> str:
    try:
        return "NVRTC {}.{}".format(*cupy.cuda.nvrtc.getVersion())
    except Exception:  # its library is looked for at the first call
        return ""


def _version(package: str) -> str:
    names = ("cupy-cuda12x", "cupy-cuda13x", "cupy") if package == "cupy" else (package,)
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
