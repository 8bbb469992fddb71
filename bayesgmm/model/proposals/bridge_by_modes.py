"""Bridge sampling with one fitted mixture a mode, for posteriors whose components empty and fill.

A normal in the coordinates of one mode does not cover a component that follows the prior. The proposals that Gibbs
sampling moves with do (`model.proposals.conjugate`): independent Dirichlet, inverse-Wishart and normal parts, or
the prior itself for an empty component, fitted to the draws of each mode, and summed over all K! orders of the
components exactly, as a permanent.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from bayesgmm.data.table import Table
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.rows import Rows, as_rows
from bayesgmm.model.density.natural import complete_prior, log_posterior_of
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.bridge import BridgeEstimate, bridge
from bayesgmm.model.proposals.conjugate import Proposals
from bayesgmm.model.proposals.conjugate_fit import fit_proposals
from bayesgmm.model.proposals.whole import MAX_WHOLE, log_proposal, propose_whole
from bayesgmm.model.relabel import in_one_order
from bayesgmm.model.structure import Structure

__all__ = ["bridge_by_modes"]

Array = NDArray[np.float64]

_MODES = 10
_LEAST = 25
_FITTED = 400  # draws that a proposal is fitted to
_NOWHERE = 700.0  # nats below the posterior: a draw where no proposal is, whose density underflows


def bridge_by_modes(
    weights: Array,
    means: Array,
    latent: Array,
    cholesky: Array,
    problem: Problem,
    *,
    random_seed: int = 0,
) -> BridgeEstimate | None:
    """Log evidence on the model's scale from draws (C, S, K), (C, S, K, D), twice (C, S, K, D, D).

    None for one component or more than 12, for components that are not normal or a background, and where there are too
    few draws to fit a proposal to.

    Half of every chain fits the proposals, the other half is bridged to them.
    """
    table, structure, prior = problem
    n_chains, n_draws, k, d = means.shape
    if not 1 < k <= MAX_WHOLE or not structure.is_normal:
        return None
    packed = complete_prior(prior, structure)
    g, half = structure.n_matrices(k), n_draws // 2
    draws = Sample(weights, means, latent[:, :, :g], cholesky[:, :, :g])
    samples = _by_mode(Sample(*(_pooled(a[:, :half]) for a in draws)), table, structure)
    if not samples:
        return None
    proposals = fit_proposals(samples, packed)
    bridged = Sample(*(_pooled(a[:, half:]) for a in draws))
    rows = as_rows(table.standardized)
    log_p, log_q = _evaluate(rows, table.weights, packed, proposals, bridged)
    sample = Sample(
        np.empty((n_chains * n_draws, k)), np.empty((n_chains * n_draws, k, d)),
        np.zeros((n_chains * n_draws, g, d, d)), np.zeros((n_chains * n_draws, g, d, d)),
    )  # fmt: skip
    inside = _draw(np.random.default_rng(random_seed), packed, proposals, sample)
    proposed_p, proposed_q = np.full(len(inside), -np.inf), np.zeros(len(inside))
    kept = Sample(*(np.ascontiguousarray(a[inside]) for a in sample))
    proposed_p[inside], proposed_q[inside] = _evaluate(rows, table.weights, packed, proposals, kept)
    # What the compiled densities leave out: the Dirichlet prior's normaliser; the number of proposals and of orders.
    e0 = prior.concentration
    of_p = float(gammaln(k * e0) - k * gammaln(e0))
    of_q = -math.log(len(proposals.alpha)) - float(gammaln(k + 1))
    shape = (n_chains, -1)
    log_q = np.maximum(log_q, log_p - _NOWHERE)
    return bridge((log_p + of_p).reshape(shape), (log_q + of_q).reshape(shape), proposed_p + of_p, proposed_q + of_q)


def _pooled(a: Array) -> Array:
    return np.array(a.reshape(-1, *a.shape[2:]), order="C")  # writable, or all is compiled twice


def _by_mode(draws: Sample, table: Table, structure: Structure) -> list[Sample]:
    """Draws grouped by weights, spread of the means and volume of the components, largest weight first (k-means)."""
    log_det = np.log(np.diagonal(draws.cholesky, axis1=2, axis2=3)).sum(axis=2)  # (S, G)
    order = np.argsort(-draws.weights, axis=1)
    ranked = np.take_along_axis(draws.weights, order, axis=1)
    volumes = np.take_along_axis(log_det, order, axis=1) if log_det.shape[1] > 1 else log_det
    places = np.take_along_axis(draws.means, order[:, :, None], axis=1)[:, :2].reshape(len(ranked), -1)
    values = np.column_stack([ranked, ranked * np.broadcast_to(volumes, ranked.shape), places])
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-12)
    n_modes = max(1, min(_MODES, len(values) // (4 * _LEAST)))
    with threadpool_limits(1):
        label = KMeans(n_modes, n_init=1, random_state=0, max_iter=50).fit_predict(values)
    groups = [np.flatnonzero(label == m) for m in range(n_modes)]
    return [
        in_one_order(draws.take(i), table.standardized, table.weights, structure.row_model, most=_FITTED)
        for i in groups
        if len(i) >= _LEAST
    ]


@compiled
def _draw(rng, prior, proposals, out):
    """Fill `out` with draws of the proposals; which of them rounding allows."""
    n, k, d = out.means.shape
    inside = np.empty(n, dtype=np.bool_)
    work, scaling = np.empty((5, d, d)), np.empty((k, d, d))
    for s in range(n):
        m = rng.integers(0, proposals.alpha.shape[0])
        inside[s] = propose_whole(
            rng, prior, proposals, m, out.weights[s], out.means[s], out.latent[s], out.cholesky[s], scaling, work
        )
    return inside


def _evaluate(
    rows: Rows, row_weights: Array, prior: object, proposals: Proposals, sample: Sample
) -> tuple[Array, Array]:
    log_p, log_q = np.empty(len(sample.weights)), np.empty(len(sample.weights))
    k, d = sample.means.shape[1:]
    scaling = np.broadcast_to(inverse_cholesky(sample.cholesky), (len(log_p), k, d, d)).copy()
    _log_densities(rows, row_weights, prior, proposals, sample, scaling, log_p, log_q)
    return log_p, log_q


@compiled
def _log_densities(rows, row_weights, prior, proposals, sample, scaling, log_p, log_q):
    n, k, d = sample.means.shape
    logs, table, log_norm = np.empty((k, k)), np.empty(1 << k), np.empty(k)
    nearest = 0
    for s in range(n):
        weights, means = sample.weights[s], sample.means[s]
        log_p[s] = log_posterior_of(rows, row_weights, prior, weights, means, sample.latent[s], scaling[s], log_norm)
        log_q[s], nearest = log_proposal(
            prior, proposals, nearest, weights, means, sample.latent[s], sample.cholesky[s], scaling[s], logs, table
        )
