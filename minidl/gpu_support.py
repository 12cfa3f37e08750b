"""Why there is no GPU to use, and what to install."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil


def why_no_gpu() -> str:
    """Return in one line why this process cannot use a GPU; empty if it can."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed ({pip_install(driver_cuda())})"
    try:
        import cupy

        if not cupy.cuda.is_available():
            supported = driver_cuda()
            if supported is None:
                return "CuPy finds no CUDA device (is the NVIDIA driver installed?)"
            return (
                f"CuPy finds no CUDA device, though the driver supports CUDA {_dotted(supported)}"
                f" (is a GPU visible? is CuPy for that CUDA? {pip_install(supported)})"
            )
    except Exception as error:  # a broken driver can raise almost anything
        return f"CuPy does not start: {(str(error) or repr(error)).splitlines()[0]}"
    return ""


def driver_cuda() -> tuple[int, int] | None:
    """Return the newest CUDA that the NVIDIA driver supports, such as (12, 4); None without one."""
    version = ctypes.c_int()
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        if driver.cuDriverGetVersion(ctypes.byref(version)) or version.value <= 0:
            return None
    except (OSError, AttributeError):
        return None
    return version.value // 1000, version.value % 1000 // 10


def pip_install(supported: tuple[int, int] | None) -> str:
    """Return the command that installs CuPy for a driver, and CUDA's libraries if needed."""
    if supported is None:
        return "pip install 'minidl[cuda12]' or 'minidl[cuda13]'"
    if supported < (12, 0):
        return f"first a newer driver: this one supports CUDA {_dotted(supported)}, CuPy needs 12"
    libraries = "" if os.environ.get("CUDA_PATH") or shutil.which("nvcc") else "-ctk"
    return f"pip install 'minidl[cuda{min(supported[0], 13)}{libraries}]'"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
