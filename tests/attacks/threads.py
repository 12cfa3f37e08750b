"""Kernels in several threads at once, in forks meanwhile, under interrupts, and at the end.

    python -m tests.attacks.threads --seconds 20 --seed 1

The same calls must give the same bits in every thread, and after every interrupt.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("MINIDL_THREADS", "3")

import numpy as np

from minidl import kernels
from minidl.kernels.cpu.runtime import jobs, threadpool

WORKS = range(8)
PROGRAM = """
import threading, time
import numpy as np
from minidl import kernels
x, a = np.ones((200, 200), np.float32), np.ones((90, 90), np.float32)
def work():
    while True:
        kernels.sigmoid(x); kernels.matmul(a, a)
kernels.sigmoid(x); kernels.matmul(a, a)
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep({:.3f})
"""


def work(number: int) -> int:
    """Return the checksum of several kernels' results for the same numbers."""
    rng, sum_ = np.random.default_rng(number), 0

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    for found in (
        kernels.matmul(draw(300, 250), draw(250, 300), draw(300)),
        kernels.conv2d(draw(2, 32, 32, 40), draw(4, 4, 40, 40), draw(40), 2, (1, 1, 1, 1)),
        kernels.upsample_conv2d(draw(2, 16, 16, 40), draw(3, 3, 40, 36), draw(36)),
        kernels.sigmoid(draw(200_000)),
        *kernels.moments(draw(5000, 40), 0.2),
        kernels.conv2d_grad_w(draw(2, 32, 32, 40), draw(2, 16, 16, 40), (4, 4), 2, (1, 1, 1, 1)),
    ):
        sum_ = zlib.crc32(found.tobytes(), sum_)
    return sum_


def main(seconds: float, seed: int) -> int:
    """Attack for about `seconds`, print the failures, and return their number."""
    expected, chance, wrong = [work(n) for n in WORKS], random.Random(seed), list[str]()
    done = {
        "in four threads": _together(expected, seconds / 4, seed, wrong),
        "in forks": _forks(expected, seconds / 4, seed, wrong),
        "interrupts": _interrupts(expected, seconds / 4, chance, wrong),
        "ends of programs": _ends(seconds / 4, chance, wrong),
    }
    for failure in wrong:
        print(f"threads: {failure}")
    print("threads: " + ", ".join(f"{count} {what}" for what, count in done.items())
          + f", {len(wrong)} failures", flush=True)  # fmt: skip
    if wrong:
        print(f"    again: python -m tests.attacks.threads --seconds {seconds:.0f} --seed {seed}")
    return len(wrong)


def _callers(
    count: int, expected: list[int], seconds: float, seed: int, wrong: list[str]
) -> tuple[list[threading.Thread], list[int]]:
    """Start threads; return them and the list of the works that they finish."""
    until, done = time.monotonic() + seconds, list[int]()

    def call(k: int) -> None:
        chance = random.Random(f"{seed} {k}")
        try:
            while time.monotonic() < until:
                number = chance.choice(WORKS)
                if work(number) != expected[number]:
                    wrong.append(f"work {number} differs in thread {k}")
                done.append(number)
        except BaseException as error:
            wrong.append(f"thread {k}: {error!r}")

    callers = [threading.Thread(target=call, args=(k,), daemon=True) for k in range(count)]
    for caller in callers:
        caller.start()
    return callers, done


def _together(expected: list[int], seconds: float, seed: int, wrong: list[str]) -> int:
    callers, done = _callers(4, expected, seconds, seed, wrong)
    for caller in callers:
        caller.join(seconds + 60)
    wrong += ["a thread hangs"] * sum(caller.is_alive() for caller in callers)
    return len(done)


def _child(queue: Any) -> None:
    queue.put([work(1), work(2)])


def _forks(expected: list[int], seconds: float, seed: int, wrong: list[str]) -> int:
    """Fork while kernels run in other threads; once, also start processes of other kinds."""
    until, count = time.monotonic() + seconds, 0
    callers, _ = _callers(2, expected, seconds, seed, wrong)
    for kind in ("spawn", *["fork"] * 10_000):
        if count > 1 and time.monotonic() > until:
            break
        context: Any = multiprocessing.get_context(kind)
        queue, count = context.SimpleQueue(), count + 1
        process = context.Process(target=_child, args=(queue,))
        process.start()
        process.join(60)
        if process.is_alive():
            process.kill()
            wrong.append(f"a {kind} hangs")
        elif process.exitcode or queue.get() != expected[1:3]:
            wrong.append(f"a {kind} ended with {process.exitcode}, or other numbers")
    for caller in callers:
        caller.join()
    return count


def _interrupts(
    expected: list[int], seconds: float, chance: random.Random, wrong: list[str]
) -> int:
    """Send Ctrl-C at any moment: it reaches the caller, and results stay the same."""
    armed, fired, until, count = False, 0, time.monotonic() + seconds, 0

    def interrupt(*_: Any) -> None:
        nonlocal armed, fired
        if armed:
            armed, fired = False, fired + 1
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    while time.monotonic() < until:
        seen, reached = fired, False
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, chance.random() * 0.05 + 1e-4)
            work(3)
            work(3)
            armed = False
        except KeyboardInterrupt:
            reached = True
        except BaseException as error:
            wrong.append(f"an interrupt became {error!r}")
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if fired > seen and not reached:
            wrong.append("an interrupt was swallowed")
        count += reached
        if work(4) != expected[4]:
            wrong.append("after an interrupt, results are others")
    signal.signal(signal.SIGALRM, before)
    if threadpool._slot.words[jobs.IN_USE]:
        wrong.append("after interrupts, the job slot is still taken")
    return count


def _ends(seconds: float, chance: random.Random, wrong: list[str]) -> int:
    """Run programs that end while their daemon threads compute."""
    until, count = time.monotonic() + seconds, 0
    while not count or time.monotonic() < until:
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(chance.uniform(0.02, 0.3))],
            env={**os.environ, "MALLOC_PERTURB_": "165"}, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        count += 1
        if run.returncode or run.stderr:
            wrong.append(f"a program ended with {run.returncode}: {run.stderr[-300:]}")
    return count


def _command_line(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.threads", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}")
    return min(1, main(chosen.seconds, chosen.seed))


if __name__ == "__main__":
    sys.exit(_command_line())
