"""How this package compiles: `numba.njit` with a cache on disk, without the lock of the interpreter, IEEE division."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config, njit

__all__ = ["add", "compiled", "put", "source_version"]


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit` as a decorator, with or without further options.

    No second wrapper, for callers in C, is made: there are none, and it took a tenth of the time of compilation. Where
    neither the package nor the home directory can be written to, the cache is in the directory for temporary files.
    """
    usual = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    decorate = njit(**(usual | options))
    if function is None:
        return lambda function: compiled(function, **options)
    try:
        return decorate(function)
    except RuntimeError:  # no place for a cache
        if config.CACHE_DIR:
            raise
        config.CACHE_DIR = os.path.join(
            tempfile.gettempdir(), f"bayesgmm-{os.getuid() if hasattr(os, 'getuid') else 0}"
        )
        return decorate(function)


@cache
def source_version(*folders: str) -> int:
    """A number that changes with any source file in these folders of the package: who keeps compiled graphs of kernels
    keeps them under it."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (package / folder).rglob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:6])


# `target[:] = source` compiles to twelve times as much code, for shapes to broadcast and memory that may overlap.


@compiled
def put(target, source):
    """Overwrite `target` by `source`, of the same shape."""
    for i in range(target.size):
        target.flat[i] = source.flat[i]


@compiled
def add(target, source):
    """Add `source`, of the same shape, to `target`."""
    for i in range(target.size):
        target.flat[i] += source.flat[i]
