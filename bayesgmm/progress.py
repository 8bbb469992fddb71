"""What a call is doing, for how long, and how long it may go on.

`working` opens a piece of work; `stage` names what is done next, and adds up the seconds of each name. The work in hand
is a context variable, so that no function needs to hand it on: a sampler asks `out_of_time` between its steps and ends
as at Ctrl-C, with what it has, and asks `work_allowed` how much it may do.

Shown is a bar on a terminal and in a notebook; elsewhere plain lines on standard error, of work that takes longer than
two seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Work", "out_of_time", "patient", "rough_will_do", "sampling_progress", "stage", "time_left", "work_allowed",
    "working",
]  # fmt: skip

_QUIET = 2.0  # seconds before the first line
_PAUSE = 0.5  # least, between lines
_EVERY = 10.0  # seconds between lines of one stage


@dataclass
class Work:
    """A piece of work: its name, its limits, and the seconds that its stages took."""

    name: str
    deadline: float
    max_work: float
    display: Any
    rough: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    inner: float = 0.0  # seconds of stages within the present one


_work: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def working(
    name: str = "",
    *,
    max_seconds: float = float("inf"),
    max_work: float = float("inf"),
    rough: bool = False,
    progressbar: bool = False,
) -> Iterator[Work]:
    """Open a piece of work; within another one its name is added and the narrower limits hold.

    Parameters
    ----------
    name : str
        Such as ``"K = 3"``; shown before the stages.
    max_seconds : float
        From now on, what asks `out_of_time` stops after so many.
    max_work : float
        Multiply-adds of a sampler's longest run; see `inference.gibbs.sample.MAX_WORK`.
    rough : bool
        A sampler may end as soon as its chains roughly agree.
    progressbar : bool
        Show what is done, unless that is shown already.

    Examples
    --------
    >>> with working("K = 2", max_seconds=60.0) as work:
    ...     with stage("EM"):
    ...         late = out_of_time()
    >>> late, list(work.seconds)
    (False, ['EM'])
    """
    outer, now = _work.get(), time.monotonic()
    display = outer.display if outer is not None else None
    opened = None
    if display is None and progressbar:
        display = opened = _Live() if _can_show() else _Lines()
    names = [n for n in (outer.name if outer else "", name) if n]
    work = Work(
        ", ".join(names), min(now + max_seconds, outer.deadline if outer else float("inf")),
        min(max_work, outer.max_work if outer else float("inf")), display, rough or (outer is not None and outer.rough),
    )  # fmt: skip
    token = _work.set(work)
    try:
        yield work
    finally:
        _work.reset(token)
        if outer is not None:
            for key, seconds in work.seconds.items():
                outer.seconds[key] = outer.seconds.get(key, 0.0) + seconds
            outer.inner += work.inner
        if opened is not None:
            opened.close()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Name what is done, and add its seconds, without those of stages within it, to the work in hand."""
    work = _work.get()
    if work is None:
        yield
        return
    if work.display is not None:
        work.display.show(_label(work, name))
    began, before, work.inner = time.perf_counter(), work.inner, 0.0
    try:
        yield
    finally:
        seconds = time.perf_counter() - began
        work.seconds[name] = work.seconds.get(name, 0.0) + seconds - work.inner
        work.inner = before + seconds


def out_of_time() -> bool:
    """Whether the work in hand has used its seconds."""
    work = _work.get()
    return work is not None and time.monotonic() >= work.deadline


def time_left() -> float:
    """Seconds that the work in hand has left; infinite without a limit."""
    work = _work.get()
    return float("inf") if work is None else work.deadline - time.monotonic()


@contextmanager
def patient() -> Iterator[None]:
    """Let what is done within take the time that it needs."""
    work = _work.get()
    if work is None:
        yield
        return
    deadline, work.deadline = work.deadline, float("inf")
    try:
        yield
    finally:
        work.deadline = deadline


def rough_will_do() -> bool:
    """Whether a sampler may end as soon as its chains roughly agree."""
    work = _work.get()
    return work is not None and work.rough


def work_allowed(most: float) -> float:
    """`most`, or the work in hand's own limit where that is less."""
    work = _work.get()
    return most if work is None else min(most, work.max_work)


@contextmanager
def sampling_progress(
    enabled: bool, n_chains: int, n_total: int, label: str, what: str = "draws"
) -> Iterator[Callable[[int, int, int], None]]:
    """Yield ``report(chain, finished, divergences)``, which any thread may call."""
    with working(progressbar=enabled) as work:
        if work.display is None:
            yield lambda chain, finished, divergences: None
            return
        display, finished_of, divergences_of = work.display, [0] * n_chains, [0] * n_chains
        display.show(_label(work, label), n_chains * n_total, what)

        def report(chain: int, finished: int, divergences: int) -> None:
            finished_of[chain], divergences_of[chain] = finished, divergences
            display.update(sum(finished_of), sum(divergences_of))

        yield report


def _label(work: Work, what: str) -> str:
    return f"{work.name}: {what}" if work.name else what


def _can_show() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class _Live:
    """A bar that goes when the work is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn()
        )  # fmt: skip
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=None, count="")
        self._total: int | None = None
        self._unit = ""
        self._progress.start()

    def show(self, what: str, total: int | None = None, unit: str = "") -> None:
        self._total, self._unit = total, unit
        self._progress.update(self._task, description=what, total=total, completed=0, count="")

    def update(self, completed: int, divergences: int) -> None:
        count = f"{completed}/{self._total} {self._unit}" + (f", {divergences} divergences" if divergences else "")
        self._progress.update(self._task, completed=completed, count=count)

    def close(self) -> None:
        self._progress.stop()


class _Lines:
    """A line for each stage, with the seconds so far, and one every ten seconds of a long one."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._what, self._total = "", 0

    def show(self, what: str, total: int | None = None, unit: str = "") -> None:
        self._what, self._total = what, total or 0
        self._print("")

    def update(self, completed: int, divergences: int) -> None:
        if time.monotonic() - self._last > _EVERY and self._total:
            self._print(f", {completed / self._total:.0%}" + (f", {divergences} divergences" if divergences else ""))

    def _print(self, more: str) -> None:
        now = time.monotonic()
        if now - self._began >= _QUIET and now - self._last >= _PAUSE:
            self._last = now
            # At once: `print` writes the end of the line by itself, which a signal may part from it.
            sys.stderr.write(f"[{now - self._began:5.0f} s] {self._what}{more}\n")
            sys.stderr.flush()

    def close(self) -> None:
        pass
