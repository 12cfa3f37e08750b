"""Make the book: python -m docs.book --out book-out, then open book-out/index.html."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.options import header, use_threads
from minidl.files import replacing

from .pages import book


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m docs.book", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("book-out"), metavar="DIR")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--no-times", action="store_true", help="leave out what is timed")
    chosen = parser.parse_args(arguments)
    if chosen.threads < 1:
        parser.error(f"--threads {chosen.threads}: expected 1 or more")
    use_threads(chosen.threads, torch=False)
    machine = header(chosen.threads, torch=False).replace("\n", ", ")
    began = time.perf_counter()
    try:  # a folder that cannot be written is reported before the work
        chosen.out.mkdir(parents=True, exist_ok=True)
        pages = book(threads=chosen.threads, machine=machine, times=not chosen.no_times)
        for name, text in pages.items():
            (chosen.out / name).parent.mkdir(exist_ok=True)
            with replacing(chosen.out / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        sys.exit(f"book: cannot write {chosen.out}: {error}")
    took = time.perf_counter() - began
    print(f"{len(pages) - 1} pages in {took:.0f} s: {chosen.out / 'index.html'}")


if __name__ == "__main__":
    main()
