"""Ctrl-C on the command line: exit code 130 and one sentence that says what there is.

Only the console script watches; in the library a `KeyboardInterrupt` stays what it is, and samplers end with the draws
they have. An exception alone would not do. While a C extension is imported, or LLVM asks for compiled code, it can end
in a crash, so that it waits for a moment. Raised within another callback of C, Python prints and drops it, so that it
is raised again. And threads may run while the interpreter is taken down, so that it is not taken down. Nothing is
imported here that takes time, since an interruption before `start` is a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False  # `typing` itself takes longer to import than all else here
if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType
    from typing import Any, NoReturn

__all__ = ["Watch", "watch"]

_ONE = 0.2  # seconds in which signals are one: `timeout` sends it to a process and to its group
_SOON = 0.02  # seconds until an interruption that had to wait is raised again
_LONGEST = 3.0  # seconds for what is to be done at the end, such as ending other processes


class Watch:
    """What has been asked of this process, and what it has made.

    Attributes
    ----------
    code : int
        128 and the number of the signal; 0 if there was none.
    busy : bool
        Something has begun that must be tidied up or may have a partial result: an interruption is an exception.
    printed : str
        What standard output holds, if anything.
    """

    def __init__(self) -> None:
        self.code = 0
        self.busy = False
        self.printed = ""
        self._files: list[tuple[Path, tuple[int, ...], str, str]] = []
        self._folder: Path | None = None
        self._finishing = self._waiting = False
        self._first = 0.0

    def start(self) -> None:
        """Take over the signals, unless they are ignored as by ``nohup``, and what Python prints by itself."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._asked)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, self._again)
        sys.unraisablehook = self._dropped
        sys.excepthook = self._printed_by_c

    def stop(self) -> None:
        """Where there was a signal, end with the sentence, whatever became of it; else it is too late for one."""
        if self.code:
            self.leave()
        _ignore()

    def files(self, *given: tuple[Path | None, str, str], folder: Path | None = None) -> None:
        """Files that are to be made: each with what to say if it was made and if not; a folder of finished fits."""
        self._files = [(path, _stamp(path), made, missing) for path, made, missing in given if path is not None]
        self._folder, self.printed = folder, ""

    def __enter__(self) -> None:
        """What is done within, short, is brought to its end; a second signal ends it."""
        self._finishing, self._waiting = True, False

    def __exit__(self, *_: object) -> None:
        self._finishing = False
        if self._waiting:
            self._waiting = False
            raise KeyboardInterrupt

    def sentence(self) -> str:
        """What there is: asked of the disk, so that it is true at whatever moment the signal came."""
        made = [_stamp(path) != before for path, before, _, _ in self._files]
        said = [self.printed] if self.printed else []
        if any(made) or said:
            said += [yes if there else no for there, (_, _, yes, no) in zip(made, self._files, strict=True)]
        finished = len(list(self._folder.glob("*.nc"))) if self._folder is not None else 0
        if finished:
            said.append(f"{finished} finished {'fit is' if finished == 1 else 'fits are'} kept in {self._folder}")
        return f"bayesgmm: interrupted; {', '.join(said) or 'nothing was written'}"

    def leave(self) -> NoReturn:
        """Say the sentence and end, at once."""
        _ignore()
        try:
            from contextlib import suppress

            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            cursor = "\x1b[?25h" if os.isatty(2) else ""  # a bar hides it
            os.write(2, f"{cursor}{self.sentence()}\n".encode(errors="replace"))
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, 0.0)
                signal.signal(signal.SIGALRM, lambda *_: os._exit(self.code))
                signal.setitimer(signal.ITIMER_REAL, _LONGEST)
            import atexit

            with suppress(Exception):
                atexit._run_exitfuncs()  # ends processes that compile or fit
        finally:
            os._exit(self.code)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if not self.code:
            self.code, self._first = 128 + number, time.monotonic()
            self._interrupt(frame)
        elif time.monotonic() - self._first > _ONE:
            self.leave()

    def _again(self, _: int, frame: FrameType | None) -> None:
        self._interrupt(frame)

    def _interrupt(self, frame: FrameType | None) -> None:
        if self._finishing:
            self._waiting = True
        elif not self.busy:  # nothing to tidy up
            self.leave()
        elif _must_wait(frame) and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, _SOON)
        else:
            raise KeyboardInterrupt

    def _dropped(self, what: Any) -> None:
        """An exception that nobody could catch: an interruption is raised again, anything else printed as ever."""
        if not self.code:
            sys.__unraisablehook__(what)
        elif issubclass(what.exc_type, KeyboardInterrupt) and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, _SOON)

    def _printed_by_c(self, kind: Any, error: Any, where: Any) -> None:
        """C extensions print exceptions before they raise others."""
        if not self.code:
            sys.__excepthook__(kind, error, where)


def _must_wait(frame: FrameType | None) -> bool:
    """Something is being imported, or LLVM asks Numba for compiled code and would go on with none."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name.startswith("_raw_object_cache"):
            return True
        frame = frame.f_back
    return False


def _stamp(path: Path) -> tuple[int, ...]:
    """Differs after a file was put in place."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _ignore() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


watch = Watch()
