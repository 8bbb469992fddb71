"""Functions of a mixture that do not depend on how its components are numbered.

Convergence is judged on these: a sampler may swap labels and still explore the posterior perfectly, and
relabelling, which minimises the differences between draws, flatters the component parameters. The costly
ones (density at fixed points, classification entropy, co-clustering of pairs) use a subset of rows and are
streamed draw by draw, so memory does not grow with draws x rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import add, compiled
from bayesgmm.kernels.row_model import NORMAL, RowModel, log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import Rows, count_rows, take_rows
from bayesgmm.kernels.spacing import evenly_among_copies, evenly_spaced, some_rows
from bayesgmm.kernels.triangular import cholesky_and_inverse, log_determinant
from bayesgmm.model.params import head_in_order, in_order

__all__ = ["DECIDED", "NEGLIGIBLE_PROBABILITY", "PROBABILITIES", "label_invariants"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

PROBABILITIES = ("sorted_weights", "sum_squared_weights", "classification_entropy", "co_clustering")
NEGLIGIBLE_PROBABILITY = 1e-6  # a standard deviation below which a probability counts as constant
DECIDED = 0.01  # probability below which it does not matter that a pair may be together, or apart
_PILOT_DRAWS = 60


def label_invariants(
    rows: Array | Rows,
    weights: Array,
    means: Array,
    covariances: Array,
    *,
    row_model: RowModel = NORMAL,
    row_weights: Array | None = None,
    feature_names: Sequence[str] | None = None,
    row_names: Sequence[object] | NDArray[Any] | None = None,
    max_rows: int = 300,
    n_points: int = 10,
    n_pairs: int = 20,
) -> dict[str, Array]:
    """Label-invariant quantities of every draw.

    Parameters
    ----------
    rows : array (N, D) or Rows
        The data, in the units of the draws; above `max_rows`, evenly spaced rows are used.
    weights, means, covariances : arrays (S, H), (S, K, D), (S, K, D, D)
        Draws, the first their heads (`kernels.row_model`); their labels do not matter, not to the last digit.
    row_model : RowModel
        The density of a row given its component.
    row_weights : array (N,), optional
        Weight of each row in the entropy, and in which rows are used; none of weight 0 is.
    feature_names, row_names : sequences of length D and N, optional
        For the names of the quantities; numbers by default.
    n_points : int
        Rows at which the density is followed: evenly spaced in the ranking by density.
    n_pairs : int
        Pairs of rows whose co-clustering is followed: those least decided, no row twice; none if K = 1.

    Returns
    -------
    dict of str to array (S,)
        ``sorted_weights[k]`` (largest first), ``sum_squared_weights``, ``noise_weight`` and ``log_df`` (mean over
        components) where there are any, ``mixture_mean[f]``,
        ``mixture_log_det_covariance``, ``log_density[row]`` and ``log_det_covariance[row]`` (of the component
        of a row, its expectation), ``classification_entropy`` (mean over rows, in nats) and
        ``co_clustering[row, row]``, the probability that two rows share a component.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.posterior.diagnostics.invariants import label_invariants
    >>> w, m = np.array([[0.3, 0.7]]), np.array([[[-2.0], [2.0]]])
    >>> q = label_invariants(np.array([[-2.0], [0.1], [2.0]]), w, m, np.ones((1, 2, 1, 1)))
    >>> [float(np.round(q[name][0], 2)) for name in ("sorted_weights[0]", "mixture_mean[0]")]
    [0.7, 0.8]
    """
    weights, means, covariances = (np.asarray(a, dtype=np.float64) for a in (weights, means, covariances))
    heads, means, covariances = _largest_first(weights, means, covariances, row_model)
    n_rows, (n_draws, n_components, _) = count_rows(rows), means.shape
    n_features, classes = means.shape[2], n_classes(row_model, n_components)
    weights = np.ascontiguousarray(heads[:, :n_components])
    features_called = range(n_features) if feature_names is None else feature_names
    rows_called = range(n_rows) if row_names is None else row_names

    out = {f"sorted_weights[{k}]": w for k, w in enumerate(weights.T)}
    out["sum_squared_weights"] = (weights**2).sum(axis=1)
    if classes > n_components:
        out["noise_weight"] = heads[:, n_components]
        weights = weights / weights.sum(axis=1, keepdims=True)
    if heads.shape[1] > classes:
        log_df = np.broadcast_to(np.log(heads[:, classes:]), weights.shape)
        out["log_df"] = np.einsum("sk,sk->s", weights, log_df)
    mean = np.einsum("sk,skd->sd", weights, means)
    deviation = means - mean[:, None, :]
    covariance = np.einsum("sk,skde->sde", weights, covariances)
    covariance += np.einsum("sk,skd,ske->sde", weights, deviation, deviation)
    for name, values in zip(features_called, mean.T, strict=True):
        out[f"mixture_mean[{name}]"] = values
    with np.errstate(invalid="ignore"):
        out["mixture_log_det_covariance"] = np.linalg.slogdet(covariance)[1]

    index, used = some_rows(np.ones(n_rows) if row_weights is None else np.asarray(row_weights, float), max_rows)
    some = take_rows(rows, index)
    pilot = evenly_spaced(n_draws, _PILOT_DRAWS)
    density, together = np.zeros(len(index)), np.zeros((len(index), len(index)))
    _pilot(some, used, heads[pilot], means[pilot], covariances[pilot], row_model, density, together)
    points = _spread_points(density, used, n_points)
    pairs = _undecided_pairs(together / len(pilot), n_pairs if n_components > 1 else 0)

    log_density, log_det = np.empty((n_draws, len(points))), np.empty((n_draws, len(points)))
    entropy = np.empty(n_draws)
    co_clustering = np.empty((n_draws, len(pairs)))
    _stream(
        some, used, heads, means, covariances, row_model, points, pairs,
        log_density, log_det, entropy, co_clustering,
    )  # fmt: skip
    for name, of_points in (("log_density", log_density), ("log_det_covariance", log_det)):
        for point, values in zip(points, of_points.T, strict=True):
            out[f"{name}[{rows_called[index[point]]}]"] = values
    out["classification_entropy"] = entropy
    for (i, j), values in zip(pairs, co_clustering.T, strict=True):
        out[f"co_clustering[{rows_called[index[i]]}, {rows_called[index[j]]}]"] = values
    return out


def _largest_first(heads: Array, means: Array, covariances: Array, row_model: RowModel) -> tuple[Array, Array, Array]:
    """One order of the components of each draw, so that sums over them round alike however they were numbered."""
    order = np.lexsort((means[:, :, 0], -heads[:, : means.shape[1]]))
    return head_in_order(heads, order, row_model), in_order(means, order), in_order(covariances, order)


def _spread_points(density: Array, row_weights: Array, n_points: int) -> IntArray:
    """Distinct positions, evenly spaced in the ranking of the rows, or their copies, by density."""
    ranked = np.argsort(density, kind="stable")
    among = evenly_among_copies(row_weights[ranked], n_points)
    return ranked[among[np.r_[True, np.diff(among) > 0]]]


def _undecided_pairs(together: Array, n_pairs: int) -> IntArray:
    """Pairs whose probability p of sharing a component has the largest p (1 - p), each row at most once."""
    first, second = np.triu_indices(len(together), k=1)
    p = together[first, second]
    used: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for position in np.argsort(-(p * (1.0 - p)), kind="stable"):
        if len(pairs) == n_pairs:
            break
        i, j = int(first[position]), int(second[position])
        if not used & {i, j}:
            used |= {i, j}
            pairs.append((i, j))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@compiled
def _responsibilities(rows, row_weights, weights, means, covariances, row_model, scaling, log_density, p):
    """Log density of each row and responsibilities under one mixture; NaN if a covariance is not valid."""
    if cholesky_and_inverse(covariances, np.empty(covariances.shape), scaling) < 0.0:
        log_density[:] = np.nan
        p[:] = np.nan
        return
    log_norm = np.empty(weights.shape[0])
    log_normalizers(np.log(weights), scaling, row_model, log_norm)
    mixture_pass(
        rows, row_weights, log_norm, means, scaling, row_model,
        np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0)), log_density, p,
    )  # fmt: skip


@compiled
def _pilot(rows, row_weights, weights, means, covariances, row_model, density, together):
    """Sums over draws of the log density of each row and of the co-clustering matrix."""
    n_draws, n_components = means.shape[:2]
    n_rows = row_weights.shape[0]
    product = np.empty((n_rows, n_rows))
    scaling = np.empty(covariances.shape[1:])
    log_density = np.empty(n_rows)
    p = np.empty((n_rows, n_classes(row_model, n_components)))
    for s in range(n_draws):
        _responsibilities(rows, row_weights, weights[s], means[s], covariances[s], row_model, scaling, log_density, p)
        add(density, log_density)
        if p.shape[1] > n_components:  # rows of the background are not together
            p[:, n_components] = 0.0
        np.dot(p, p.T, product)
        add(together, product)


@compiled
def _stream(
    rows, row_weights, weights, means, covariances, row_model, points, pairs,
    out_density, out_log_det, out_entropy, out_together,
):  # fmt: skip
    """Density at the points and log|covariance| there, mean classification entropy, co-clustering of the pairs."""
    n_draws, n_components = means.shape[:2]
    n_rows = row_weights.shape[0]
    scaling = np.empty(covariances.shape[1:])
    log_density = np.empty(n_rows)
    p = np.empty((n_rows, n_classes(row_model, n_components)))
    weight = row_weights.sum()
    for s in range(n_draws):
        _responsibilities(rows, row_weights, weights[s], means[s], covariances[s], row_model, scaling, log_density, p)
        for a in range(points.shape[0]):
            out_density[s, a] = log_density[points[a]]
            out_log_det[s, a] = 0.0
            for k in range(n_components):
                out_log_det[s, a] -= 2.0 * p[points[a], k] * log_determinant(scaling[k])
        entropy = 0.0
        for i in range(n_rows):
            for k in range(p.shape[1]):
                if p[i, k] != 0.0:
                    entropy -= row_weights[i] * p[i, k] * np.log(p[i, k])
        out_entropy[s] = entropy / weight
        for a in range(pairs.shape[0]):
            total = 0.0
            for k in range(n_components):
                total += p[pairs[a, 0], k] * p[pairs[a, 1], k]
            out_together[s, a] = total
