"""The command line that all benchmarks share, and a description of the machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import minidl
from minidl.device import CPU
from minidl.files import check_absent
from minidl.kernels.cpu.runtime import threadpool as cpu_threads

from . import gpu

QUICK_ROUNDS, ROUNDS = 3, 9


def parser(description: str | None, *, on_gpu: bool = False) -> argparse.ArgumentParser:
    """Return a parser of the shared options. on_gpu: with --device."""
    made = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N")
    made.add_argument(
        "--against",
        choices=("torch", "none"),
        help="the reference beside ours; by default PyTorch, if it is installed",
    )
    if on_gpu:
        made.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="(%(default)s)")
    made.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only rows whose name contains one of these",
    )
    made.add_argument(
        "--quick", action="store_true", help="fewer rounds, and PyTorch without torch.compile"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    made.add_argument("--chart", type=Path, metavar="FILE", help="also draw them, as a PNG file")
    made.add_argument("--force", action="store_true", help="replace files that exist")
    return made


def begin(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, set the number of threads and print the header.

    The namespace has more names: torch (time PyTorch, too), rounds, and clock. Its device is the
    Device itself.
    """
    chosen = parser.parse_args(arguments)
    if chosen.threads < 1:
        parser.error(f"--threads {chosen.threads}: expected 1 or more")
    installed = importlib.util.find_spec("torch") is not None
    if chosen.against == "torch" and not installed:
        parser.error("--against torch: PyTorch is not installed (pip install torch)")
    chosen.torch = installed and chosen.against != "none"
    chosen.rounds = QUICK_ROUNDS if chosen.quick else ROUNDS
    for path in (chosen.json, chosen.chart):
        if path:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                check_absent(path, force=chosen.force)
            except OSError as error:
                parser.error(str(error))
    on_gpu = getattr(chosen, "device", "cpu") == "gpu"
    chosen.device, chosen.clock = CPU, time.perf_counter
    use_threads(chosen.threads, torch=chosen.torch)
    print(header(chosen.threads, torch=chosen.torch))
    if on_gpu:
        chosen.device = gpu.find_or_exit()
        chosen.clock, chosen.threads = gpu.Clock(chosen.device), 1
        print(gpu.header(chosen.device))
        if chosen.torch:
            gpu.same_precision()
    if chosen.against is None and not installed:
        print("PyTorch is not installed: ours is timed alone.")
    if chosen.torch and chosen.quick:
        print("Quick: few rounds, and PyTorch without torch.compile.")
    return chosen


def use_threads(count: int, *, torch: bool) -> None:
    """Let our kernels, BLAS and, if `torch`, PyTorch compute with `count` threads."""
    from threadpoolctl import threadpool_limits

    if torch:
        import torch as library

        library.set_num_threads(count)
    threadpool_limits(count, user_api="blas")
    cpu_threads.set_num_threads(count)


def header(threads: int, *, torch: bool) -> str:
    """Return a description of the machine and the versions."""
    versions = {"minidl": minidl.__version__, "python": platform.python_version()}
    for package in ("numpy", "numba", *(["torch"] if torch else [])):
        versions[package] = importlib.metadata.version(package)
    machine = f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}, float32"
    return machine + "\n" + ", ".join(f"{name} {version}" for name, version in versions.items())


def selected(names: Iterable[str], only: Sequence[str]) -> list[str]:
    """Return the names that contain one of `only`, or all. Exits if one of `only` fits none."""
    names = list(names)
    for part in only:
        if not any(part in name for name in names):
            raise SystemExit(f"--only {part}: expected a part of one of: {', '.join(names)}")
    return [name for name in names if not only or any(part in name for part in only)]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
