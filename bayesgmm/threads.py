"""Work divided among threads; compiled functions release the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

__all__ = ["available_cores", "over_threads"]


def available_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


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
