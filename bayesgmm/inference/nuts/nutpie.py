"""nutpie on the compiled density, without Python in the loop.

Uses nutpie's private binding of C callbacks (``nutpie._lib``), which its own PyMC front end uses; where its
names are gone, falls back to nutpie's public ``from_pyfunc`` and says so. One chain is one sampler: its start
and its seed are its own, so draws do not depend on how many run at once.

The binding is loaded by itself: the Python package around it imports ArviZ and matplotlib whole, which takes
longer than the sampling of a small table.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from typing import Any

import numpy as np
import pandas as pd
from numba import carray, types
from numpy.typing import NDArray

from bayesgmm.errors import InputError, warn
from bayesgmm.kernels.compiled import callback
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.log_posterior import log_posterior_callback, log_posterior_gradient
from bayesgmm.progress import out_of_time

__all__ = ["Chain", "ChainResult", "run_chains"]

Array = NDArray[np.float64]

_NAMES = (
    "LogpFunc", "ExpandFunc", "ProgressType", "PyMcModel", "PyNutsSettings", "PySampler", "PyStorage", "PyVariable",
)  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """One chain to run: the density, its start (n_dim,) and its seed."""

    density: Density
    start: Array
    seed: int


@dataclass(frozen=True)
class ChainResult:
    """Flat draws (S, n_dim) of one chain and its statistics, each (S,)."""

    draws: Array
    stats: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Running:
    """A sampler at work, and what must outlive it."""

    sampler: Any
    owner: Any

    def is_finished(self) -> bool:
        try:
            return bool(self.sampler.is_finished())
        except TimeoutError:  # nutpie 0.16 raises this while the sampler is at work
            return False


@dataclass(frozen=True)
class _Options:
    draws: int
    tune: int
    target_accept: float
    adaptation: str


@callback(
    types.int64(types.uint64, types.uint64, types.CPointer(types.float64), types.CPointer(types.float64),
                types.CPointer(types.int64))
)  # fmt: skip
def _identity_callback(n_dim, n_out, x, out, problem):  # pragma: no cover - runs compiled
    source = carray(x, (n_dim,))
    target = carray(out, (n_out,))
    for i in range(n_out):
        target[i] = source[i]
    return 0


def run_chains(
    chains: list[Chain],
    *,
    draws: int,
    tune: int,
    cores: int,
    target_accept: float,
    adaptation: str,
    report: Callable[[int, int, int], None] | None = None,
    max_steps: float = math.inf,
) -> tuple[list[ChainResult | None], bool]:
    """Run every chain, `cores` at a time; returns their results and whether the run was interrupted.

    `report(chain, finished, divergences)` is called as draws are made. Ctrl-C, the end of the time allowed, or
    `max_steps` gradients of all chains end the run and keep what was drawn; a chain without a draw after tuning has no
    result.
    """
    options = _Options(draws, tune, target_accept, adaptation)
    library = _library()
    if library is None:
        warn(
            "this nutpie has no compiled callback interface; sampling calls Python for every gradient and is "
            "several times slower. Install nutpie>=0.16.10,<0.17."
        )
    running: dict[int, _Running] = {}
    steps = [0] * len(chains)
    finished: dict[int, ChainResult] = {}
    interrupted = False
    try:
        while len(finished) < len(chains):
            for index, chain in list(running.items()):
                if chain.is_finished():
                    chain.sampler.wait(None)
                    finished[index] = _extract(running.pop(index).sampler)
            for index in range(len(chains)):
                if len(running) < cores and index not in running and index not in finished:
                    running[index] = _start(library, chains[index], index, options, report, steps)
            if out_of_time() or sum(steps) > max_steps:
                raise KeyboardInterrupt
            time.sleep(0.002)
    except KeyboardInterrupt:
        interrupted = True
        for index, chain in running.items():
            chain.sampler.abort()
            finished[index] = _extract(chain.sampler)
    except BaseException:
        for chain in running.values():  # threads must not outlive the density they call
            chain.sampler.abort()
        raise
    results = [r if (r := finished.get(i)) is not None and len(r.draws) else None for i in range(len(chains))]
    if sum(steps) > max_steps and not any(results):
        raise InputError(
            f"NUTS made no draw after tuning in {sum(steps):,} gradients: use inference='laplace' or 'gibbs', fewer "
            "components, or fewer observations."
        )
    return results, interrupted


def _library() -> Any:
    """nutpie's compiled binding, or None where the names used here are gone."""
    name = "nutpie._lib"
    module = sys.modules.get(name)
    if module is None:
        package = importlib.util.find_spec("nutpie")
        folders = package.submodule_search_locations if package is not None else None
        spec = PathFinder.find_spec(name, list(folders or []))
        if spec is None or spec.loader is None:
            return None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module if all(hasattr(module, attribute) for attribute in _NAMES) else None


def _start(library: Any, chain: Chain, index: int, options: _Options, report: Any, steps: list[int]) -> _Running:
    def callback(progress: list[Any]) -> None:
        steps[index] = progress[0].total_num_steps
        if report is not None:
            report(index, progress[0].finished_draws, progress[0].divergences)

    if library is None:
        return _start_in_python(chain, options, callback)
    density, n = chain.density, chain.density.n_dim
    ints, floats = density.ints, density.floats
    problem = np.array([ints.ctypes.data, ints.size, floats.ctypes.data, floats.size], dtype=np.int64)
    keep = (chain, problem)  # the addresses stay valid for as long as the sampler holds this
    logp = library.LogpFunc(log_posterior_callback().address, problem.ctypes.data, keep)
    expand = library.ExpandFunc(n, n, _identity_callback().address, problem.ctypes.data, keep)
    sizes, coords = {"dim": n}, {"dim": pd.RangeIndex(n)}
    variables = library.PyVariable.new_variables(["x"], ["float64"], [(n,)], sizes, {"x": ("dim",)})
    model = library.PyMcModel(logp, expand, variables, n, sizes, coords, lambda seed: chain.start, None)
    make_settings = library.PyNutsSettings.LowRank if options.adaptation == "low_rank" else library.PyNutsSettings.Diag
    settings = make_settings(chain.seed)
    settings.update({"num_tune": options.tune, "num_draws": options.draws, "num_chains": 1,
                     "target_accept": options.target_accept})  # fmt: skip
    sampler = library.PySampler.from_pymc(
        settings, 1, model, library.ProgressType.none(), callback, 100, library.PyStorage.arrow()
    )
    return _Running(sampler, keep)


def _start_in_python(chain: Chain, options: _Options, callback: Any) -> _Running:
    """The same chain through nutpie's public interface: Python in the loop, slower."""
    import nutpie

    density = chain.density

    def make_logp() -> Callable[[Array], tuple[float, Array]]:
        def logp(x: Array) -> tuple[float, Array]:
            gradient = np.empty(density.n_dim)
            return log_posterior_gradient(np.ascontiguousarray(x), gradient, density.ints, density.floats), gradient

        return logp

    def make_expand(*_: Any) -> Callable[[Array], dict[str, Array]]:
        return lambda x: {"x": np.array(x)}

    model = nutpie.compiled_pyfunc.from_pyfunc(
        density.n_dim, make_logp, make_expand, [np.dtype("float64")], [(density.n_dim,)], ["x"],
        coords={"dim": pd.RangeIndex(density.n_dim)}, dims={"x": ("dim",)},
        make_initial_point_fn=lambda seed: chain.start,
    )  # fmt: skip
    background = nutpie.sample(
        model, draws=options.draws, tune=options.tune, chains=1, cores=1, seed=chain.seed,
        target_accept=options.target_accept, adaptation=options.adaptation, progress_bar=False,
        progress_callback=callback, progress_rate=100, blocking=False,
    )  # fmt: skip
    return _Running(background._sampler, background)


def _extract(sampler: Any) -> ChainResult:
    """Draws and statistics after tuning, from nutpie's Arrow tables."""
    import pyarrow

    (drawn,), (stats,) = sampler.take_results().get_arrow_trace()
    kept = ~pyarrow.array(stats.column("tuning")).to_numpy(zero_copy_only=False).astype(bool)
    column = pyarrow.array(drawn.column("x"))
    n_made = len(column)  # 0 where a chain was ended before its first step
    flat = column.flatten().to_numpy(zero_copy_only=False)
    values = flat.reshape(n_made, flat.size // max(n_made, 1))[kept]
    columns = {name: pyarrow.array(stats.column(name)) for name in stats.column_names if name != "tuning"}
    numbers = {
        name: array.to_numpy(zero_copy_only=False)[kept]
        for name, array in columns.items()
        if array.null_count == 0 and (pyarrow.types.is_primitive(array.type))
    }
    return ChainResult(np.ascontiguousarray(values), numbers)
