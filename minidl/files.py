"""Files that appear whole or not at all, and locks that end with their process.

Nothing here knows of pictures or models. `replacing` writes every file of this project.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

UNFINISHED = ".minidl-unfinished-"  # how the names of temporary files begin


def kind_of(path: str | Path) -> str:
    """Return what is at a path, following links: "file", "folder", "pipe", "socket", "device" or
    "". Raises OSError if that cannot be found out.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return ""
        raise
    kinds = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
    }
    return kinds.get(stat.S_IFMT(mode), "device")


def read_text(path: str | Path, *, most: int = 1 << 30) -> str:
    """The text of a file of at most `most` bytes. Raises OSError for anything that is no file, so
    that nothing waits for a pipe, and ValueError for more, or for what is not UTF-8."""
    kind = kind_of(path)
    if kind not in ("file", ""):
        raise OSError(f"{Path(path).name} is a {kind}, expected a file")
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{Path(path).name} has more than {most} bytes")
    return content.decode()


def check_absent(path: str | Path, *, force: bool = False) -> None:
    """Raise FileExistsError where a file would be replaced unasked; a link to nowhere counts.

    force: replace it; but never a folder, a pipe or a device.
    """
    kind = kind_of(path)
    if kind not in ("file", ""):
        raise FileExistsError(f"{path}: is a {kind}; expected the name of a file to write")
    if os.path.lexists(path) and not force:
        raise FileExistsError(
            f"{path}: exists already; name another, or give --force to replace it"
        )


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file's name beside `path`, renamed to it at the end; on any error, removed.

    A link is written through. What killed processes have left in the folder is removed first.
    Raises OSError, such as for a folder that is not there.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder")
    remove_unfinished(target.parent)
    handle, temporary = _new_beside(target)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's own rights are for one user alone
        if sys.platform == "win32":  # where no open file can be renamed
            os.close(handle)
            handle = -1
        os.replace(temporary, target)
    finally:
        if handle >= 0:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def _new_beside(target: Path) -> tuple[int, Path]:
    """A new file in the folder of `target`, with its suffix; open, and locked where that can be."""
    while True:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=UNFINISHED, suffix=target.suffix)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not os.fstat(handle).st_nlink:  # taken for a dead one's before it was locked
                os.close(handle)
                continue
        return handle, Path(name)


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files in a folder that no living process has locked. On Windows, where
    they have no locks, all stay."""
    if sys.platform == "win32":
        return
    with os.scandir(folder) as entries:
        left = [e.path for e in entries if e.name.startswith(UNFINISHED) and _plain(e)]
    for path in left:
        with contextlib.suppress(OSError):  # locked, gone, or not ours to remove
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(handle)


def _plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Within, the folder is locked for all other processes that ask for the same.

    The system takes the lock back when the process ends, however it ends. Raises BlockingIOError if
    another has it. On file systems without locks there is none.
    """
    if sys.platform == "win32":  # a folder cannot be opened there: a file in it that goes by itself
        name = os.path.join(folder, ".minidl-lock")
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TEMPORARY)
    else:
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            if sys.platform == "win32":
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
                raise BlockingIOError(error.errno, "is locked by another process") from error
        yield
    finally:
        os.close(handle)
