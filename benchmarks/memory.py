"""Peak memory of a piece of work in its own process, less the memory of its imports.

`peak("benchmarks.training:run_few_steps", "ours", ...)` starts a Python process. It imports that
module, notes its memory, calls run_few_steps("ours", ...) and notes the peak.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RUNS = 2  # the first may have to compile kernels, which takes memory


def peak(work: str, *arguments: str) -> float:
    """Return the peak in MiB of work, given as "module:function".

    arguments: texts; the first is "torch" or "ours", the library that is imported beforehand.
    Raises RuntimeError if the process fails.
    """
    command = [sys.executable, "-m", "benchmarks.memory", work, *arguments]
    found = []
    for _ in range(RUNS):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stderr}")
        found.append(float(done.stdout.split()[-1]))
    return min(found)


def peaks(work: str, *arguments: str, threads: int, modes: Sequence[str] = ()) -> dict[str, float]:
    """Return the peaks of ours and of each of PyTorch's modes, {"ours, MiB": ...}.

    The function is called with "ours" or "torch", the arguments, the mode and the threads.
    """
    found = {"ours, MiB": peak(work, "ours", *arguments, "", str(threads))}
    for mode in modes:
        found[f"{mode}, MiB"] = peak(work, "torch", *arguments, mode, str(threads))
    return found


def _resident_peak() -> float:
    """Return the largest resident set of this process so far, in MiB.

    Linux counts in ru_maxrss the process that started this one, which may be larger; its VmHWM does
    not.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 2**10


def main() -> None:
    """Run the work, and print its peak."""
    (module, _, name), arguments = sys.argv[1].partition(":"), sys.argv[2:]
    work = getattr(importlib.import_module(module), name)
    importlib.import_module("torch" if arguments[0] == "torch" else "minidl.kernels.cpu")
    before = _resident_peak()
    work(*arguments)
    print(_resident_peak() - before)


if __name__ == "__main__":
    main()
