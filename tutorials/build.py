"""Make the notebooks: convert every lesson's source, run it from top to bottom, and write it.

    python -m tutorials.build             all lessons
    python -m tutorials.build 04 06       two lessons
    python -m tutorials.build --check     run them, and write nothing

Edit the source NN_name.py, which is in jupytext's percent format. Read NN_name.ipynb beside it.
A lesson runs in a fresh kernel and an empty folder, without a network. It must neither fail nor
warn nor take longer than three minutes (--timeout for a busy machine).
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minidl.files import replacing

FOLDER = Path(__file__).parent
TIMEOUT = 180  # seconds for a lesson
# Hashes do not depend on the process, no address answers, and every library has one thread.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": str(FOLDER.parent),
    **dict.fromkeys(["MINIDL_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1"),
    **dict.fromkeys(["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"], "http://0.0.0.0:9"),
}


class LessonError(RuntimeError):
    """A lesson that fails, warns, or takes too long."""


def sources(wanted: list[str] | None = None) -> list[Path]:
    """Return the lessons' sources in order: all, or the lessons of the given numbers.

    Raises LessonError for a number without a lesson.
    """
    found = {path.name[:2]: path for path in sorted(FOLDER.glob("[0-9][0-9]_*.py"))}
    unknown = sorted(set(wanted or ()) - set(found))
    if unknown:
        raise LessonError(f"there is no lesson {unknown[0]!r}; expected some of {', '.join(found)}")
    return [found[number] for number in wanted or found]


def read(source: Path) -> Any:
    """Return the notebook of a source, not yet run."""
    import jupytext

    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata, cell.source = f"cell-{number:02}", {}, cell.source.strip("\n")
    return notebook


def run(source: Path, timeout: float = TIMEOUT) -> Any:
    """Run a source, and return its notebook.

    Raises LessonError if it fails, warns, or takes longer than `timeout` seconds.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = read(source)
    with _environment(), tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=int(timeout),
            record_timing=False,
            extra_arguments=["--IPKernelApp.log_level=40"],
            resources={"metadata": {"path": folder}},
        )
        begin = time.perf_counter()
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise LessonError(f"{source.name} does not run to its end:\n{error}") from error
    if time.perf_counter() - begin > timeout:
        raise LessonError(f"{source.name} takes longer than {timeout:g} seconds")
    # The kernel's own metadata differ from machine to machine; keep the source's.
    notebook.metadata = read(source).metadata
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise LessonError(f"{source.name} warns:\n{output['text']}")
            _shrink(output)
    return notebook


@contextmanager
def _environment() -> Iterator[None]:
    """Set the environment that a kernel inherits."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _shrink(output: Any) -> None:
    """Store figures in 256 colours, or in grey if they are grey, without their text."""
    from PIL import Image, ImageChops

    data = output.get("data", {})
    if "image/png" not in data:
        return
    data.pop("text/plain", None)
    output["metadata"] = {}
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
    grey = picture.convert("L")
    if ImageChops.difference(picture, grey.convert("RGB")).getbbox():
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    else:
        picture = grey
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    data["image/png"] = base64.b64encode(file.getvalue()).decode()


def write(notebook: Any, source: Path) -> Path:
    """Write the notebook beside its source; an older one stays if this fails."""
    import nbformat

    path = source.with_suffix(".ipynb")
    with replacing(path) as temporary:
        temporary.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tutorials.build",
        description="Run the lessons and write their notebooks.",
        epilog="example: python -m tutorials.build 04",
    )
    parser.add_argument("lessons", nargs="*", metavar="NN", help="numbers of lessons; default all")
    parser.add_argument("--check", action="store_true", help="run them, and write nothing")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT, help="seconds for a lesson (%(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        for source in sources(options.lessons):
            begin = time.perf_counter()
            notebook = run(source, options.timeout)
            seconds = time.perf_counter() - begin
            size = ""
            if not options.check:
                size = f", {write(notebook, source).stat().st_size / 1024:.0f} KiB"
            print(f"{source.stem}: {seconds:.0f} s{size}", flush=True)
    except (LessonError, ImportError) as error:
        print(f"tutorials: {error}", file=sys.stderr)
        if isinstance(error, ImportError):
            print("Install what lessons need: pip install -e '.[notebooks]'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
