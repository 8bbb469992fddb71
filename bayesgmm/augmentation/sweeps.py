"""Gibbs sweeps over the allocations and the parameters of a mixture, at one temperature or at several.

One sweep: allocate every row (`allocation`), then draw weights, means and covariances given the allocation
(`complete_data`). The order mean, covariance, mean makes the move of the parameters reversible, which fractional row
weights need.

With several temperatures beta_0 = 1 > beta_1 > ... every replica targets

    p(theta) p(z | w) p(y | z, theta)^beta,

whose conditionals keep their form, and neighbours exchange with probability min(1, exp((beta_i - beta_j)(l_j - l_i))),
l the complete-data log-likelihood (parallel tempering; Geyer 1991). Only the replica at beta = 1 is kept.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.augmentation.allocation import allocation_pass
from bayesgmm.augmentation.complete_data import draw_prior_component, draw_weights, update_covariance, update_mean
from bayesgmm.augmentation.jumps import MAX_WHOLE, jump
from bayesgmm.kernels import LOG_2PI, log_normalizers

__all__ = ["Replicas", "sweep_many"]

Array = NDArray[np.float64]


class Replicas(NamedTuple):
    """R mixtures, one a temperature; G is K, or 1 for a shared covariance."""

    weights: Array  # (R, K)
    means: Array  # (R, K, D)
    latent: Array  # (R, G, D, D) factors of the covariances before rounding
    cholesky: Array  # (R, G, D, D)
    scaling: Array  # (R, K, D, D) inverses of `cholesky`
    log_complete: Array  # (R,) complete-data log-likelihood after the last sweep


@njit(cache=True, nogil=True, error_model="numpy")
def _unwhiten(cholesky, sums, outer, beta, half, total, raw):
    """total = beta L sums and raw = beta L outer L' (lower triangles of outer and raw)."""
    d = total.shape[0]
    for i in range(d):
        value = 0.0
        for j in range(i + 1):
            value += cholesky[i, j] * sums[j]
        total[i] = beta * value
        for b in range(d):
            value = 0.0
            for a in range(i + 1):
                value += cholesky[i, a] * (outer[a, b] if a >= b else outer[b, a])
            half[i, b] = beta * value
    for i in range(d):
        for j in range(i + 1):
            value = 0.0
            for b in range(j + 1):
                value += half[i, b] * cholesky[j, b]
            raw[i, j] = value


@njit(cache=True, nogil=True, error_model="numpy")
def _recentre(raw, total, n, centre, mean, out):
    """Sum of squares about `mean`, from the one about `centre`, whose sum of deviations is `total`."""
    d = mean.shape[0]
    for i in range(d):
        a = mean[i] - centre[i]
        for j in range(i + 1):
            b = mean[j] - centre[j]
            out[i, j] = raw[i, j] - a * total[j] - total[i] * b + n * a * b


@njit(cache=True, nogil=True, error_model="numpy")
def _log_density(n, scaling, scatter):
    """Log density of n rows with this sum of squares about the mean."""
    d = scatter.shape[0]
    value = -0.5 * n * d * LOG_2PI
    for i in range(d):
        value += n * math.log(scaling[i, i])
        for a in range(i + 1):
            row = 0.5 * scaling[i, a] * scatter[a, a]
            for b in range(a):
                row += scaling[i, b] * scatter[a, b]
            value -= scaling[i, a] * row
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_parameters(rng, prior, refresh, beta, counts, totals, raws, weights, means, latent, cholesky, scaling,
                     centres, scatter, matrices, vectors, tally):  # fmt: skip
    """New weights, means and covariances given the allocation; returns the complete-data log-likelihood.

    `totals` and `raws` are sums about `centres`, the old means, times beta.
    """
    n_components, shared = means.shape[0], cholesky.shape[0] < means.shape[0]
    draw_weights(rng, counts, prior.concentration, weights)
    for step in range(2):
        scatter[n_components] = 0.0
        for k in range(n_components):
            g, n = 0 if shared else k, beta * counts[k]
            if n == 0.0:
                if step == 0:
                    draw_prior_component(
                        rng, prior, means[k], latent[g], cholesky[g], scaling[k], matrices[0], not shared
                    )
                scatter[k] = 0.0
                continue
            update_mean(rng, prior, n, totals[k], centres[k], scaling[k], matrices[0], matrices[1], vectors, means[k])
            _recentre(raws[k], totals[k], n, centres[k], means[k], scatter[k])
            if step == 0 and not shared:
                tried, accepted = update_covariance(
                    rng, prior, refresh, n, scatter[k], matrices, latent[k], cholesky[k], scaling[k]
                )
                tally[0] += tried
                tally[1] += accepted
            scatter[n_components] += scatter[k]
        if step == 0 and shared:
            tried, accepted = update_covariance(
                rng, prior, refresh, beta * counts.sum(), scatter[n_components], matrices, latent[0], cholesky[0],
                scaling[0],
            )  # fmt: skip
            tally[0] += tried
            tally[1] += accepted
            for k in range(1, n_components):
                scaling[k] = scaling[0]
    value = 0.0
    for k in range(n_components):
        if counts[k] > 0.0:
            value += _log_density(beta * counts[k], scaling[k], scatter[k])
    return value / beta


@njit(cache=True, nogil=True, error_model="numpy")
def _exchange(rng, betas, replicas, first, swaps):
    """Propose to exchange neighbouring temperatures, every second pair from `first`; swaps (R-1, 2): tried, done."""
    log_complete = replicas.log_complete
    for i in range(first, betas.shape[0] - 1, 2):
        swaps[i, 0] += 1.0
        if math.log(rng.random()) < (betas[i] - betas[i + 1]) * (log_complete[i + 1] - log_complete[i]):
            swaps[i, 1] += 1.0
            log_complete[i], log_complete[i + 1] = log_complete[i + 1], log_complete[i]
            _swap(replicas.weights[i], replicas.weights[i + 1])
            _swap(replicas.means[i].ravel(), replicas.means[i + 1].ravel())
            _swap(replicas.latent[i].ravel(), replicas.latent[i + 1].ravel())
            _swap(replicas.cholesky[i].ravel(), replicas.cholesky[i + 1].ravel())
            _swap(replicas.scaling[i].ravel(), replicas.scaling[i + 1].ravel())


@njit(cache=True, nogil=True, error_model="numpy")
def _swap(a, b):
    for i in range(a.shape[0]):
        a[i], b[i] = b[i], a[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _allocate(rng, features, row_weights, prior, beta, replicas, r, log_norm, counts, sums, outers,
              component, log_r):  # fmt: skip
    scaling = replicas.scaling[r]
    log_normalizers(np.zeros(scaling.shape[0]), scaling, log_norm)
    for k in range(log_norm.shape[0]):
        log_norm[k] = beta * log_norm[k] + math.log(replicas.weights[r, k])
    return allocation_pass(rng, features, row_weights, log_norm, replicas.means[r], scaling, not prior.correlated, beta,
                           counts, sums, outers, component, log_r)  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_many(rng, thin, features, row_weights, prior, refresh, betas, replicas, fractional, proposals, jump_every,
               share_whole, out_weights, out_means, out_latent, out_cholesky, tally, swaps, used):  # fmt: skip
    """`thin` sweeps for each of the draws that `out_*` (S, ...) hold, of the replica at beta = 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    features, row_weights : (D, N), (N,)
    prior : CompletePrior
    refresh : float; see `update_covariance`
    betas : (R,) temperatures, decreasing from 1
    replicas : Replicas, changed in place
    fractional : bool; some row weight is not whole. Then R must be 1.
    proposals, jump_every, share_whole : Proposals, int, float
        At beta = 1 a jump is tried every so many sweeps, unless there are no proposals; this share of them of whole
        mixtures.
    tally : (7,) added to: covariances proposed, accepted; sweeps undone for fractional weights; single components
        proposed, accepted; whole mixtures proposed, accepted
    swaps : (R-1, 2) added to: exchanges tried, exchanges done
    used : (M,) added to: jumps made by each proposal
    """
    n_replicas, n_components, d = replicas.means.shape
    n_rows = features.shape[1]
    vectors = np.empty(d)
    matrices = np.zeros((5, d, d))
    scatter = np.zeros((n_components + 1, d, d))
    log_norm = np.empty(n_components)
    counts, sums = np.empty((n_replicas, n_components)), np.empty((n_replicas, n_components, d))
    outers = np.empty((n_replicas, n_components, d, d))
    centres, totals, raws = np.empty((n_components, d)), np.empty((n_components, d)), np.empty((n_components, d, d))
    component = np.full(n_rows if fractional else 0, -1)
    log_r = np.empty(component.shape[0])
    for r in range(n_replicas):
        _allocate(rng, features, row_weights, prior, betas[r], replicas, r, log_norm, counts[r], sums[r], outers[r],
                  component, log_r)  # fmt: skip
    before = _copy(replicas)
    scratch = _copy(replicas)
    logs = np.empty((n_components, n_components))
    whole_too = n_components <= MAX_WHOLE
    table = np.empty(1 << n_components if whole_too else 0)
    for s in range(out_weights.shape[0]):
        for t in range(thin):
            for r in range(n_replicas):
                if fractional:
                    _restore(before, replicas)
                for k in range(n_components):
                    centres[k] = replicas.means[r, k]
                    g = 0 if prior.shared else k
                    _unwhiten(replicas.cholesky[r, g], sums[r, k], outers[r, k], betas[r], matrices[0], totals[k],
                              raws[k])  # fmt: skip
                replicas.log_complete[r] = _draw_parameters(
                    rng, prior, refresh, betas[r], counts[r], totals, raws, replicas.weights[r], replicas.means[r],
                    replicas.latent[r], replicas.cholesky[r], replicas.scaling[r], centres, scatter, matrices,
                    vectors, tally,
                )  # fmt: skip
            if n_replicas > 1:
                _exchange(rng, betas, replicas, (s * thin + t) % 2, swaps)
            for r in range(n_replicas):
                ratio = _allocate(rng, features, row_weights, prior, betas[r], replicas, r, log_norm, counts[r],
                                  sums[r], outers[r], component, log_r)  # fmt: skip
                if fractional and not math.log(rng.random()) < ratio:
                    tally[2] += 1.0
                    _restore(replicas, before)
                    component[:] = -1
                    _allocate(rng, features, row_weights, prior, betas[r], replicas, r, log_norm, counts[r], sums[r],
                              outers[r], component, log_r)  # fmt: skip
            if proposals.alpha.shape[0] > 0 and (s * thin + t) % jump_every == 0:
                whole = whole_too and rng.random() < share_whole
                m, moved = jump(
                    rng, features, row_weights, prior, proposals, whole, replicas.weights[0], replicas.means[0],
                    replicas.latent[0], replicas.cholesky[0], replicas.scaling[0], scratch.weights[0],
                    scratch.means[0], scratch.latent[0], scratch.cholesky[0], scratch.scaling[0], matrices,
                    log_norm, logs, table,
                )  # fmt: skip
                tally[3 + 2 * whole] += 1.0
                if moved:
                    tally[4 + 2 * whole] += 1.0
                    used[m] += 1
                    component[:] = -1
                    _allocate(rng, features, row_weights, prior, betas[0], replicas, 0, log_norm, counts[0], sums[0],
                              outers[0], component, log_r)  # fmt: skip
        out_weights[s] = replicas.weights[0]
        out_means[s] = replicas.means[0]
        out_latent[s] = replicas.latent[0]
        out_cholesky[s] = replicas.cholesky[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _copy(replicas):
    return Replicas(
        replicas.weights.copy(), replicas.means.copy(), replicas.latent.copy(), replicas.cholesky.copy(),
        replicas.scaling.copy(), replicas.log_complete.copy(),
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _restore(replicas, saved):
    """Overwrite `replicas` by `saved`."""
    replicas.weights[:] = saved.weights
    replicas.means[:] = saved.means
    replicas.latent[:] = saved.latent
    replicas.cholesky[:] = saved.cholesky
    replicas.scaling[:] = saved.scaling
