"""Work divided among threads; compiled functions release the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

__all__ = ["available_cores", "one_blas_thread", "over_threads"]


def available_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # it looks through all loaded libraries, which takes milliseconds


def one_blas_thread() -> AbstractContextManager[Any]:
    """Linear algebra with one thread, which for small matrices is quicker than with several.

    The others would, besides, go on waiting for work some thirty milliseconds after their last, and take a processor
    from what comes next.

    >>> with one_blas_thread():
    ...     x = np.eye(2) @ np.eye(2)
    """
    return _controller().limit(limits=1, user_api="blas")


def over_threads(work: Callable[[slice], Any], n_items: int, cores: int | None = None) -> list[Any]:
    """Results of `work` on equal slices of `n_items`, one a thread; None is every processor.

    >>> over_threads(lambda s: int(s.stop - s.start), 5, cores=2)
    [2, 3]
    """
    threads = max(1, min(cores or available_cores(), n_items))
    edges = np.linspace(0, n_items, threads + 1).astype(int)
    slices = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, slices))
