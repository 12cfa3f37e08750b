"""Planted faults: small changes of the code, one at a time, that the tests must see.

`python -m tests.attacks.faults --count 250 --seed 1` draws faults evenly from the folders of the
package, plants each in a copy of the repository, runs the tests of that part until one fails, and
prints a table of the share that was seen in each folder. Every fault that no test saw is printed as
the line before and after. A fault that no test can see is listed in `UNSEEN`, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .fault_drawing import ROOT, Fault, drawn
from .fault_tables import NEAREST, TESTS

SLOWEST = 180  # seconds; a single test that runs longer sees the fault: it might never end
HEAVY = ("numpy", "numba", "scipy.ndimage", "scipy.sparse.linalg", "skimage.metrics",
         "skimage.restoration", "matplotlib.pyplot", "PIL.Image", "safetensors.numpy", "tqdm",
         "pytest", "hypothesis")  # fmt: skip


class Limit:
    """A pytest plugin that ends the process if a test runs for longer than SLOWEST."""

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
            if (ROOT / name).is_file() or (ROOT / name).is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)

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
        os.setsid()  # so that all processes of the tests end with them
        os.chdir(self.folder)
        quiet = os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        for name in [n for n in sys.modules if n.split(".")[0] in ("minidl", "tests")]:
            del sys.modules[name]
        sys.path[:] = [str(self.folder), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
        os.environ["PYTHONPATH"] = str(self.folder)
        os.environ["NUMBA_CACHE_DIR"] = str(self.folder / ".cache")
        if "/kernels/" in self.fault.path:  # do not use compiled code of the right source
            shutil.rmtree(self.folder / ".cache", ignore_errors=True)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not exercise"]
        return int(pytest.main([*options, *tests], plugins=[Limit()]))

    def ended(self) -> int | None:
        """Return the exit code of the tests, negative for a crash, None while they run."""
        pid, status = os.waitpid(self.process, os.WNOHANG)
        if not pid:
            return None
        with contextlib.suppress(ProcessLookupError):  # processes that the tests have left
            os.killpg(self.process, signal.SIGKILL)
        self._write((ROOT / self.fault.path).read_text())
        self.process = 0
        return os.waitstatus_to_exitcode(status)

    def _write(self, source: str) -> None:
        path = self.folder / self.fault.path
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(source)


def tests_of(path: str) -> list[str]:
    """Return the test files of a file of the package, the nearest first."""
    names = [*NEAREST.get(path, "").split(), *TESTS[str(Path(path).parent)].split()]
    files = [f"tests/test_{name}.py" for name in dict.fromkeys(names)]
    return [file for file in files if (ROOT / file).is_file()]


def judged(faults: Sequence[Fault], workers: int) -> Iterator[tuple[Fault, bool, float]]:
    """Yield (fault, True if a test saw it, seconds), in the order in which they end."""
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
    """Return the share of faults seen, by folder; faults that no test can see do not count."""
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
    """Plant faults one after another and print each; return (fault, True if it was seen)."""
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
    """Plant faults, and return 1 if tests missed a fault that they could see."""
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
