"""The first minutes on a new machine: Gibbs sweeps take half a minute to compile, so another process begins at once.

Compiled code is kept on disk (Numba's cache). Where the sweeps are not there, `begin` starts a process that compiles
them while this one looks for starts and compiles what is needed after sampling, on the other core; `finish` waits for
it before the first sweep. Only one process compiles: others that share the cache wait for the same one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bayesgmm.inference.gibbs.sweeps import sweep_many
from bayesgmm.model.problem import Problem
from bayesgmm.progress import stage

__all__ = ["begin", "compile_and_say", "compile_sweeps", "finish"]

_LONGEST = 300.0  # seconds that another process is waited for
_started: list[subprocess.Popen[bytes]] = []


def begin() -> None:
    """Start compiling in another process if the cache lacks the sweeps, can be written to, and nobody does."""
    if _is_compiled() or _working() or _started:
        return
    with contextlib.suppress(OSError):
        _claim().parent.mkdir(parents=True, exist_ok=True)
        _claim().touch()
        code = "from bayesgmm.inference.first_use import compile_and_say; compile_and_say()"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _started.append(process)
        atexit.register(_stop, process)
        _claim().write_text(str(process.pid))


def finish(meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until nobody compiles the sweeps any more; before that `meanwhile`, if there is a wait."""
    if not _working():
        return
    with stage("compiling the Gibbs sampler, once on this machine"):
        meanwhile()
        began = time.monotonic()
        while _working() and time.monotonic() - began < _LONGEST:
            time.sleep(0.05)


def compile_and_say() -> None:
    """`compile_sweeps` in a process of its own, which takes its claim back when it is done."""
    try:
        compile_sweeps()
    finally:  # who started it may not look, and then it stays in the table of processes
        _claim().unlink(missing_ok=True)


def compile_sweeps() -> None:
    """One sweep of a table of four rows; its compiled code serves every table, structure and number of components."""
    from bayesgmm.data.table import prepare_table
    from bayesgmm.inference.gibbs.chains import GibbsProblem, Sweeps, no_library, run_chains, start_state
    from bayesgmm.model.params import MixtureParams
    from bayesgmm.model.prior import MixturePrior
    from bayesgmm.model.structure import get_structure

    table = prepare_table(np.array([[0.0], [1.0], [3.0], [4.5]]))
    problem = GibbsProblem.build(Problem(table, get_structure("full"), MixturePrior().resolve(table)))
    start = MixtureParams(np.full(2, 0.5), np.array([[-0.5], [0.5]]), np.ones((2, 1, 1)), "full")
    sweeps = Sweeps(problem, 1.0, no_library(2, 1))
    run_chains(sweeps, [start_state(problem, start)], [np.random.SeedSequence(0)], draws=1, thin=1, cores=1)


def _folders() -> list[Path]:
    """Where compiled code is looked for; the first is written to."""
    return [Path(folder) for folder in sweep_many._cache.folders]


def _is_compiled() -> bool:
    """An index of compiled code is there, and not older than the source."""
    source = Path(sys.modules[sweep_many.py_func.__module__].__file__ or "")
    found = [path.stat().st_mtime for folder in _folders() for path in folder.glob("sweeps.sweep_many-*.nbi")]
    return bool(found) and max(found) >= source.stat().st_mtime


def _claim() -> Path:
    return _folders()[0] / "sweeps.compiling"


def _working() -> bool:
    """A process that has claimed to compile is alive."""
    for process in _started:
        if process.poll() is not None:
            _claim().unlink(missing_ok=True)
    try:
        pid = int(_claim().read_text())
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")  # where there is such a file, it also tells a process that has ended
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, ValueError, IndexError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait()
    with contextlib.suppress(OSError):
        _claim().unlink(missing_ok=True)
