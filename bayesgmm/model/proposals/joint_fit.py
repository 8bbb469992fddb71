"""Normal proposals of a whole mixture, fitted to the draws of one mode: see `model.proposals.joint`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayesgmm.model.density.natural import CompletePrior, cells_of
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.proposals.conjugate import Proposals

__all__ = ["Joint", "fit_joint", "no_joint"]

Array = NDArray[np.float64]

_LARGE_ROWS = 4.0  # of a component that is proposed with the others
_MOST_PARAMETERS = 1.0  # a draw
_WIDEN = 1.1
_LEAST_SHRINK = 0.02
_FURTHEST = 3.0  # times the median squared distance of draws


class Joint(NamedTuple):
    """J normal proposals; components in the order of the reference, the G that hold rows first."""

    part: NDArray[np.int64]  # (J,) the proposal whose parts the others are
    order: NDArray[np.int64]  # (J, K) its components, those of the normal first
    n_large: NDArray[np.int64]  # (J,)
    log_weight: Array  # (J, K) mean log weight
    means: Array  # (J, K, D) reference
    cholesky: Array  # (J, K, D, D)
    scaling: Array  # (J, K, D, D)
    spread: Array  # (J, K, 1 + D + C) sds of a component's log weight and coordinates
    log_scale: Array  # (J, K, D) log diagonal of `cholesky`
    furthest: Array  # (J,) squared distance, in those units, beyond which nothing is proposed
    centre: Array  # (J, P)
    root: Array  # (J, P, P) Cholesky factor of the covariance
    inverse: Array  # (J, P, P) its inverse
    n_dim: NDArray[np.int64]  # (J,)
    constant: Array  # (J,)


def no_joint(n_components: int, n_features: int) -> Joint:
    """J = 0."""
    k, d = n_components, n_features
    i, a = np.empty(0, dtype=np.int64), np.empty((0, k))
    square, p = np.empty((0, k, d, d)), np.empty((0, 0))
    cube = np.empty((0, 0, 0))
    return Joint(i, np.empty((0, k), dtype=np.int64), i, a, np.empty((0, k, d)), square, square, np.empty((0, k, 0)),
                 np.empty((0, k, d)), np.empty(0), p, cube, cube, i, np.empty(0))  # fmt: skip


def fit_joint(samples: Sequence[Sample], prior: CompletePrior, proposals: Proposals, n_rows: float) -> Joint:
    """A normal proposal for each sample that has draws enough; `proposals` are those fitted to the same samples."""
    k, d = samples[0].means.shape[1:]
    if not prior.own or k == 1:
        return no_joint(k, d)
    fitted = [f for m, sample in enumerate(samples) if (f := _fit(sample, prior, proposals, m, n_rows)) is not None]
    if not fitted:
        return no_joint(k, d)
    p = max(len(f[10]) for f in fitted)
    columns = [list(c) for c in zip(*fitted, strict=True)]
    for i in (10, 11, 12):
        columns[i] = [np.pad(a, [(0, p - len(a))] * a.ndim) for a in columns[i]]
    return Joint._make(np.ascontiguousarray(np.stack(c)) for c in columns)


def _fit(sample: Sample, prior: CompletePrior, proposals: Proposals, m: int, n_rows: float) -> tuple[Any, ...] | None:
    s, k, d = sample.means.shape
    weight = sample.weights.mean(axis=0)
    large = (weight * n_rows >= _LARGE_ROWS) & ~proposals.empty[m]
    g = int(large.sum())
    c = cells_of(prior, d)
    n_dim = g - 1 + g * (d + c)
    if g < 1 or n_dim > _MOST_PARAMETERS * s:
        return None
    order = np.argsort(~large, kind="stable")
    log_w = np.log(sample.weights[:, order])
    means = sample.means.mean(axis=0)[order]
    cholesky = _mean_factor(sample.cholesky[:, order])
    scaling = inverse_cholesky(cholesky)
    x = np.einsum("kij,skj->ski", scaling, sample.means[:, order] - means)
    t = scaling @ sample.cholesky[:, order]
    log_diagonal = np.log(np.diagonal(t, axis1=2, axis2=3))
    if prior.correlated:
        i, j = np.tril_indices(d)
        cells = t[:, :, i, j]
        cells[:, :, i == j] = log_diagonal
    else:
        cells = log_diagonal[:, :, :c]
    own = np.concatenate([log_w[:, :, None], x, cells], axis=2)  # (S, K, 1 + D + C)
    if not np.isfinite(own).all():
        return None
    spread, log_diagonals = own.std(axis=0) + 1e-9, np.log(np.diagonal(cholesky, axis1=1, axis2=2))
    distances = np.square((own[:, :g] - own[:, :g].mean(axis=0)) / spread[:g]).sum(axis=(1, 2))
    furthest = np.float64(_FURTHEST * np.median(distances))
    xi = np.concatenate([log_w[:, : g - 1] - log_w[:, g - 1 : g], own[:, :g, 1:].reshape(s, -1)], axis=1)
    root = np.linalg.cholesky(_WIDEN * _shrunk_covariance(xi))
    log_scale = log_diagonals[:g]
    constant = -np.log(np.diag(root)).sum() - 0.5 * n_dim * math.log(2.0 * math.pi)
    constant -= log_scale.sum()  # of the means
    if prior.correlated:
        constant -= (np.arange(1, d + 1) * log_scale).sum()  # of T -> L, row by row
    if g < k:
        alpha = proposals.alpha[m][order]
        constant += gammaln(alpha.sum()) - gammaln(alpha[g:]).sum() - gammaln(alpha[:g].sum())
    return (
        np.int64(m), order.astype(np.int64), np.int64(g), log_w.mean(axis=0), means, cholesky, scaling,
        spread, log_diagonals, furthest, xi.mean(axis=0), root, inverse_cholesky(root), np.int64(n_dim),
        np.float64(constant),
    )  # fmt: skip


def _mean_factor(cholesky: Array) -> Array:
    """Factors (K, D, D) of mean covariances; draws (S, K, D, D) may be nearly singular, so no product of them."""
    s, k, d, _ = cholesky.shape
    stacked = cholesky.transpose(1, 0, 3, 2).reshape(k, s * d, d) / math.sqrt(s)
    root = np.linalg.qr(stacked, mode="r")  # R'R is the mean of L L'
    return (root * np.sign(np.diagonal(root, axis1=1, axis2=2))[:, :, None]).mT


def _shrunk_covariance(x: Array) -> Array:
    """Covariance of draws (S, P), correlations shrunk by how well they are known (Schaefer and Strimmer 2005)."""
    sd = x.std(axis=0) + 1e-9
    correlation = (x - x.mean(axis=0)).T @ (x - x.mean(axis=0)) / len(x) / np.outer(sd, sd)
    off = correlation - np.diag(np.diag(correlation))
    variance = np.square(1.0 - np.square(off)) / len(x)
    known = np.square(off).sum()
    shrink = min(1.0, (variance.sum() - len(sd) / len(x)) / known) if known > 0.0 else 1.0
    return np.outer(sd, sd) * ((1.0 - max(shrink, _LEAST_SHRINK)) * off + np.eye(len(sd)))
