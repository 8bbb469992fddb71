"""How this package compiles: `numba.njit` with a cache on disk, without the lock of the interpreter, IEEE division."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["add", "compiled", "put"]


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit` as a decorator, with or without further options.

    No second wrapper, for callers in C, is made: there are none, and it took a tenth of the time of compilation.
    """
    decorate = njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True, **options)
    return decorate if function is None else decorate(function)


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
