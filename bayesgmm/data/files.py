"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

from bayesgmm.errors import InputError

__all__ = ["check_writable", "write_whole"]


def write_whole(path: str | PathLike[str], write: Any) -> None:
    """Call ``write(temporary)`` and put the file in place only once it is complete."""
    check_writable(path)
    target = Path(path).resolve()  # a symbolic link stays one
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".bayesgmm-", suffix=".part")
    os.close(handle)
    try:
        write(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_writable(path: str | PathLike[str]) -> None:
    """Refuse a path that no file can be written to, before any work is done for it."""
    target = Path(path)
    try:
        resolved = target.resolve()
        if resolved.is_dir():
            raise InputError(f"{target}: is a folder; give the name of a file.")
        if resolved.exists() and not resolved.is_file():
            raise InputError(f"{target}: is not a regular file; give the name of a file.")
        if not resolved.parent.is_dir():
            raise InputError(f"{target}: the folder {str(target.parent)!r} does not exist; make it first.")
        if not os.access(resolved.parent, os.W_OK):
            raise InputError(f"{target}: the folder {str(target.parent)!r} cannot be written to.")
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error}).") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
