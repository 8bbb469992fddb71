"""NUTS on the mixture of leave-one-out posteriors of some rows, for `bayesgmm.mixis`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data import Table
from bayesgmm.draws import Draws
from bayesgmm.errors import InputError
from bayesgmm.inference._nutpie import Chain, run_chains
from bayesgmm.inference.modes import Mode
from bayesgmm.inference.nuts import MODE_WINDOW, collect_draws, jittered_start, starting_modes
from bayesgmm.prior import ResolvedPrior
from bayesgmm.progress import sampling_progress
from bayesgmm.structure import Structure
from bayesgmm.threads import available_cores

__all__ = ["checked_shares", "sample_leave_one_out"]

Array = NDArray[np.float64]


def checked_shares(table: Table, log_shares: Array) -> Array:
    """Log shares as an array (N,), finite for one row at least."""
    shares = np.asarray(log_shares, dtype=np.float64)
    if shares.shape != (table.n_rows,) or np.isnan(shares).any() or not np.isfinite(shares).any():
        raise InputError(
            f"log_shares must hold one number for each of the {table.n_rows} rows, finite for one at least."
        )
    return shares


def sample_leave_one_out(
    table: Table,
    structure: Structure,
    prior: ResolvedPrior,
    modes: Sequence[Mode],
    log_shares: Array,
    *,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    target_accept: float = 0.9,
    progressbar: bool = True,
) -> Draws:
    """Draw from p(theta) p(y | theta) sum_j s_j / p(y_j | theta).

    Parameters
    ----------
    table, structure, prior, modes
        As in `bayesgmm.inference.nuts.sample_nuts`.
    log_shares : array (N,)
        Log s_j; -inf for a row that is never left out.
    draws, tune, chains, cores, random_seed, target_accept, progressbar
        As in `sample_nuts`.

    Returns
    -------
    Draws
        `log_prior` and the statistics are those of a posterior's draws; the draws are not of the posterior.

    Raises
    ------
    InputError
        If the shares are not one number a row, or leave no row out.
    KeyboardInterrupt
        If interrupted before any chain made a draw after tuning.
    """
    shares = checked_shares(table, log_shares)
    chosen = starting_modes(modes, chains, MODE_WINDOW)
    densities = [mode.density.leaving_one_out(shares) for mode in modes]
    seeds = np.random.SeedSequence(random_seed).spawn(chains)
    jobs = [
        Chain(densities[m], jittered_start(densities[m], seed), int(seed.generate_state(2)[1]))
        for m, seed in zip(chosen, seeds, strict=True)
    ]
    began = time.perf_counter()
    with sampling_progress(progressbar, chains, tune + draws, "MixIS") as report:
        results, interrupted = run_chains(
            jobs, draws=draws, tune=tune, cores=min(cores or available_cores(), chains),
            target_accept=target_accept, adaptation="diag", report=report,
        )  # fmt: skip
    done = [i for i, result in enumerate(results) if result is not None]
    if not done:
        raise KeyboardInterrupt("interrupted before a single draw was kept; there is nothing to return")
    return collect_draws([jobs[i] for i in done], [r for r in results if r is not None], chosen[done], modes,
                    time.perf_counter() - began, interrupted)  # fmt: skip
