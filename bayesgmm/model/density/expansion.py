"""The log-likelihood of many rows to second order around a reference mixture, from one pass over them.

With y the residual of a row whitened by component k of the reference, and s = (1, y, the products y_i y_j), the log
density of the row in component k is, at any other normal component, what it is at the reference plus d_k's: exactly,
since whitened residuals are linear in y and densities quadratic in them. A row of responsibilities r changes its log
density by

    log sum_k r_k exp(d_k's)  =  sum_k r_k d_k's + 1/2 [sum_k r_k (d_k's)^2 - (sum_k r_k d_k's)^2] + remainder,

so that the log-likelihood of all rows changes by T'd + d'M d / 2 and the sum of the remainders, where

    T = sum of v,   M = blockdiag(sum of r_k s s') - sum of v v',   v = (r_1 s, ..., r_K s)

take one pass, M of undecided rows alone, and d(theta) is a function of the mixture. Louis' (1982) observed information
is J' M J and terms of first order, J the derivatives of d. A row whose component is certain has no remainder: what is
left is of third order in the parameters, and of overlap alone (`model.density.remainder`).

Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. JRSS B 44, 226-233.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.blocks import add, fold_blocks
from bayesgmm.kernels.row_model import RowModel, log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import rows_of
from bayesgmm.model.params import MixtureParams, inverse_cholesky

__all__ = ["Block", "Expansion", "expand", "row_terms", "weighed"]

Array = NDArray[np.float64]
Block = tuple[Array, Array]  # features (D, n) of complete rows on the model's scale, and their weights (n,)

_CERTAIN = 1e-10  # of a row's component: what its terms of second order are at most, beside those of the others
_ROWS = 2048  # undecided ones, whose vectors v are held at once by a thread
_NONE, _NONE_2, _NONE_3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))


@dataclass(frozen=True, eq=False)
class Expansion:
    """Sums over rows at a reference mixture; Q is 1 + D + the number of products, n = K Q, and 1 with a background.

    Attributes
    ----------
    reference : MixtureParams
    row_model : RowModel
    log_likelihood : float
        At the reference.
    first : array (n,)
        T: for each component the sums of r s, then the sum of the background's responsibilities.
    second : array (n, n)
        M.
    n_rows, weight : int, float
        Rows, and the sum of their weights.
    """

    reference: MixtureParams
    row_model: RowModel
    log_likelihood: float
    first: Array
    second: Array
    n_rows: int
    weight: float

    def differences(self, heads: Array, means: Array, cholesky: Array) -> Array:
        """d (S, n) of mixtures (S, H), (S, K, D), (S, K, D, D)."""
        (k, d), pairs = self.reference.means.shape, products(self.row_model, means.shape[2])
        turn, shift = self._turns(means, cholesky)
        square = turn.mT @ turn - np.eye(d)
        constant = np.log(np.diagonal(turn, axis1=2, axis2=3)).sum(axis=2) - 0.5 * (shift**2).sum(axis=2)
        log_heads = np.log(np.maximum(heads, np.finfo(float).tiny)) - np.log(self.reference.head)
        out = np.concatenate([
            (constant + log_heads[:, :k])[:, :, None],
            np.einsum("skij,ski->skj", turn, shift),
            np.where(pairs[0] == pairs[1], -0.5, -1.0) * square[:, :, *pairs],
        ], axis=2).reshape(len(heads), -1)  # fmt: skip
        return out if n_classes(self.row_model, k) == k else np.concatenate([out, log_heads[:, k:]], axis=1)

    def log_likelihoods(self, heads: Array, means: Array, cholesky: Array) -> Array:
        """(S,) log-likelihoods to second order."""
        d = self.differences(heads, means, cholesky)
        return self.log_likelihood + d @ self.first + 0.5 * np.einsum("sn,sn->s", d @ self.second, d)

    def at(self, head: Array, means: Array, cholesky: Array) -> tuple[float, Array, Array, Array]:
        """Log-likelihood to second order of one mixture, and the statistics of a pass (counts, sums, outers) of which
        the gradient of exactly that is made."""
        (k, d), pairs = self.reference.means.shape, products(self.row_model, means.shape[1])
        difference = self.differences(head[None], means[None], cholesky[None])[0]
        change = self.second @ difference
        value = self.log_likelihood + difference @ self.first + 0.5 * difference @ change
        sums_at_reference = self.first + change
        of_components = sums_at_reference[: k * (1 + d + len(pairs[0]))].reshape(k, -1)
        counts, first = of_components[:, 0], of_components[:, 1 : 1 + d]
        outer = np.zeros((k, d, d))
        outer[:, *pairs] = of_components[:, 1 + d :]
        outer[:, *pairs[::-1]] = of_components[:, 1 + d :]
        turn, shift = (a[0] for a in self._turns(means[None], cholesky[None]))
        turned = np.einsum("kij,kj->ki", turn, first)
        crossed = turned[:, :, None] * shift[:, None, :]
        outers = turn @ outer @ turn.mT - crossed - crossed.mT
        outers += counts[:, None, None] * shift[:, :, None] * shift[:, None, :]
        all_counts = np.append(counts, sums_at_reference[k * (1 + d + len(pairs[0])) :])
        return float(value), all_counts, turned - counts[:, None] * shift, np.tril(outers)

    def _turns(self, means: Array, cholesky: Array) -> tuple[Array, Array]:
        """B (S, K, D, D) and z (S, K, D): residuals whitened by a mixture are B y - z."""
        scaling = inverse_cholesky(cholesky)
        shift = np.einsum("skij,skj->ski", scaling, means - self.reference.means)
        return scaling @ self.reference.cholesky, shift


def products(row_model: RowModel, d: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which products y_i y_j a density is made of, i >= j: all, or squares where covariances are diagonal."""
    if row_model.diagonal:
        return np.arange(d), np.arange(d)
    i, j = np.tril_indices(d)
    return i, j


def expand(
    blocks: Iterable[Block], reference: MixtureParams, row_model: RowModel, cores: int | None = None
) -> Expansion:
    """The expansion of the log-likelihood of all rows, by one pass over them.

    Parameters
    ----------
    blocks : iterable of (features (D, n), row weights (n,))
        Complete rows on the model's scale.
    reference : MixtureParams
        A mixture of normal components, on that scale.
    row_model : RowModel
    cores : int or None
        Threads; None is every processor. The sums do not depend on it.
    """
    work = partial(_of_block, reference=reference, row_model=row_model)
    return Expansion(reference, row_model, *fold_blocks(work, add, blocks, cores))


def _of_block(
    block: Block, number: int, reference: MixtureParams, row_model: RowModel
) -> tuple[float, Array, Array, int, float]:
    features, weights = block
    (k, d), pairs = reference.means.shape, products(row_model, len(features))
    q, classes = 1 + d + len(pairs[0]), n_classes(row_model, k)
    counts, sums, outers, r = (
        np.empty(classes),
        np.empty((k, d)),
        np.empty((k, d, d)),
        np.empty((len(weights), classes)),
    )
    value = _pass(features, weights, reference, row_model, counts, sums, outers, _NONE, r)
    first = np.concatenate([np.column_stack([counts[:k], sums, outers[:, *pairs]]).ravel(), counts[k:]])
    second = np.zeros((len(first), len(first)))
    undecided = np.flatnonzero(r.max(axis=1) < 1.0 - _CERTAIN)  # others add nothing: r_k s s' is v v'
    for start in range(0, len(undecided), _ROWS):
        rows = undecided[start : start + _ROWS]
        some, w, own_r = np.ascontiguousarray(features[:, rows]), weights[rows], r[rows]
        v = np.empty((len(first), len(rows)))
        for c in range(k):
            s, own = row_terms(some, reference, row_model, c), slice(c * q, (c + 1) * q)
            np.multiply(s, own_r[:, c], out=v[own])
            second[own, own] += (v[own] * w) @ s.T
        if classes > k:
            v[-1] = own_r[:, k]
            second[-1, -1] += float(w @ own_r[:, k])
        second -= (v * w) @ v.T
    return value, first, second, len(weights), float(weights.sum())


def weighed(features: Array, reference: MixtureParams, row_model: RowModel) -> tuple[Array, Array]:
    """Log densities (n,) and responsibilities (n, R) of rows (D, n)."""
    n = features.shape[1]
    log_density, r = np.empty(n), np.empty((n, n_classes(row_model, reference.n_components)))
    _pass(features, np.ones(n), reference, row_model, _NONE, _NONE_2, _NONE_3, log_density, r)
    return log_density, r


def _pass(
    features: Array, weights: Array, reference: MixtureParams, row_model: RowModel, counts: Array, sums: Array,
    outers: Array, log_density: Array, r: Array,
) -> float:  # fmt: skip
    log_norm = np.empty(len(reference.head))
    log_normalizers(np.log(reference.head), reference.scaling, row_model, log_norm)
    return float(mixture_pass(
        rows_of(np.ascontiguousarray(features)), weights, log_norm, reference.means, reference.scaling, row_model,
        counts, sums, outers, log_density, r,
    ))  # fmt: skip


def row_terms(features: Array, reference: MixtureParams, row_model: RowModel, component: int) -> Array:
    """s (Q, n) of rows (D, n) in one component."""
    d, pairs = len(features), products(row_model, len(features))
    out = np.empty((1 + d + len(pairs[0]), features.shape[1]))
    out[0] = 1.0
    y = out[1 : 1 + d]
    np.matmul(reference.scaling[component], features - reference.means[component][:, None], out=y)
    for place, (i, j) in enumerate(zip(*pairs, strict=True), start=1 + d):
        np.multiply(y[i], y[j], out=out[place])
    return out
