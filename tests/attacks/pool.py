"""Run cases in forked processes, and watch their results, their time and their memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

MOST_SECONDS, MOST_MEBIBYTES = 20.0, 2048.0
PATIENCE = 10.0  # seconds beyond the limit, after which a case is ended
KEPT = Path("attack-failures")  # for the files of failed cases


@dataclass
class Tally:
    """The results of the cases of one attack."""

    name: str
    cases: int = 0
    failures: int = 0
    slowest: float = 0.0  # seconds
    largest: float = 0.0  # MiB above the memory of the process before
    outcomes: dict[str, int] = field(default_factory=dict)


@dataclass
class _Worker:
    process: Any
    connection: Connection
    next: int  # number of its next case
    since: float = 0.0  # when its case began


def run(
    attack: ModuleType,
    folder: Path,
    *,
    seed: int,
    seconds: float,
    only_case: int | None = None,
    jobs: int = 2,
    most: int | None = None,
) -> Tally:
    """Run cases for `seconds`, `most` at most, or one alone, and print failures."""
    name = attack.__name__.rpartition(".")[2]
    tally = Tally(name)
    with contextlib.redirect_stdout(sys.stderr):
        state = attack.prepare(folder)
    until = time.monotonic() + seconds
    jobs = 1 if only_case is not None else getattr(attack, "JOBS", jobs)
    limit = getattr(attack, "SECONDS", MOST_SECONDS)

    def start(number: int) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_work, args=(attack, state, folder, seed, number, jobs, theirs)
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, number, time.monotonic())

    workers = [start(only_case if only_case is not None else job) for job in range(jobs)]
    while workers:
        ready = wait([w.connection for w in workers], timeout=1.0)
        for worker in list(workers):
            problems: list[str] | None = None
            if worker.connection in ready:
                try:
                    outcome, problems, took, memory = worker.connection.recv()
                    tally.slowest, tally.largest = (
                        max(tally.slowest, took),
                        max(tally.largest, memory),
                    )
                    tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
                except EOFError:
                    worker.process.join()
                    problems = [f"the process died, exit code {worker.process.exitcode}"]
            elif time.monotonic() - worker.since > limit + PATIENCE:
                os.kill(worker.process.pid, signal.SIGKILL)
                worker.process.join()
                problems = [f"no end within {limit + PATIENCE:.0f} seconds"]
            if problems is None:
                continue
            tally.cases += 1
            if problems:
                tally.failures += 1
                _tell(name, seed, worker.next, problems, folder)
            over = only_case is not None or time.monotonic() > until
            over = over or (most is not None and tally.cases >= most)
            worker.next, worker.since = worker.next + jobs, time.monotonic()
            alive = worker.process.is_alive()
            if over or not alive:
                if alive:
                    os.kill(worker.process.pid, signal.SIGKILL)
                    worker.process.join()
                workers.remove(worker)
                if not over:
                    workers.append(start(worker.next))
    return tally


def _tell(name: str, seed: int, number: int, problems: list[str], folder: Path) -> None:
    """Print a failure, with the command that repeats it, and keep its files."""
    kept = KEPT / f"{name}-{seed}-{number}"
    if (folder / str(number)).is_dir():
        KEPT.mkdir(exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(folder / str(number), kept)
    for problem in problems:
        print(f"{name}: {problem}")
    print(f"    its files: {kept}; again:")
    print(f"    python -m tests.attacks --only {name} --seed {seed} --case {number}", flush=True)


def _work(
    attack: ModuleType, state: Any, folder: Path, seed: int, first: int, step: int, to: Connection
) -> None:
    """Run the cases first, first + step ..., each in its own folder, and report each."""
    number = first
    while True:
        work = folder / str(number)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        before, began = _most_memory(), time.perf_counter()
        outcome, problems = "ended", list[str]()
        try:
            with _quiet(work / "stderr.txt"):
                outcome, problems = attack.case(state, work, random.Random(f"{seed} {number}"))
        except BaseException:
            problems = [f"it raised:\n{traceback.format_exc()[-1500:]}"]
        took, memory = time.perf_counter() - began, _most_memory(reset=False) - before
        if took > getattr(attack, "SECONDS", MOST_SECONDS):
            problems.append(f"it took {took:.0f} seconds")
        if memory > MOST_MEBIBYTES:
            problems.append(f"it took {memory:.0f} MiB")
        said = (work / "stderr.txt").read_text(errors="backslashreplace")
        if said.strip():
            problems.append(f"on stderr: {said[:300]!r}")
        if not problems:
            shutil.rmtree(work, ignore_errors=True)
        to.send((outcome, problems, took, memory))
        number += step


@contextlib.contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """Redirect the process's stderr, also that of C code, to a file."""
    saved = os.dup(2)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 2)
    os.close(handle)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _most_memory(*, reset: bool = True) -> float:
    """Return the peak memory of this process in MiB, since the last reset (only Linux has
    resets)."""
    with contextlib.suppress(OSError):
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
