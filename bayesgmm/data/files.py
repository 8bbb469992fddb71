"""Files read whole, and written whole or not at all; what the system refuses is one line that says what to do.

A file is written beside its place under a name of its own and then put there at once. Its writer holds a lock on it,
which ends with the process: the next write into the folder removes what processes that were killed have left.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from bayesgmm.arguments import shown
from bayesgmm.errors import InputError
from bayesgmm.visible import visible

__all__ = ["as_path", "check_writable", "one_error", "read_whole", "write_whole"]

_REMEDIES = {
    errno.ENOSPC: "make room, or give another folder",
    errno.EDQUOT: "make room, or give another folder",
    errno.EFBIG: "make room, or give another folder",
    errno.EACCES: "change its permissions, or give another path",
    errno.EPERM: "change its permissions, or give another path",
    errno.ENAMETOOLONG: "give a shorter name",
}


def write_whole(path: Any, *parts: bytes | memoryview) -> None:
    """Put the parts, one after the other, into a file; one that is there is replaced only by the complete one."""
    check_writable(path)
    with one_error(path, "written"):
        target = as_path(path).resolve()  # a symbolic link stays one
        for left in target.parent.glob(".bayesgmm-*.part"):
            _remove_if_left(left)
        with _part(target.parent) as (file, part):
            for content in parts:
                view = memoryview(content).cast("B")
                while view:
                    view = view[file.write(view) :]
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # an open file cannot be moved there
            os.replace(part, target)


def check_writable(path: Any) -> None:
    """Refuse a path that no file can be written to, before any work is done for it."""
    given = as_path(path)
    with one_error(path, "written"):
        target = given.resolve()
        if not stat.S_ISDIR(_mode(target.parent)):
            raise InputError(f"{visible(path)}: the folder {visible(given.parent)!r} does not exist; make it first.")
        if _mode(target):
            _check_regular(target, path)
        with _part(target.parent):
            pass


def read_whole(path: Any, start: bytes, kind: str) -> bytes:
    """The content of a file that must begin with `start`, else it is not `kind` and is not read further."""
    given = as_path(path)
    with one_error(path, "read"):
        if not _mode(given):
            raise InputError(f"{visible(path)}: there is no such file.")
        _check_regular(given, path)
        with given.open("rb") as file:
            # What the kernel shows as a file of no size may have no end.
            if os.fstat(file.fileno()).st_size == 0:
                raise InputError(f"{visible(path)}: is empty, not {kind}.")
            if file.read(len(start)) != start:
                raise InputError(f"{visible(path)}: not {kind}.")
            file.seek(0)
            return file.read()


def as_path(path: Any) -> Path:
    """A path that the system can be asked about.

    >>> as_path("fit.nc").suffix
    '.nc'
    """
    try:
        if path == "" or b"\0" in os.fsencode(path):  # no bytes for half a surrogate pair, either
            raise ValueError
        return Path(path)
    except (TypeError, ValueError) as error:
        raise InputError(f"{visible(shown(path))} cannot be the path of a file; give another one.") from error


@contextmanager
def one_error(path: Any, what: str) -> Iterator[None]:
    """Whatever the system says of a path that is read or written, as one `InputError` of one line."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "give another path")
        raise InputError(
            f"{visible(path)}: cannot be {what} ({visible(error.strerror or error)}); {remedy}."
        ) from error
    except MemoryError as error:
        raise InputError(f"{visible(path)}: cannot be {what} (not enough memory); free some.") from error


def _mode(path: Path) -> int:
    """Kind and permissions of a file; 0 where there is none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _check_regular(target: Path, path: Any) -> None:
    if stat.S_ISDIR(_mode(target)):
        raise InputError(f"{visible(path)}: is a folder; give the name of a file.")
    if not stat.S_ISREG(_mode(target)):
        raise InputError(f"{visible(path)}: is not a regular file; give the name of a file.")


@contextmanager
def _part(folder: Path) -> Iterator[tuple[FileIO, Path]]:
    """A new file of a folder, locked, and its name; gone afterwards unless it was put elsewhere."""
    while True:
        part = folder / f".bayesgmm-{secrets.token_hex(8)}.part"
        file = FileIO(part, "x")
        try:
            _lock(file.fileno(), wait=True)
            if part.exists():  # else it was taken for one left behind, before the lock
                yield file, part
                return
        finally:
            try:
                file.close()
            finally:
                part.unlink(missing_ok=True)


def _remove_if_left(part: Path) -> None:
    """Remove a file that no process is writing; one that cannot be opened or locked stays."""
    with suppress(OSError), FileIO(part, "r+") as file:
        if _lock(file.fileno(), wait=False):
            part.unlink()


if sys.platform == "win32":

    def _lock(handle: int, *, wait: bool) -> bool:
        return wait  # there a file that is being written cannot be told from one left behind

else:
    import fcntl

    def _lock(handle: int, *, wait: bool) -> bool:
        """Whether a file is locked now; never where its file system knows no locks."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
