"""Work on blocks of rows that come one after the other: by threads, a few at a time in memory, or where they lie."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from typing import Any

from bayesgmm.kernels.threads import available_cores

__all__ = ["add", "fold_blocks"]


def fold_blocks[Block, Result](
    work: Callable[[Block, int], Result], combine: Callable[[Result, Result], Result], blocks: Iterable[Block],
    cores: int | None = None,
) -> Result:  # fmt: skip
    """Results of `work` on each block and its number, combined in the order of the blocks.

    Parameters
    ----------
    work, combine : callable
        Functions of a module, or partial ones, which can be sent to other processes; `combine` is associative.
    blocks : iterable
        At least one. Where they have an engine (`data.engine`) as ``elsewhere``, that does the work.
    cores : int or None
        Threads; None is every processor. The result does not depend on it. A block a thread, and one more, are held at
        once. An engine has its own.

    Examples
    --------
    >>> fold_blocks(lambda block, number: (sum(block), number), add, [[1, 2], [3], [4, 5]], cores=2)
    (15, 3)
    """
    elsewhere = getattr(blocks, "elsewhere", None)
    if elsewhere is not None:
        return elsewhere.fold(work, combine)
    return reduce(combine, _in_threads(work, blocks, cores or available_cores()))


def add(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sums of the numbers and arrays of two tuples.

    >>> add((1, 2.0), (3, 4.0))
    (4, 6.0)
    """
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _in_threads[Block, Result](
    work: Callable[[Block, int], Result], blocks: Iterable[Block], threads: int
) -> Iterator[Result]:
    with ThreadPoolExecutor(threads) as pool:
        pending = deque[Future[Any]]()
        for number, block in enumerate(blocks):
            pending.append(pool.submit(work, block, number))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
