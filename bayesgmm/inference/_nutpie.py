"""nutpie on the compiled density, without Python in the loop.

Uses nutpie's private binding of C callbacks (``nutpie._lib``), which its own PyMC front end uses; when the
names are gone, falls back to its public ``from_pyfunc`` and says so. One chain is one sampler: its start and
its seed are its own, so draws do not depend on how many run at once.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
import pandas as pd
from numba import carray, cfunc, types
from numpy.typing import NDArray
from nutpie.sample import CompiledModel

from bayesgmm.density import Density
from bayesgmm.log_posterior import log_posterior_callback, log_posterior_gradient

__all__ = ["Chain", "ChainResult", "run_chains"]

Array = NDArray[np.float64]


@cfunc(
    types.int64(types.uint64, types.uint64, types.CPointer(types.float64), types.CPointer(types.float64),
                types.CPointer(types.int64)),
    cache=True,
)  # fmt: skip
def _identity_callback(n_dim, n_out, x, out, problem):  # pragma: no cover - runs compiled
    source = carray(x, (n_dim,))
    target = carray(out, (n_out,))
    for i in range(n_out):
        target[i] = source[i]
    return 0


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
class _CallbackModel(CompiledModel):
    """A density as nutpie's compiled model, through the address of its C callback."""

    density: Density
    start: Array
    problem: NDArray[np.int64]

    @property
    def n_dim(self) -> int:
        return self.density.n_dim

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"x": (self.n_dim,)}

    @property
    def coords(self) -> dict[str, pd.Index]:
        return {"dim": pd.RangeIndex(self.n_dim)}

    def _make_sampler(self, settings, init_mean, cores, progress_type, callback, rate, store):
        lib = nutpie._lib
        address = self.problem.ctypes.data
        sizes = {"dim": self.n_dim}
        logp = lib.LogpFunc(log_posterior_callback.address, address, self)
        expand = lib.ExpandFunc(self.n_dim, self.n_dim, _identity_callback.address, address, self)
        variables = lib.PyVariable.new_variables(["x"], ["float64"], [(self.n_dim,)], sizes, self.dims)
        start = self.start
        model = lib.PyMcModel(logp, expand, variables, self.n_dim, sizes, self.coords, lambda seed: start, None)
        return lib.PySampler.from_pymc(settings, cores, model, progress_type, callback, rate, store)


def _callback_model(chain: Chain) -> CompiledModel:
    density = chain.density
    ints, floats = density.ints, density.floats
    problem = np.array([ints.ctypes.data, ints.size, floats.ctypes.data, floats.size], dtype=np.int64)
    return _CallbackModel(dims={"x": ("dim",)}, density=density, start=chain.start, problem=problem)


def _python_model(chain: Chain) -> CompiledModel:
    """The same density through nutpie's public interface: Python in the loop, slower."""
    density = chain.density

    def make_logp() -> Callable[[Array], tuple[float, Array]]:
        def logp(x: Array) -> tuple[float, Array]:
            gradient = np.empty(density.n_dim)
            return log_posterior_gradient(np.ascontiguousarray(x), gradient, density.ints, density.floats), gradient

        return logp

    def make_expand(*_: Any) -> Callable[[Array], dict[str, Array]]:
        return lambda x: {"x": np.array(x)}

    return nutpie.compiled_pyfunc.from_pyfunc(
        density.n_dim, make_logp, make_expand, [np.dtype("float64")], [(density.n_dim,)], ["x"],
        coords={"dim": pd.RangeIndex(density.n_dim)}, dims={"x": ("dim",)},
        make_initial_point_fn=lambda seed: chain.start,
    )  # fmt: skip


def _has_private_interface() -> bool:
    lib = getattr(nutpie, "_lib", None)
    return all(hasattr(lib, name) for name in ("LogpFunc", "ExpandFunc", "PyVariable", "PyMcModel", "PySampler"))


def run_chains(
    chains: list[Chain],
    *,
    draws: int,
    tune: int,
    cores: int,
    target_accept: float,
    adaptation: str,
    report: Callable[[int, int, int], None] | None = None,
) -> tuple[list[ChainResult], bool]:
    """Run every chain, `cores` at a time; returns their results and whether the run was interrupted.

    `report(chain, finished, divergences)` is called as draws are made. Ctrl-C ends the run and keeps what was
    drawn; chains without a draw after tuning are left out.
    """
    make = _callback_model
    if not _has_private_interface():
        warnings.warn(
            "this nutpie has no compiled callback interface; sampling calls Python for every gradient and is "
            "several times slower. Install nutpie>=0.16.10,<0.17.",
            stacklevel=2,
        )
        make = _python_model
    samplers: dict[int, Any] = {}
    finished: dict[int, Any] = {}
    interrupted = False
    try:
        while len(finished) < len(chains):
            for index, sampler in list(samplers.items()):
                if _is_finished(sampler):
                    finished[index] = samplers.pop(index).wait()
            for index in range(len(chains)):
                if len(samplers) >= cores:
                    break
                if index not in samplers and index not in finished:
                    samplers[index] = _start(make(chains[index]), chains[index].seed, index, draws, tune,
                                             target_accept, adaptation, report)  # fmt: skip
            time.sleep(0.004)
    except KeyboardInterrupt:
        interrupted = True
        for index, sampler in samplers.items():
            finished[index] = sampler.abort()
    except BaseException:
        for sampler in samplers.values():  # threads must not outlive the density they call
            sampler.cancel()
        raise
    results = [_extract(finished[index]) for index in sorted(finished)]
    return [r for r in results if len(r.draws)], interrupted


def _is_finished(sampler: Any) -> bool:
    try:
        return bool(sampler.is_finished)
    except TimeoutError:  # nutpie 0.16 raises this while the sampler is at work
        return False


def _start(model: CompiledModel, seed: int, index: int, draws: int, tune: int, target_accept: float,
           adaptation: str, report: Callable[[int, int, int], None] | None) -> Any:  # fmt: skip
    def callback(progress: list[Any]) -> None:
        if report is not None:
            report(index, progress[0].finished_draws, progress[0].divergences)

    return nutpie.sample(
        model, draws=draws, tune=tune, chains=1, cores=1, seed=seed, target_accept=target_accept,
        adaptation=adaptation, progress_bar=False, progress_callback=callback, progress_rate=100,
        save_warmup=False, blocking=False,
    )  # fmt: skip


def _extract(tree: Any) -> ChainResult:
    values = tree["posterior"]["x"].values[0]
    complete = np.isfinite(values).all(axis=1)
    stats = {
        name: variable.values[0][complete]
        for name, variable in tree["sample_stats"].data_vars.items()
        if variable.ndim == 2
    }
    return ChainResult(values[complete], stats)
