"""Odd files, names, signals and settings: one line, no waiting, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from minidl.kernels.cpu.runtime import threadpool
from minidl.models import cli
from tests.test_cli_refusals import complaints, here, minidl, originals

__all__ = ["here", "originals"]  # fixtures


@pytest.fixture
def odd(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with entries that are no plain files."""
    monkeypatch.chdir(tmp_path)
    for name in ("good.png", "noise.st"):
        (tmp_path / name).write_bytes((here / name).read_bytes())
    for name in ("pipe.png", "pipe.st"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "nowhere.png").symlink_to("none.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "a\n\033[31mb.png").write_text("no picture")
    return tmp_path


NOISE = "--sigma 25 --weights noise.st"
ODD = [
    (f"denoise pipe.png -o out.png {NOISE}", "pipe.png: is a pipe; expected a picture's file"),
    (f"denoise zero.png -o out.png {NOISE}", "zero.png: is a device; expected a picture's file"),
    (f"denoise loop.png -o out.png {NOISE}", "loop.png: there is no such file"),
    ("denoise good.png -o out.png --weights pipe.st", "pipe.st: no such checkpoint"),
    ("denoise good.png -o out.png --weights zero.png", "zero.png: no such checkpoint"),
    (f"denoise good.png -o nowhere.png {NOISE}", "nowhere.png: exists already"),
    (f"denoise good.png -o loop.png {NOISE}", "loop.png: "),
    (f"denoise good.png -o pipe.png {NOISE} --force", "pipe.png: is a pipe; expected the name"),
    (f"denoise good.png -o zero.png {NOISE} --force", "zero.png: is a device; expected the name"),
    (f"denoise 'a\n\033[31mb.png' -o out.png {NOISE}", r"a\n\x1b[31mb.png: is not a picture"),
    ("train ssda --out new --data pipe.png --steps 3", "pipe.png: none of its pictures can be"),
    ("'a\n\033[31mb'", r"invalid choice: 'a\n\x1b[31mb'"),
    ("doctor 'a\n\033[31mb'", r"unrecognized arguments: a\n\x1b[31mb"),
]


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
@pytest.mark.parametrize(("line", "words"), ODD, ids=range(len(ODD)))
def test_what_is_no_plain_file_is_refused(
    line: str, words: str, odd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(odd.iterdir())
    assert minidl(line) == 2
    said = complaints(capsys)
    assert words in said[-1] and sorted(odd.iterdir()) == before
    assert all(line.isprintable() for line in said)


@pytest.mark.skipif(os.name == "nt", reason="no links there")
def test_a_link_is_written_through_by_force(odd: Path) -> None:
    assert minidl(f"denoise good.png -o nowhere.png --force {NOISE}") == 0
    assert (odd / "nowhere.png").is_symlink()
    assert Image.open(odd / "none.png").size == (17, 13)


def test_names_are_shown_escaped(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("good.png").rename("photos/\033[31mred.png")
    assert minidl(f"denoise photos -o new {NOISE}") == 0
    out, err = capsys.readouterr()
    assert out.startswith(r"photos/\x1b[31mred.png -> new/\x1b[31mred.png") and "\033" not in err
    assert Path("new/\033[31mred.png").exists()


def test_ctrl_c_while_the_command_line_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def strike() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parser", strike)
    assert cli.main([]) == 130
    assert capsys.readouterr().err == "\nminidl: stopped\n"


@pytest.mark.parametrize("value", ["²", "0", "-1", "many", "1" * 5000, "1.5"])
def test_a_bad_number_of_threads(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_THREADS", value)
    with pytest.raises(ValueError, match=r"^MINIDL_THREADS is '.*'; expected a number of threads"):
        threadpool._available()


def test_doctor_names_bad_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINIDL_THREAD", "2")
    assert minidl("doctor") == 1
    assert "settings   MINIDL_THREAD unknown; expected MINIDL_THREADS" in capsys.readouterr().out
    monkeypatch.delenv("MINIDL_THREAD")
    code = "import sys; from minidl.models.cli import main; sys.exit(main())"
    for name in ("MINIDL_THREADS", "MINIDL_SIMD", "MINIDL_DENSE"):
        run = subprocess.run(
            [sys.executable, "-c", code, "doctor"],
            env={**os.environ, name: "²"}, capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        assert run.returncode == 2 and f"minidl doctor: {name} is '²'; expected" in run.stderr


def test_memory_that_is_short_is_told_as_such(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (MemoryError(), OSError("out of memory error when reading image file")):

        def fail(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("minidl.models.images.files._decode", fail)
        assert minidl("denoise good.png -o out.png --sigma 9 --weights noise.st") == 2
        assert "good.png: there is not enough memory to open it" in complaints(capsys)[0]
