"""Random shapes in guarded memory for every kernel of the CPU, with every tile; then threads.

    python -m tests.attacks.kernels --seconds 60 --seed 1
    python -m tests.attacks.kernels --seed 1 --simd avx2 --dense blas --case 17

Every tile and either kind of matrix product has a process of its own. A case is one of
`shapes.KINDS`, in float32 or float64, with whole or small blocks, over 1 to 7 threads. Its arrays
end at a forbidden page of memory, and then begin behind one. If an access ends the process, its
last case is reported.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.kernels.cpu import tuning
from minidl.kernels.cpu.gemm.register_tile import TILE, TILES
from minidl.kernels.cpu.runtime import threadpool
from tests import guarded
from tests.attacks import shapes

ROOT = Path(__file__).resolve().parents[2]
SIMD, DENSE = ("avx512", "avx2", "plain"), ("blas", "tiles")
OWN = next(name for name, tile in TILES.items() if tile == TILE)
LEAST = 25  # seconds of a setting, as much of which may be spent on compiling
MOST = 16  # allowed error, in roundings of the bound


def main(seconds: float, seed: int) -> int:
    """Attack for about `seconds`, print the failures, and return their number."""
    others = [setting for setting in itertools.product(SIMD, DENSE) if setting[0] != OWN]
    random.Random(seed).shuffle(others)
    settings = [*((OWN, way) for way in DENSE), *others]
    chosen = settings[: max(2, int(seconds * 0.75 / LEAST))]
    for simd, way in settings[len(chosen) :]:
        print(f"kernels: {simd}, {way}: skipped, {seconds:.0f} seconds are too few")
    failures = 0
    for simd, way in chosen:
        failures += _setting(simd, way, 0.75 * seconds / len(chosen), seed, emulated=simd != OWN)
    command = [sys.executable, "-m", "tests.attacks.threads", "--seconds", f"{seconds / 4:.0f}",
               "--seed", str(seed)]  # fmt: skip
    return failures + subprocess.run(command, cwd=ROOT, check=False).returncode


def _setting(simd: str, way: str, seconds: float, seed: int, *, emulated: bool) -> int:
    """Attack with one tile and kind of product, and return the number of failures."""
    until, first, failures = time.monotonic() + seconds, 0, 0
    counts: collections.Counter[str] = collections.Counter()
    while first == 0 or time.monotonic() < until:
        left = max(1.0, until - time.monotonic())
        last, wrong, more = _child(simd, way, seed, "--first", str(first), "--seconds", str(left))
        first, failures = last + 1, failures + wrong
        counts.update(more)
    note = " (another processor's tile, which the compiler makes fit)" if emulated else ""
    each = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"kernels: {simd}, {way}{note}: {first} cases, {failures} failures; {each}", flush=True)
    return failures


def _child(simd: str, way: str, seed: int, *rest: str) -> tuple[int, int, dict[str, int]]:
    """Run cases in a process; return the last one, the number of failures, calls by kernel."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.attacks.kernels", "--inside",
               "--seed", str(seed), *rest]  # fmt: skip
    settings = {"MINIDL_DENSE": way} | ({} if simd == OWN else {"MINIDL_SIMD": simd})
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings}
    )
    assert child.stdout
    again = f"python -m tests.attacks.kernels --seed {seed} --simd {simd} --dense {way} --case"
    last, failures, counts = 0, 0, None
    for line in child.stdout:
        told = json.loads(line)
        last, counts = told.get("case", last), told.get("counts", counts)
        if "wrong" in told:
            failures += 1
            print(f"kernels: {told['wrong']}\n    again: {again} {last}", flush=True)
    if child.wait() or counts is None:
        failures += 1
        print(f"kernels: ended with {child.returncode}\n    again: {again} {last}", flush=True)
    return last, failures, counts or {}


def _inside(seed: int, cases: Iterable[int], seconds: float) -> None:
    """Run the cases in this process, and print them as lines of JSON."""
    counts: collections.Counter[str] = collections.Counter()
    until = time.monotonic() + seconds
    for number in cases:
        print(json.dumps({"case": number}), flush=True)
        for at_end in (True, False):
            chance = random.Random(f"{seed} {number}")
            kind, dtype = chance.choice(shapes.KINDS), chance.choice(["float32", "float64"])
            about = f"{kind.__name__} {dtype}, guarded {'behind' if at_end else 'before'}"
            draw = _prepared(chance, np.random.default_rng([seed, number]), dtype, at_end)
            for name, found, exact, bound in kind(chance, draw):
                counts[name] += 1
                wrong = _wrong(found, exact, bound)
                if wrong:
                    print(json.dumps({"wrong": f"{name} in {about}: {wrong}"}), flush=True)
        if time.monotonic() > until:
            break
    print(json.dumps({"counts": counts}), flush=True)


def _prepared(
    chance: random.Random, rng: np.random.Generator, dtype: str, at_end: bool
) -> shapes.Draw:
    """Return a source of guarded arrays, for kernels with blocks of random size."""
    guarded.clear()
    guarded.choose(small=chance.random() < 0.6)
    tuning.STRASSEN_MIN_SIDE = chance.choice([2, 64, 240])
    tuning.GEMM_MAX_COLUMN_READ = chance.choice([0, 9999, 1 << 18])
    threadpool.set_num_threads(chance.choice([1, 1, 2, 3, 7]))
    guarded.everywhere(at_end)
    return lambda *shape: guarded.guarded(rng.standard_normal(shape).astype(dtype), at_end)


def _wrong(found: np.ndarray, exact: np.ndarray, bound: Any) -> str:
    """Return the fault in words, or nothing."""
    if found.shape != exact.shape:
        return f"the shape is {found.shape}, expected {exact.shape}"
    off = np.abs(found - exact)
    most = MOST * np.finfo(found.dtype).eps * np.max(bound, initial=0)
    return "" if (off <= most).all() else f"off by {off.max():.3g}, {most:.3g} allowed"


def _command_line(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.kernels", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--simd", choices=SIMD, default=OWN)
    parser.add_argument("--dense", choices=DENSE, default="blas")
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.inside:
        only = None if chosen.case is None else [chosen.case]
        _inside(chosen.seed, only or itertools.count(chosen.first or 0), chosen.seconds)
        return 0
    print(f"seed {chosen.seed}")
    if chosen.case is not None:
        return min(1, _child(chosen.simd, chosen.dense, chosen.seed, "--case", str(chosen.case))[1])
    return min(1, main(chosen.seconds, chosen.seed))


if __name__ == "__main__":
    sys.exit(_command_line())
