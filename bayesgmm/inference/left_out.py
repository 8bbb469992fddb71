"""Gibbs sampling without some rows, starting from draws of the posterior of all: for `bayesgmm.mixis` and refits.

The mixture of leave-one-out posteriors is, with one more variable, the row j that is left out, the marginal of

    q(theta, j) ~ s_j p(theta) p(y without j | theta),    q(j | theta) ~ s_j / p(y_j | theta).

So one step draws j given theta, then makes a few of the posterior's own sweeps, and a jump, without row j. Without
certain rows, one by one or together, it is the posterior's own sweeps with weight 0 for them. Either way the posterior
of all rows is near, so that chains start at its draws and jumps lead to its modes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from bayesgmm.augmentation.proposals import Sample
from bayesgmm.augmentation.state import ChainState
from bayesgmm.augmentation.sweeps import TALLY, Allocation, sweep_many
from bayesgmm.compiled import compiled
from bayesgmm.data import Table
from bayesgmm.density import latent_cholesky
from bayesgmm.draws import Draws
from bayesgmm.inference.chains import JUMP_EVERY, ChainDraws, GibbsProblem, Jumps, Sweeps, run_chains, start_state
from bayesgmm.inference.exploration import jumps_of, samples_by_mode
from bayesgmm.inference.mixis import checked_shares
from bayesgmm.inference.rounds import Judgement, Round, choose_refresh, sample_in_rounds
from bayesgmm.kernels import log_normalizers, mixture_pass
from bayesgmm.params import MixtureParams
from bayesgmm.prior import ResolvedPrior
from bayesgmm.streaming import pointwise_log_density
from bayesgmm.structure import Structure
from bayesgmm.threads import available_cores

__all__ = ["refit_gibbs", "sample_leave_one_out_gibbs"]

Array = NDArray[np.float64]

_MODES = 10  # groups of draws that proposals are fitted to
_MIXIS_WORK = 1.5e11  # see `bayesgmm.inference.gibbs.MAX_WORK`
_REFIT_WORK = 3e10  # of each
_SWEEPS_A_STEP = 4
_INTERRUPTED = "interrupted while sampling without some rows; the fit itself is complete"


def sample_leave_one_out_gibbs(
    table: Table, structure: Structure, prior: ResolvedPrior, posterior: Draws, log_shares: Array, *,
    judge: Callable[[Draws, Array], Judgement], draws: int = 1000, chains: int = 4, cores: int | None = None,
    random_seed: int | None = None, max_work: float = _MIXIS_WORK,
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
    shares = checked_shares(table, log_shares)
    rows = np.flatnonzero(np.isfinite(shares))
    return _sample(
        partial(_LeavingOneOut, rows=rows, log_shares=shares[rows]), GibbsProblem.build(table, structure, prior),
        posterior, rows, lambda left: logsumexp(shares[rows] + left, axis=1), judge=lambda found: judge(found, shares),
        draws=draws, chains=chains, cores=cores, random_seed=random_seed, max_work=max_work,
    )  # fmt: skip


def refit_gibbs(
    table: Table, structure: Structure, prior: ResolvedPrior, posterior: Draws, row_weights: Array, *,
    judge: Callable[[Draws], Judgement], draws: int = 1000, chains: int = 4, cores: int | None = None,
    random_seed: int | None = None, max_work: float = _REFIT_WORK,
) -> Draws:  # fmt: skip
    """Draw from the posterior without the rows whose weight in `table` is 0, in rounds until `judge` is content.

    Parameters
    ----------
    table, structure, prior
        As in `bayesgmm.inference.nuts.sample_nuts`.
    posterior : Draws
        Of the posterior of all rows.
    row_weights : array (N,)
        Weights that all rows had.
    judge, draws, chains, cores, random_seed, max_work
        As in `bayesgmm.inference.gibbs.sample_gibbs`.

    Returns
    -------
    Draws
        `log_prior` is NaN.
    """
    rows = np.flatnonzero((table.weights == 0.0) & (row_weights > 0.0))
    return _sample(
        Sweeps, GibbsProblem.build(table, structure, prior), posterior, rows, lambda left: left.sum(axis=1),
        row_weights=row_weights, judge=judge, draws=draws, chains=chains, cores=cores, random_seed=random_seed,
        max_work=max_work,
    )  # fmt: skip


def _sample(
    sweeps: Callable[[GibbsProblem, float, Jumps], Sweeps], problem: GibbsProblem, posterior: Draws,
    rows: NDArray[np.int64], log_ratio: Callable[[Array], Array], *, judge: Callable[[Draws], Judgement],
    row_weights: Array | None = None, draws: int, chains: int, cores: int | None, random_seed: int | None,
    max_work: float,
) -> Draws:  # fmt: skip
    """Rounds from draws of the posterior, which `log_ratio` weighs by 1 / p(y_j | theta) (S, M) of the rows."""
    began, root = time.perf_counter(), np.random.SeedSequence(random_seed)
    weights = problem.table.weights if row_weights is None else row_weights
    density = pointwise_log_density(
        problem.table.standardized[rows], *posterior.flat(), diagonal=problem.structure.diagonal
    )
    p = softmax(log_ratio(-density * weights[rows]))
    index = np.random.default_rng(root.spawn(1)[0]).choice(len(p), size=chains, p=p)
    sample, states = _states(problem, posterior, index)
    library = []
    if posterior.shape[2] > 1:
        chain = ChainDraws(sample, states[0], np.zeros(TALLY), np.zeros(0, dtype=np.int64))
        library = samples_by_mode(problem, [chain], _MODES)
    jumps = jumps_of(problem, library) if library else Jumps.none(*states[0].means.shape)
    transition = sweeps(problem, choose_refresh(problem, states[0], root.spawn(1)[0]), jumps)
    cores = min(cores or available_cores(), chains)
    # Without the rows the posterior is another: the first sweeps are not kept.
    begun, interrupted = run_chains(
        transition, states, root.spawn(chains), draws=max(1, draws // 5), thin=1, cores=cores
    )
    if interrupted:
        raise KeyboardInterrupt(_INTERRUPTED)
    return sample_in_rounds(
        transition, [chain.state for chain in begun], library, root, judge=judge, draws=draws, cores=cores,
        collect=lambda done: _collect(done, time.perf_counter() - began), max_work=max_work, progressbar=False,
        name="Leave-one-out",
    )  # fmt: skip


def _states(problem: GibbsProblem, posterior: Draws, index: NDArray[np.int64]) -> tuple[Sample, list[ChainState]]:
    """All draws as a `Sample`, and those of `index` as states of chains."""
    structure, (weights, means, _) = problem.structure, posterior.flat()
    cholesky = posterior.cholesky.reshape(-1, *posterior.cholesky.shape[2:])
    covariances, n = cholesky @ cholesky.mT, structure.n_matrices(posterior.shape[2])
    latent = latent_cholesky(covariances[:, :n].reshape(-1, *covariances.shape[2:]), problem.packed.floor)
    sample = Sample(weights, means, latent.reshape(covariances[:, :n].shape), np.ascontiguousarray(cholesky[:, :n]))
    states = [
        start_state(problem, MixtureParams(weights[i] / weights[i].sum(), means[i], covariances[i], structure.name))
        for i in index
    ]
    return sample, states


@dataclass(frozen=True, eq=False)
class _LeavingOneOut(Sweeps):
    """One step draws the row that is left out of `rows` (M,), then sweeps without it."""

    rows: NDArray[np.int64]
    log_shares: Array  # (M,)
    sweeps_a_step: ClassVar[int] = _SWEEPS_A_STEP

    def advance(self, rng: np.random.Generator, first: int, thin: int, state: ChainState, allocation: Allocation,
                out: Sequence[Array], tally: Array, used: NDArray[np.int64]) -> None:  # fmt: skip
        p, jumps = self.problem, self.jumps
        _step_many(rng, thin, p.features, p.table.weights, jumps.bins, p.packed, self.refresh, state, allocation,
                   jumps.proposals, jumps.joint, jumps.groupings, jumps.redraws, jumps.shares, jumps.walk_steps,
                   self.rows, self.log_shares, *out, tally, used)  # fmt: skip


@compiled
def _step_many(rng, thin, features, row_weights, bins, prior, refresh, state, allocation, proposals, joint, groupings,
               redraws, kinds, walk_steps, rows, log_shares, out_weights, out_means, out_latent, out_cholesky, tally,
               used):  # fmt: skip
    """`thin` steps for each draw; `rows` (M,) may be left out, with `log_shares` (M,). The rest is of `sweep_many`."""
    weights = row_weights.copy()
    open_features, open_weights = features[:, rows].copy(), row_weights[rows]
    log_norm, density, left = np.empty(len(state.means)), np.empty(len(rows)), np.empty(len(rows))
    none = np.empty((0, 0))
    for s in range(out_weights.shape[0]):
        for _ in range(thin):
            log_normalizers(np.log(state.weights), state.scaling, log_norm)
            mixture_pass(open_features, open_weights, log_norm, state.means, state.scaling,
                         not prior.correlated, np.empty(0), none, np.empty((0, 0, 0)), density, none)  # fmt: skip
            left[:] = log_shares - open_weights * density
            left[:] = np.exp(left - left.max())
            u, j = rng.random() * left.sum(), 0
            while j < len(rows) - 1 and u >= left[j]:
                u -= left[j]
                j += 1
            weights[rows[j]] = 0.0
            allocation.component[:] = -1
            sweep_many(rng, 0, _SWEEPS_A_STEP, features, weights, bins, prior, refresh, state, allocation,
                       proposals, joint, groupings, redraws, JUMP_EVERY, 1, kinds, walk_steps, out_weights[s : s + 1],
                       out_means[s : s + 1], out_latent[s : s + 1], out_cholesky[s : s + 1], tally, used)  # fmt: skip
            weights[rows[j]] = open_weights[j]


def _collect(done: Round, seconds: float) -> Draws:
    if done.interrupted:  # half a run is no use to a score
        raise KeyboardInterrupt(_INTERRUPTED)
    weights, means, _, cholesky = (np.stack(parts) for parts in zip(*(c.sample for c in done.chains), strict=True))
    c, s, k, d = means.shape
    cholesky = np.broadcast_to(cholesky, (c, s, k, d, d)).copy()
    method = f"Gibbs sampling with {done.thin} sweeps a draw, round {done.number}"
    return Draws(weights, means, cholesky, np.full((c, s), np.nan), {}, np.zeros(c, dtype=np.int64), pd.DataFrame(),
                 seconds, False, method)  # fmt: skip
