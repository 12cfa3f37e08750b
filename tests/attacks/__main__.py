"""The command line of the attacks: `make attack`, or `python -m tests.attacks`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import pool

os.environ.setdefault("MINIDL_THREADS", "1")  # the cases share the processors
# (name, its share of the time)
PARTS = {
    "pictures": 1.0, "checkpoints": 1.0, "runs": 1.0, "commands": 1.0, "kills": 1.5, "kernels": 1.0,
    "faults": 1.0,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack, and return 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="in all (%(default)g)")
    parser.add_argument("--seed", type=int, help="of all chance (another one each time)")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", default=list(PARTS))
    parser.add_argument("--case", type=int, help="of one part: this case alone")
    parser.add_argument("--most", type=int, help="cases of each part, however long there is")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="(%(default)s)")
    chosen = parser.parse_args(arguments)
    seed = random.randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}: python -m tests.attacks --seed {seed} --minutes {chosen.minutes:g}")
    parts = [part for part in chosen.only if importlib.util.find_spec(f"{__package__}.{part}")]
    total = sum(PARTS[part] for part in parts)
    tallies = []
    for part in parts:
        attack = importlib.import_module(f"{__package__}.{part}")
        seconds = 60 * chosen.minutes * PARTS[part] / total
        print(f"{part}: {seconds:.0f} seconds", flush=True)
        began = time.monotonic()
        if part == "kernels":  # it has guarded memory and a loop of its own
            failures = attack.main(seconds, seed)
            tally = pool.Tally(part, failures=int(failures), slowest=time.monotonic() - began)
        elif part == "faults":  # unseen faults are printed, but are no failures: tests are missing
            seen = [seen for _, seen in attack.plant(250, seed, seconds=seconds)]
            tally = pool.Tally(part, cases=len(seen), slowest=time.monotonic() - began)
            tally.outcomes = {"seen": sum(seen), "not seen": len(seen) - sum(seen)}
        else:
            with tempfile.TemporaryDirectory(prefix="attack") as folder:
                tally = pool.run(
                    attack, Path(folder).resolve(), seed=seed, seconds=seconds,
                    only_case=chosen.case, jobs=chosen.jobs, most=chosen.most,
                )  # fmt: skip
        tallies.append(tally)
    print(f"\n{'attack':12}{'cases':>9}{'failures':>10}{'slowest':>12}{'most memory':>14}")
    for tally in tallies:
        print(
            f"{tally.name:12}{tally.cases:>9}{tally.failures:>10}{tally.slowest:>10.1f} s"
            f"{tally.largest:>10.0f} MiB   "
            + ", ".join(f"{count} {what}" for what, count in sorted(tally.outcomes.items()))
        )
    return 1 if any(tally.failures for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
