"""Progress on a terminal or in a notebook, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["sampling_progress"]


def _can_show() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


@contextmanager
def sampling_progress(
    enabled: bool, n_chains: int, n_total: int, label: str
) -> Iterator[Callable[[int, int, int], None]]:
    """Yield ``report(chain, finished, divergences)``; a bar over all chains when there is somewhere to show it."""
    if not (enabled and _can_show()):
        yield lambda chain, finished, divergences: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    finished_of = [0] * n_chains
    divergences_of = [0] * n_chains
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} draws"),
        TextColumn("{task.fields[divergences]} divergences"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=n_chains * n_total, divergences=0)

        def report(chain: int, finished: int, divergences: int) -> None:
            finished_of[chain], divergences_of[chain] = finished, divergences
            progress.update(task, completed=sum(finished_of), divergences=sum(divergences_of))

        yield report
