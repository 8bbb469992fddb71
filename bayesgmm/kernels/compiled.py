"""How this package compiles: `numba.njit` with a cache on disk, without the lock of the interpreter, IEEE division."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature
from numpy.typing import ArrayLike, NDArray

from bayesgmm.kernels.cache import KernelCache

__all__ = ["add", "callback", "compiled", "plain", "put", "source_version"]


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit` as a decorator, with or without further options.

    No second wrapper, for callers in C, is made: there are none, and it took a tenth of the time of compilation.
    """
    usual = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    if function is None:
        return lambda function: compiled(function, **options)
    dispatcher = njit(**(usual | options))(function)
    dispatcher._cache = KernelCache(function)
    return dispatcher


def callback(signature: Any) -> Callable[[Callable[..., Any]], Callable[[], Any]]:
    """`numba.cfunc` as a decorator: what it makes compiles a function that C can call when first asked for it."""

    def decorate(function: Callable[..., Any]) -> Callable[[], Any]:
        @cache
        def made() -> Any:
            code: Any = CFunc(function, normalize_signature(signature), locals={}, options={"error_model": "numpy"})
            code._cache = KernelCache(function)
            code.compile()
            return code

        return made

    return decorate


def plain(*arrays: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Numbers as one array type, contiguous and not read-only: of any other a kernel would be compiled anew.

    >>> [a.flags.c_contiguous for a in plain(np.eye(3)[:, :2], np.broadcast_to(1.0, 3))]
    [True, True]
    """
    return tuple(np.require(a, dtype=np.float64, requirements=["C", "W"]) for a in arrays)


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
