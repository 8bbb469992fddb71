"""Gibbs sampling of the mixture of leave-one-out posteriors of some rows, for `bayesgmm.mixis`.

With one more variable, the row j that is left out, the mixture is the marginal of

    q(theta, j) ~ s_j p(theta) p(y without j | theta),    q(j | theta) ~ s_j / p(y_j | theta).

So one step draws j given theta, then makes a few of the posterior's own sweeps, and a jump, without row j.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from bayesgmm.augmentation.proposals import Proposals, Sample
from bayesgmm.augmentation.sweeps import ChainState, new_allocation, sweep_many
from bayesgmm.density import latent_cholesky
from bayesgmm.draws import Draws
from bayesgmm.inference.chains import JUMP_EVERY, ChainDraws, GibbsProblem, start_state
from bayesgmm.inference.exploration import samples_by_mode
from bayesgmm.kernels import log_normalizers, mixture_pass
from bayesgmm.params import MixtureParams
from bayesgmm.streaming import pointwise_log_density

__all__ = ["modes_and_starts", "run_left_out"]

Array = NDArray[np.float64]

_MODES = 10  # groups of draws that proposals are fitted to
_SPREAD_ROWS = 20  # whose densities tell modes apart, beside those of the rows in question
_WORK_A_CALL = 1e8  # multiply-adds, about a tenth of a second


def modes_and_starts(
    problem: GibbsProblem, posterior: Draws, shares: Array, n_starts: int, rng: np.random.Generator
) -> tuple[list[Sample], list[ChainState]]:
    """Draws of the posterior sorted by mode, and some drawn with probability ~ R as states of chains."""
    table, structure, (weights, means, scaling) = problem.table, problem.structure, posterior.flat()
    rows = np.flatnonzero(np.isfinite(shares))
    spread = np.unique(np.linspace(0, table.n_rows - 1, _SPREAD_ROWS).astype(int))
    density = pointwise_log_density(
        table.standardized[np.r_[rows, spread]], weights, means, scaling, diagonal=structure.diagonal
    )
    cholesky = posterior.cholesky.reshape(-1, *posterior.cholesky.shape[2:])
    covariances, n = cholesky @ cholesky.mT, structure.n_matrices(posterior.shape[2])
    latent = latent_cholesky(covariances[:, :n].reshape(-1, *covariances.shape[2:]), problem.packed.floor)
    sample = Sample(weights, means, latent.reshape(covariances[:, :n].shape), np.ascontiguousarray(cholesky[:, :n]))
    log_r = logsumexp(shares[rows] - density[:, : len(rows)] * table.weights[rows], axis=1)
    states = [
        start_state(problem, MixtureParams(weights[i] / weights[i].sum(), means[i], covariances[i], structure.name))
        for i in rng.choice(len(weights), size=n_starts, p=softmax(log_r))
    ]
    if posterior.shape[2] == 1:
        return [], states
    chain = ChainDraws(sample, states[0], np.zeros(7), np.zeros(0, dtype=np.int64))
    return samples_by_mode(problem, [chain], {str(i): d for i, d in enumerate(density.T)}, _MODES), states


@njit(cache=True, nogil=True, error_model="numpy")
def _step_many(rng, thin, features, row_weights, prior, refresh, state, allocation, proposals, share_whole,
               rows, log_shares, out_weights, out_means, out_latent, out_cholesky, tally, used):  # fmt: skip
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
            sweep_many(rng, 0, JUMP_EVERY, features, weights, prior, refresh, state, allocation, proposals,
                       JUMP_EVERY, share_whole, out_weights[s : s + 1], out_means[s : s + 1], out_latent[s : s + 1],
                       out_cholesky[s : s + 1], tally, used)  # fmt: skip
            weights[rows[j]] = open_weights[j]


def run_left_out(problem: GibbsProblem, shares: Array, states: Sequence[ChainState],
                seeds: Sequence[np.random.SeedSequence], *, draws: int, thin: int, cores: int, refresh: float,
                proposals: Proposals, share_whole: float) -> list[ChainDraws]:  # fmt: skip
    """One chain from each state, `thin` steps a draw; the rest is of `bayesgmm.inference.chains.run_chains`."""
    rows, k = np.flatnonzero(np.isfinite(shares)), len(states[0].means)
    step = int(np.clip(_WORK_A_CALL // (problem.sweep_work(k) * thin * JUMP_EVERY), 1, draws))
    stop = threading.Event()

    def chain(i: int) -> ChainDraws:
        rng, state = np.random.default_rng(seeds[i]), ChainState(*(a.copy() for a in states[i]))
        out = [np.empty((draws, *a.shape)) for a in state[:4]]
        tally, used = np.zeros(7), np.zeros(len(proposals.alpha), dtype=np.int64)
        allocation = new_allocation(k, state.means.shape[1], problem.table.n_rows, problem.fractional)
        for first in range(0, draws, step):
            if stop.is_set():
                break
            part = slice(first, min(first + step, draws))
            _step_many(
                rng, thin, problem.features, problem.table.weights, problem.packed, refresh, state,
                allocation, proposals, share_whole, rows, shares[rows], *(o[part] for o in out), tally, used,
            )  # fmt: skip
        return ChainDraws(Sample(*out), state, tally, used)

    with ThreadPoolExecutor(cores) as pool:
        try:
            return list(pool.map(chain, range(len(states))))
        except BaseException:
            stop.set()
            raise
