"""Files: whole or absent, never replaced unasked; temporary files of dead processes go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from minidl import files

linux_like = pytest.mark.skipif(sys.platform == "win32", reason="no locks or links there")


@linux_like
def test_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # a socket's name must be short
        listener.bind("socket")
    names = ["file", "pipe", "socket", "."]
    assert [files.kind_of(tmp_path / n) for n in names] == ["file", "pipe", "socket", "folder"]
    assert files.kind_of("/dev/null") == "device"
    assert files.kind_of(tmp_path / "none") == files.kind_of(tmp_path / "file/none") == ""
    (tmp_path / "circle").symlink_to("circle")
    assert files.kind_of(tmp_path / "circle") == ""
    with pytest.raises(OSError, match="too long"):
        files.kind_of(tmp_path / ("long" * 100))


@linux_like
def test_only_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe is a pipe, expected a file"):
        files.read_text(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a device"):
        files.read_text("/dev/zero")
    (tmp_path / "a").write_text("größe", encoding="utf-8")
    assert files.read_text(tmp_path / "a", most=7) == "größe"
    with pytest.raises(ValueError, match="a has more than 6 bytes"):
        files.read_text(tmp_path / "a", most=6)
    with pytest.raises(FileNotFoundError):
        files.read_text(tmp_path / "none")


@linux_like
def test_what_exists_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("none")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    files.check_absent(tmp_path / "new")
    for name in ("file", "link", "nowhere"):
        with pytest.raises(FileExistsError, match=f"{name}: exists already; name another, or give"):
            files.check_absent(tmp_path / name)
        files.check_absent(tmp_path / name, force=True)
    for name, kind in (("folder", "folder"), ("pipe", "pipe")):
        for force in (False, True):
            with pytest.raises(FileExistsError, match=f"{name}: is a {kind}; expected the name"):
                files.check_absent(tmp_path / name, force=force)


@linux_like
def test_links_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far/file")
    for text in ("first", "second"):
        with files.replacing(tmp_path / "link") as temporary:
            assert temporary.parent == tmp_path / "far"
            temporary.write_text(text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "far/file").read_text() == text
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"), files.replacing(tmp_path / "loop"):
        pass
    assert (tmp_path / "loop").is_symlink()


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".png")
    with files.replacing(path) as temporary:
        temporary.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


DYING = """
import os, sys
from minidl.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print(flush=True)
    sys.stdin.read()
"""


def writer(path: Path) -> subprocess.Popen[str]:
    """Start a process that is writing a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", DYING, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert process.stdout
    process.stdout.readline()
    return process


@linux_like
def test_what_a_killed_process_left_goes_at_the_next_write(tmp_path: Path) -> None:
    (tmp_path / ".hidden.png").write_text("mine")
    (tmp_path / f"{files.UNFINISHED}folder").mkdir()
    os.mkfifo(tmp_path / f"{files.UNFINISHED}pipe")
    (tmp_path / f"{files.UNFINISHED}link").symlink_to(".hidden.png")
    others = set(tmp_path.iterdir())
    dead, alive = writer(tmp_path / "dead.png"), writer(tmp_path / "alive.png")
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert len(set(tmp_path.iterdir()) - others) == 2
    with files.replacing(tmp_path / "new.png") as temporary:
        temporary.write_text("new")
        assert len(set(tmp_path.iterdir()) - others) == 2  # the living process's file, and this one
    alive.communicate("go on")
    assert {p.name for p in set(tmp_path.iterdir()) - others} == {"new.png", "alive.png"}
    assert others <= set(tmp_path.iterdir())
    assert (tmp_path / "alive.png").read_text() == "half"


@linux_like
def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys; from minidl.files import locked\n"
        "with locked(sys.argv[1]): print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    assert process.stdout
    process.stdout.readline()
    with pytest.raises(BlockingIOError), files.locked(tmp_path):
        pass
    process.kill()
    process.communicate()
    with files.locked(tmp_path), pytest.raises(BlockingIOError), files.locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@linux_like
def test_descriptors_are_given_back(tmp_path: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))

    (tmp_path / f"{files.UNFINISHED}old").touch()
    before = count()
    for _ in range(3):
        with files.replacing(tmp_path / "a") as temporary:
            temporary.write_text("a")
        with pytest.raises(KeyError), files.replacing(tmp_path / "a"):
            raise KeyError
        with files.locked(tmp_path), pytest.raises(BlockingIOError), files.locked(tmp_path):
            pass
    assert count() == before


@linux_like
def test_a_temporary_file_is_locked_until_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer in the folder removes temporary files without a lock."""
    replace = os.replace

    def beside_another(source: Path, target: Path) -> None:
        files.remove_unfinished(tmp_path)
        replace(source, target)

    monkeypatch.setattr(os, "replace", beside_another)
    with files.replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
