"""Undo label switching: Stephens' (2000) Kullback-Leibler relabelling, pooled over all chains.

The components of a mixture have no order, so every draw may name them differently. Stephens alternates two
steps until no more is gained: the reference Q_ij, the mean over draws of the relabelled responsibilities of
row i, and for every draw the permutation nu that minimises

    sum_i sum_j p_i,nu(j) (log p_i,nu(j) - log Q_ij),

an assignment problem on C_jl = sum_i p_il (log p_il - log Q_ij). Since sum_jl p_il log p_il is the same for
every permutation, only -sum_i p_il log Q_ij is computed. The search begins with some of the draws, whose
responsibilities are held in memory; from the reference that it ends with, all draws take few rounds more, their
responsibilities computed draw by draw and dropped: memory is S K^2 + n K whatever the number of rows.

The new labels are ordered by the posterior mean of the first feature (ties: of the next one), ascending, so
the answer does not depend on how the draws were labelled to begin with.

Stephens (2000), JRSS B 62, 795-809; for the probability of each relabelling Sperrin, Jaki, Wit (2010),
Statistics and Computing 20, 357-366.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.errors import InputError
from bayesgmm.kernels.compiled import compiled, plain
from bayesgmm.kernels.row_model import NORMAL, RowModel, log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import Rows, as_rows, take_rows
from bayesgmm.kernels.spacing import evenly_spaced, some_rows
from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import head_in_order, in_order

__all__ = ["Relabelling", "in_one_order", "relabel"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Inputs = tuple[Any, ...]  # of the passes over draws: rows, row weights and parameters

MAX_ENUMERATED = 6  # components up to which all K! permutations enter the ambiguity
_START_UNIFORM = 0.01  # a single draw's near-zeros would otherwise rule the first assignment
_TINY = np.finfo(np.float64).tiny
_SETTLED = 1e-5  # of the cost, by which a round improves it when the search ends
_FIRST_DRAWS, _FIRST_NUMBERS = 500, 4_000_000  # of the search's beginning, and most of their responsibilities


@dataclass(frozen=True, eq=False)
class Relabelling:
    """How each draw's components were renamed, and how sure that is.

    Attributes
    ----------
    permutations : int array (S, K)
        New component k of draw s is its old component ``permutations[s, k]``.
    ambiguity : array (S,)
        One minus the probability of the chosen permutation given the draw, P(nu | theta) proportional to
        exp(sum_i sum_j p_i,nu(j) log Q_ij): 0 is certain. All K! permutations count for K <= 6; above, the
        chosen one and its K (K - 1) / 2 single swaps, a lower bound that is close when mix-ups are pairwise.
    n_iter, converged : int, bool
        Rounds of assignment of all draws, and whether the last one changed the cost by no more than 1e-5 of it.
    method : str
        In words, for the record.
    reference : array (n, K)
        Q: mean relabelled responsibilities of the rows used, in the new order.
    row_index : int array (n,)
        The rows used.
    """

    permutations: IntArray
    ambiguity: Array
    n_iter: int
    converged: bool
    method: str
    reference: Array
    row_index: IntArray

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (S, K, ...) with the components of every draw in the new order."""
        return in_order(values, self.permutations)

    def apply_head(self, heads: Array, row_model: RowModel) -> Array:
        """Heads (S, H) with the components of every draw in the new order."""
        return head_in_order(heads, self.permutations, row_model)


def relabel(
    rows: Array | Rows,
    weights: Array,
    means: Array,
    scaling: Array,
    *,
    row_model: RowModel = NORMAL,
    row_weights: Array | None = None,
    start: int | None = None,
    max_rows: int = 3000,
    max_iter: int = 50,
    random_seed: int = 0,
) -> Relabelling:
    """Relabel the draws of a mixture so that a component means the same in all of them.

    Parameters
    ----------
    rows : array (N, D), in the units of the draws, or Rows
    weights, means, scaling : arrays (S, H), (S, K, D), (S, K, D, D)
        The draws of all chains, the first their heads (`kernels.row_model`); `scaling` holds inverse lower Cholesky
        factors of the covariances.
    row_model : RowModel
        The density of a row given its component.
    row_weights : array (N,), optional
    start : int, optional
        Draw whose labels the reference starts from; by default the one of highest likelihood.
    max_rows, random_seed : int
        Above so many rows, a random subset of them is used.
    max_iter : int, rounds of assignment at most

    Returns
    -------
    Relabelling

    Raises
    ------
    InputError
        If shapes disagree or a draw is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.model.relabel import relabel
    >>> rows = np.array([[-2.0], [-1.9], [2.0], [2.1]])
    >>> means = np.array([[[-2.0], [2.0]], [[2.0], [-2.0]]])  # the second draw has switched labels
    >>> relabel(rows, np.full((2, 2), 0.5), means, np.ones((2, 2, 1, 1))).permutations
    array([[0, 1],
           [1, 0]])
    """
    weights, means, scaling = (np.ascontiguousarray(a, dtype=np.float64) for a in (weights, means, scaling))
    rows = as_rows(rows)
    n_features, n_rows = rows.features.shape
    n_draws, n_components = means.shape[:2]
    if means.shape != (len(weights), n_components, n_features) or scaling.shape != (*means.shape, n_features):
        raise InputError(
            f"shapes disagree: rows {(n_rows, n_features)}, weights {weights.shape}, means {means.shape}, "
            f"scaling {scaling.shape}; expected (N, D), (S, H), (S, K, D), (S, K, D, D)."
        )
    index, used = np.arange(n_rows), np.ones(n_rows) if row_weights is None else np.asarray(row_weights, dtype=float)
    if n_rows > max_rows and np.ptp(used) > 0.0:
        index, used = some_rows(used, max_rows)
    elif n_rows > max_rows:
        index = np.sort(np.random.default_rng(random_seed).choice(n_rows, max_rows, replace=False))
        used = np.ascontiguousarray(used[index])
    method = f"Stephens (2000) Kullback-Leibler, all chains pooled, {len(index)} of {n_rows} rows"
    if n_components == 1:
        same = np.zeros((n_draws, 1), dtype=np.int64)
        return Relabelling(same, np.zeros(n_draws), 0, True, "one component", np.ones((len(index), 1)), index)

    packed = take_rows(rows, index) if len(index) < n_rows else rows

    def draws(s: slice) -> Inputs:
        return packed, used, weights[s], means[s], scaling[s], row_model

    if start is None:
        log_likelihood = np.empty(n_draws)
        over_threads(lambda s: _log_likelihoods(*draws(s), log_likelihood[s]), n_draws)
        start = int(np.argmax(np.nan_to_num(log_likelihood, nan=-np.inf)))
    one = slice(start, start + 1)
    reference = _reference(*draws(one), np.arange(n_components)[None])
    reference = (1.0 - _START_UNIFORM) * reference + _START_UNIFORM / n_components

    n_first = min(n_draws, _FIRST_DRAWS, max(1, _FIRST_NUMBERS // (len(index) * n_components)))
    some = np.append(evenly_spaced(n_draws, n_first), start)
    held = np.empty((len(some), len(index), n_components))
    over_threads(
        lambda s: _hold(packed, used, weights[some[s]], means[some[s]], scaling[some[s]], row_model, held[s]),
        len(some),
    )
    _, reference, _, _ = _search(
        some, reference, used, max_iter,
        costs=lambda log_reference, out: np.negative(np.matmul(log_reference.T, held, out=out), out=out),
        mean=lambda order: _mean_in_order(held, order),
    )  # fmt: skip
    costs = np.empty((n_draws, n_components, n_components))
    order, reference, converged, n_iter = _search(
        np.arange(n_draws), reference, used, max_iter, out=costs,
        costs=lambda log_reference, out: _fill_costs(draws, log_reference, out),
        mean=lambda order: _mean_reference(draws, order),
    )  # fmt: skip

    ambiguity = np.empty(n_draws)
    _ambiguities(costs, order, _alternatives(n_components), ambiguity)
    posterior_means = np.take_along_axis(means, order[:, :, None], axis=1).mean(axis=0)  # (K, D)
    final = np.arange(n_components) if len(rows.known) else np.lexsort(posterior_means.T[::-1])
    return Relabelling(order[:, final], ambiguity, n_iter, converged, method, reference[:, final], index)


def _search(
    numbers: IntArray,
    reference: Array,
    row_weights: Array,
    max_iter: int,
    *,
    costs: Callable[[Array, Array], Any],
    mean: Callable[[IntArray], Array],
    out: Array | None = None,
) -> tuple[IntArray, Array, bool, int]:
    """Alternate the two steps, for the draws of these numbers, from a reference: their order, the reference, whether
    it settled, rounds.

    `costs` fills (S, K, K) given the weighted log reference, `mean` is the mean of the relabelled responsibilities.
    """
    n_draws, n_components = len(numbers), reference.shape[1]
    cost = np.empty((n_draws, n_components, n_components)) if out is None else out
    order = np.tile(np.arange(n_components), (n_draws, 1))
    total, n_iter = np.inf, 0
    while True:
        costs(row_weights[:, None] * np.log(np.maximum(reference, _TINY)), cost)
        if not np.isfinite(cost).all():
            bad = numbers[np.flatnonzero(~np.isfinite(cost).all(axis=(1, 2)))[0]]
            raise InputError(f"draw {bad} has parameters that are not finite or not valid; drop such draws.")
        previous, order = order, np.array([linear_sum_assignment(c)[1] for c in cost])
        previous_total, total = total, float(np.take_along_axis(cost, order[:, :, None], 2).sum())
        # The first reference is that of other draws, so the first round never ends the search.
        settled = np.array_equal(order, previous) or previous_total - total <= _SETTLED * abs(total)
        n_iter += 1
        if (n_iter > 1 and settled) or n_iter >= max_iter:
            return order, reference, n_iter > 1 and settled, n_iter
        reference = mean(order)


def _fill_costs(draws: Callable[[slice], Inputs], log_reference: Array, out: Array) -> None:
    over_threads(lambda s: _costs(*draws(s), *plain(log_reference), out[s]), len(out))


def _mean_in_order(held: Array, order: IntArray) -> Array:
    """(n, K) mean of `held` (S, n, K), its components in the order of each draw; no copy of all of it."""
    total = np.zeros(held.shape[1:])
    for one, places in zip(held, order, strict=True):
        total += one[:, places]
    return total / len(held)


def _mean_reference(draws: Callable[[slice], Inputs], order: IntArray) -> Array:
    sums = over_threads(lambda s: _reference(*draws(s), order[s]), len(order))
    return np.sum(sums, axis=0) / len(order)


def _alternatives(n_components: int) -> IntArray:
    """Relative permutations, without the identity, that compete with the chosen one."""
    identity = list(range(n_components))
    if n_components <= MAX_ENUMERATED:
        return np.array(list(permutations(identity))[1:], dtype=np.int64)
    pairs = np.array(list(combinations(identity, 2)))
    swaps = np.tile(np.arange(n_components), (len(pairs), 1))
    np.put_along_axis(swaps, pairs, pairs[:, ::-1], axis=1)
    return swaps


@compiled
def _responsibilities(rows, row_weights, weights, means, scaling, row_model, out):
    """Responsibilities of the components under one draw into out (n, K), or nowhere if its length is 0; the
    log-likelihood."""
    log_norm, n_components = np.empty(weights.shape[0]), means.shape[0]
    classes = n_classes(row_model, n_components)
    p = out if classes == n_components else np.empty((out.shape[0], classes))
    log_normalizers(np.log(weights), scaling, row_model, log_norm)
    value = mixture_pass(
        rows, row_weights, log_norm, means, scaling, row_model,
        np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0)), np.empty(0), p,
    )  # fmt: skip
    if classes > n_components:
        for i in range(out.shape[0]):
            for k in range(n_components):
                out[i, k] = p[i, k]
    return value


@compiled
def _hold(rows, row_weights, weights, means, scaling, row_model, out):
    """Responsibilities of every draw (S, n, K)."""
    for s in range(weights.shape[0]):
        _responsibilities(rows, row_weights, weights[s], means[s], scaling[s], row_model, out[s])


@compiled
def _log_likelihoods(rows, row_weights, weights, means, scaling, row_model, out):
    """Weighted log-likelihood of every draw."""
    nowhere = np.empty((0, 0))
    for s in range(weights.shape[0]):
        out[s] = _responsibilities(rows, row_weights, weights[s], means[s], scaling[s], row_model, nowhere)


@compiled
def _costs(rows, row_weights, weights, means, scaling, row_model, weighted_log_reference, out):
    """out[s, j, l] = -sum_i row_weight_i log Q_ij p_il, p the responsibilities of draw s."""
    p = np.empty((row_weights.shape[0], means.shape[1]))
    transposed = np.ascontiguousarray(weighted_log_reference.T)
    for s in range(weights.shape[0]):
        _responsibilities(rows, row_weights, weights[s], means[s], scaling[s], row_model, p)
        np.dot(transposed, p, out[s])
    out *= -1.0


@compiled
def _reference(rows, row_weights, weights, means, scaling, row_model, order):
    """(n, K) sum over draws of the responsibility of row i in relabelled component j."""
    n_components = means.shape[1]
    n = row_weights.shape[0]
    p, out = np.empty((n, n_components)), np.zeros((n, n_components))
    for s in range(weights.shape[0]):
        _responsibilities(rows, row_weights, weights[s], means[s], scaling[s], row_model, p)
        for i in range(p.shape[0]):
            for j in range(n_components):
                out[i, j] += p[i, order[s, j]]
    return out


@compiled
def _ambiguities(costs, order, alternatives, out):
    """One minus the probability of the chosen permutation among itself and the alternatives."""
    n_components = order.shape[1]
    for s in range(order.shape[0]):
        others = 0.0
        for a in range(alternatives.shape[0]):
            excess = 0.0
            for j in range(n_components):
                excess += costs[s, j, order[s, alternatives[a, j]]] - costs[s, j, order[s, j]]
            others += np.exp(-excess)
        out[s] = others / (1.0 + others)


def in_one_order(sample: Sample, rows: Array | Rows, row_weights: Array, row_model: RowModel, *, most: int) -> Sample:
    """At most so many of the draws, their components in one order by `relabel`."""
    sample = sample.take(evenly_spaced(len(sample.weights), most))
    order = relabel(rows, sample.weights, sample.means, sample.scaling, row_model=row_model, row_weights=row_weights)
    k = sample.means.shape[1]
    parts = [order.apply(a) if a.shape[1] == k else a for a in sample[1:]]
    return Sample(*(np.ascontiguousarray(a) for a in (order.apply_head(sample.weights, row_model), *parts)))
