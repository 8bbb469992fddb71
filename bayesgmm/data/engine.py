"""Batches that lie elsewhere: an engine takes the work to them, and sends back what it comes to.

An `Engine` is all that a method asks of a cluster. `data.dask_batches` is one; `Batches` takes any other object that
has these three names. What is sent are functions of modules with their parameters bound by `functools.partial`, of a
size that does not depend on the rows; `pickle` can send them, if the package is installed where they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Engine", "Prepared", "merged"]

Batch = tuple[NDArray[np.float64], NDArray[np.float64]]  # values (n, D) and row weights (n,)


@runtime_checkable
class Engine(Protocol):
    """Batches, and what does work on them where they lie.

    Batches have an order and numbers, which are the same in every pass and differ from one another.
    """

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the D columns."""
        ...

    def fold(self, work: Callable[[Batch, int], Any], combine: Callable[[Any, Any], Any]) -> Any:
        """`work(batch, number)` of every batch, combined in the order of the batches; None if there are no batches.

        `combine` is associative, so that results can be combined where they arise.
        """
        ...

    def map(self, work: Callable[[Batch, int], Any]) -> Iterator[Any]:
        """`work(batch, number)` of every batch, in their order, a few at a time."""
        ...


@dataclass(frozen=True)
class Prepared:
    """An engine whose batches are first turned into something else, where they lie."""

    engine: Engine
    prepare: Callable[[Batch], Any]

    def fold(self, work: Callable[[Any, int], Any], combine: Callable[[Any, Any], Any]) -> Any:
        """As of the engine."""
        return self.engine.fold(partial(_after, self.prepare, work), combine)


def _after(prepare: Callable[[Batch], Any], work: Callable[[Any, int], Any], batch: Batch, number: int) -> Any:
    return work(prepare(batch), number)


def merged(combine: Callable[[Any, Any], Any], results: Iterable[Any]) -> Any:
    """Results combined in their order; those that are None are left out.

    >>> merged(max, [1, None, 3]), merged(max, [])
    (3, None)
    """
    there = (result for result in results if result is not None)
    return reduce(combine, there, next(there, None))
