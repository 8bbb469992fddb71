"""NUTS, or Gibbs sweeps, on the mixture of leave-one-out posteriors of some rows, for `bayesgmm.mixis`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.augmentation.proposals import fit_proposals, no_proposals
from bayesgmm.data import Table
from bayesgmm.draws import Draws
from bayesgmm.errors import InputError
from bayesgmm.inference._nutpie import Chain, run_chains
from bayesgmm.inference.chains import JUMP_EVERY, ChainDraws, GibbsProblem
from bayesgmm.inference.gibbs import MAX_WORK, Judgement, _refresh, _share_of_whole_mixtures
from bayesgmm.inference.mixis_gibbs import modes_and_starts, run_left_out
from bayesgmm.inference.modes import find_modes
from bayesgmm.inference.nuts import MODE_WINDOW, _collect, available_cores, jittered_start, starting_modes
from bayesgmm.params import MixtureParams
from bayesgmm.prior import ResolvedPrior
from bayesgmm.progress import sampling_progress
from bayesgmm.structure import Structure

__all__ = ["sample_leave_one_out", "sample_leave_one_out_gibbs"]

Array = NDArray[np.float64]

_LONGEST_STEP = 4.0  # times, from one round to the next


def _checked(table: Table, log_shares: Array) -> Array:
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
    candidates: Sequence[MixtureParams],
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
    table, structure, prior, candidates
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
    shares = _checked(table, log_shares)
    modes = find_modes(table, structure, prior, candidates)
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
    return _collect([jobs[i] for i in done], [r for r in results if r is not None], chosen[done], modes,
                    time.perf_counter() - began, interrupted)  # fmt: skip


def sample_leave_one_out_gibbs(
    table: Table, structure: Structure, prior: ResolvedPrior, posterior: Draws, log_shares: Array, *,
    judge: Callable[[Draws, Array], Judgement], draws: int = 1000, chains: int = 4, cores: int | None = None,
    random_seed: int | None = None, max_work: float = MAX_WORK,
) -> Draws:  # fmt: skip
    """Draw from q(theta) ~ p(theta) p(y | theta) R, R = sum_j s_j / p(y_j | theta), in rounds until `judge` is content.

    Parameters
    ----------
    table, structure, prior
        As in `bayesgmm.inference.nuts.sample_nuts`.
    posterior : Draws
        Of the posterior. Chains start at some of them, drawn with probability ~ R, and jumps lead to their modes.
    log_shares : array (N,)
        Log s_j; -inf for a row that is never left out. A row is left out with its whole weight.
    judge : callable
        Takes draws and `log_shares`; `bayesgmm.mixis.leave_one_out_scores` with its first arguments bound.
    draws, chains, cores, random_seed, max_work
        As in `bayesgmm.inference.gibbs.sample_gibbs`.

    Returns
    -------
    Draws
        Of q; `log_prior` is NaN.

    Raises
    ------
    InputError
        If the shares are not one number a row, or leave no row out.
    """
    shares, began = _checked(table, log_shares), time.perf_counter()
    problem = GibbsProblem.build(table, structure, prior)
    root = np.random.SeedSequence(random_seed)
    rng = np.random.default_rng(root.spawn(1)[0])
    samples, states = modes_and_starts(problem, posterior, shares, chains, rng)
    run = partial(
        run_left_out, problem, shares, cores=min(cores or available_cores(), chains),
        refresh=_refresh(problem, states[0], root.spawn(1)),
        proposals=fit_proposals(samples, problem.packed) if samples else no_proposals(1, table.n_features),
    )  # fmt: skip
    done = run(states, root.spawn(chains), draws=max(1, draws // 5), thin=1, share_whole=0.5)
    thin, n_round = 1, 1
    while True:
        states, share_whole = [c.state for c in done], _share_of_whole_mixtures(done)
        done = run(states, root.spawn(chains), draws=draws, thin=thin, share_whole=share_whole)
        result = _collect_gibbs(done, time.perf_counter() - began, thin, n_round)
        judgement = judge(result, shares)
        longer = int(np.ceil(thin * np.clip(judgement.shortfall, 1.5, _LONGEST_STEP)))
        work = longer * JUMP_EVERY * draws * chains * problem.sweep_work(posterior.shape[2])
        if judgement.ok or work > max_work:
            return result
        thin, n_round = longer, n_round + 1


def _collect_gibbs(done: Sequence[ChainDraws], seconds: float, thin: int, n_round: int) -> Draws:
    weights, means, _, cholesky = (np.stack(parts) for parts in zip(*(c.sample for c in done), strict=True))
    c, s, k, d = means.shape
    cholesky = np.ascontiguousarray(np.broadcast_to(cholesky, (c, s, k, d, d)))
    method = f"Gibbs sampling with {thin * JUMP_EVERY} sweeps a draw, round {n_round}"
    return Draws(weights, means, cholesky, np.full((c, s), np.nan), {}, np.zeros(c, dtype=np.int64), pd.DataFrame(),
                 seconds, False, method)  # fmt: skip
