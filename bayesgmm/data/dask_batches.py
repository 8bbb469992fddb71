"""Batches of a Dask collection: work is done where its partitions lie, by whatever scheduler Dask has.

A pass is one graph: a task a partition, which goes through its rows in batches, and a tree of fixed shape over the
results. So sums are added in the same order however many threads or workers there are, and a task whose worker is lost
is done anew by another. With a client of `distributed` the partitions are kept on the workers as long as the
batches are used, since else every pass would read or send them again; Dask writes to disk what exceeds their memory.
Without one, threads, or what ``dask.config.set(scheduler=...)`` says, read them in every pass.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bayesgmm.data.engine import Batch, merged
from bayesgmm.data.frames import default_names
from bayesgmm.errors import InputError

__all__ = ["DaskBatches", "is_dask"]

_AT_ONCE = 16  # results that are combined by a task, and partitions whose results are fetched at a time
_MOST = 1 << 32  # batches of a partition

type Read = Callable[[Any], Iterable[Batch]]


def is_dask(source: Any) -> bool:
    """Whether a source is a collection of Dask, of whatever kind.

    >>> is_dask([[1.0]])
    False
    """
    return type(source).__module__.split(".")[0] in ("dask", "dask_expr") and hasattr(source, "compute")


class DaskBatches:
    """An `Engine` of the partitions of a Dask collection.

    Parameters
    ----------
    source : dask.array.Array or dask.dataframe.DataFrame
    columns, weights : sequence of str, str, or None
        As of `Batches`.
    read : callable
        Turns a partition (array or frame) into batches; it is sent to the workers.

    Raises
    ------
    InputError
        Another collection, or an array whose columns lie in several chunks.
    """

    def __init__(self, source: Any, columns: Sequence[str] | None, weights: str | None, read: Read) -> None:
        self._is_frame = hasattr(source, "get_partition")
        if not isinstance(getattr(source, "npartitions", None), int) or getattr(source, "ndim", 0) != 2:
            kind = type(source).__name__
            raise InputError(f"X is a {kind} of Dask: give a dask.array of two dimensions or a dask.dataframe.")
        if not self._is_frame and source.numblocks[1] != 1:
            chunks = source.numblocks[1]
            raise InputError(f"X has its columns in {chunks} chunks, and a row lies in one: give X.rechunk({{1: -1}}).")
        names = map(str, source.columns) if self._is_frame else default_names(source.shape[1])
        self.feature_names = tuple(columns or (name for name in names if name != weights))
        self._source, self._read = source, read
        self._kept: tuple[Any, list[Any]] | None = None

    def fold(self, work: Callable[[Batch, int], Any], combine: Callable[[Any, Any], Any]) -> Any:
        """As `Engine.fold`."""
        of_results, results = _task(merged), self._of_partitions(work, combine)
        while len(results) > 1:
            groups = [results[i : i + _AT_ONCE] for i in range(0, len(results), _AT_ONCE)]
            results = [of_results(combine, group) for group in groups]
        return _computed(results)[0]

    def map(self, work: Callable[[Batch, int], Any]) -> Iterator[Any]:
        """As `Engine.map`."""
        results = self._of_partitions(work, None)
        for start in range(0, len(results), _AT_ONCE):
            for found in _computed(results[start : start + _AT_ONCE]):
                yield from found

    def _of_partitions(self, work: Callable[[Batch, int], Any], combine: Any) -> list[Any]:
        """Tasks that go through a partition."""
        import cloudpickle
        import dask

        sent, of_partition = dask.delayed(cloudpickle.dumps(work), traverse=False), _task(_of_partition)
        return [of_partition(part, number, sent, combine) for number, part in enumerate(self._partitions())]

    def _partitions(self) -> list[Any]:
        """Tasks that read a partition; kept on the workers of the client, if it is one that computes."""
        import dask
        from dask.base import get_scheduler

        client = getattr(get_scheduler(), "__self__", None)
        if self._kept is None or self._kept[0] is not client:
            parts, read = self._source.to_delayed(), _task(_batches)
            parts = list(parts) if self._is_frame else parts.ravel().tolist()
            parts = [read(part, number, self._read) for number, part in enumerate(parts)]
            self._kept = client, parts if client is None else list(dask.persist(*parts))
        return self._kept[1]


def _task(function: Callable[..., Any]) -> Callable[..., Any]:
    import dask

    return dask.delayed(function, pure=False)


def _computed(what: list[Any]) -> tuple[Any, ...]:
    import dask

    try:
        return dask.compute(*what)
    except InputError as error:  # from another process with its traceback
        raise InputError(str(getattr(error, "exception", error))) from None


def _of_partition(batches: list[Batch], number: int, sent: bytes, combine: Callable[[Any, Any], Any] | None) -> Any:
    """Results of the batches of a partition, combined or as a list.

    Arrays that Dask has sent cannot be written to, and Numba compiles another function for those, which rounds in
    another way: so `sent` is work as bytes, and of such batches copies are made.
    """
    work = pickle.loads(sent)
    own = ((np.require(values, requirements="W"), np.require(weights, requirements="W")) for values, weights in batches)
    results = (work(batch, number * _MOST + i) for i, batch in enumerate(own))
    return list(results) if combine is None else merged(combine, results)


def _batches(part: Any, number: int, read: Read) -> list[Batch]:
    try:
        return list(read(part)) if len(part) else []
    except InputError as error:
        raise InputError(f"In partition {number} (counted from 0): {error}") from None
