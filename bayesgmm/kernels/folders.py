"""Folders to keep compiled code in, where those that are usual cannot be written to."""

from __future__ import annotations

import os
import stat
import tempfile
import warnings
from functools import cache

__all__ = ["private_folder", "pytensor_folder"]


@cache
def private_folder() -> str | None:
    """A folder for temporary files that is this user's, and that nobody else can write to or replace."""
    try:
        parent = tempfile.gettempdir()
        if not hasattr(os, "getuid"):
            return os.path.join(parent, "bayesgmm")
        path = os.path.join(parent, f"bayesgmm-{os.getuid()}")
        if not os.path.lexists(path):
            os.mkdir(path, 0o700)
        found, around = os.lstat(path), os.stat(parent)
    except OSError:
        return None
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    stays = around.st_mode & stat.S_ISVTX or not around.st_mode & 0o022
    return path if mine and stays else None


def pytensor_folder() -> None:
    """To be called before PyTensor is imported: it compiles into the home directory, and does not start without one."""
    given = os.environ.get("PYTENSOR_FLAGS", "")
    if "base_compiledir" in given or _can_be_made(os.path.expanduser(os.path.join("~", ".pytensor"))):
        return
    place = os.path.join(private_folder() or tempfile.mkdtemp(prefix="bayesgmm-"), "pytensor")
    os.environ["PYTENSOR_FLAGS"] = ",".join(filter(None, [given, f"base_compiledir={place}"]))
    said = f"PyTensor compiles into {place}, for want of a home directory; PYTENSOR_FLAGS=base_compiledir=... names it."
    warnings.warn(said, UserWarning, stacklevel=3)


def _can_be_made(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
