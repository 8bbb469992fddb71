"""Work on blocks of rows that come one after the other, a few at a time in memory, divided among threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bayesgmm.kernels.threads import available_cores

__all__ = ["map_blocks"]


def map_blocks[Block, Result](
    work: Callable[[Block], Result], blocks: Iterable[Block], cores: int | None = None
) -> Iterator[Result]:
    """Results of `work` on each block, in the order of the blocks; one block a thread, and one more, are held at once.

    Sums over the results are the same whatever the number of threads.

    >>> list(map_blocks(sum, [[1, 2], [3], [4, 5]], cores=2))
    [3, 3, 9]
    """
    threads = cores or available_cores()
    with ThreadPoolExecutor(threads) as pool:
        pending = deque[Future[Any]]()
        for block in blocks:
            pending.append(pool.submit(work, block))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
