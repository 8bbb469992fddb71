"""Bayes factor of K - 1 against K components from the draws of K alone: how often is a component empty?

A mixture of K components one of which owns no row is a mixture of K - 1, so (Nobile 2004, Annals of Statistics 32,
2044-2073)

    p(y | K-1) / p(y | K) = P(n_k = 0 | y, K) / P(n_k = 0 | K).

Given the parameters, component j is empty with probability prod_i (1 - r_ij)^{a_i}, r the responsibilities and a_i
the weight of a row; the mean over draws and over components needs no relabelling. A priori the probability is
G(K e0) G(A + (K-1) e0) / [G((K-1) e0) G(A + K e0)], A = sum a_i. The identity needs the same independent prior for
every component, whatever K; it holds for the weighted likelihood too, and is a check on bridge sampling that shares
nothing with it but the draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import NORMAL, RowModel, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import as_rows
from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.prior import ResolvedPrior, log_probability_empty
from bayesgmm.model.proposals.bridge import effective_sample_size
from bayesgmm.posterior.tree import posterior_arrays, read_draws
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["EmptyComponentRatio", "empty_component_ratio", "log_empty_prior", "log_empty_probability"]

Array = NDArray[np.float64]

MCSE_MAX = 0.5
CONTRIBUTING_MIN = 50.0


@dataclass(frozen=True, repr=False)
class EmptyComponentRatio(Record):
    """Log Bayes factor of K - 1 against K components.

    Attributes
    ----------
    value : float
        log p(y | K-1) - log p(y | K).
    mcse : float
        Monte Carlo standard error.
    n_contributing : float
        Draws that carry the mean, (sum p)^2 / sum p^2: with few of them the error is itself not known.
    n_components : int
        K.
    """

    value: float
    mcse: float
    n_contributing: float
    n_components: int

    @property
    def ok(self) -> bool:
        """Whether the value may be used."""
        return self.mcse <= MCSE_MAX and self.n_contributing >= CONTRIBUTING_MIN

    def __str__(self) -> str:
        k = self.n_components
        if not self.ok:
            return (
                f"No Bayes factor of {k - 1} against {k} components by empty components (Nobile): too few draws have "
                f"one (Monte Carlo error {self.mcse:.2g}, effectively {self.n_contributing:.0f} draws)."
            )
        versus = f"{k - 1} against {k} components"
        return f"Log Bayes factor of {versus}: {self.value:.2f}, Monte Carlo error {self.mcse:.2g}."


def empty_component_ratio(tree: xarray.DataTree, table: Table, prior: ResolvedPrior) -> EmptyComponentRatio:
    """Log Bayes factor of K - 1 against K components from a fit with K.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``; all modes must be represented as they should.
    table, prior : Table, ResolvedPrior
        A fit's ``table_`` and ``prior_``.

    Raises
    ------
    InputError
        If the fit has one component.
    """
    arrays, shape = posterior_arrays(tree), read_draws(tree).log_likelihood.shape
    k = arrays.n_components
    if k == 1:
        raise InputError("a fit with one component has no empty component: fit two components or more.")
    if arrays.n_classes > k:
        raise InputError(
            "with a noise component the number of observations in the others is not fixed: compare evidences."
        )
    log_p = log_empty_probability(
        table.standardized, arrays.weights, arrays.means, arrays.scaling,
        row_weights=table.weights, row_model=arrays.row_model,
    ).reshape(shape)  # fmt: skip
    return _ratio(log_p, log_empty_prior(float(table.weights.sum()), k, prior.concentration), k)


def _ratio(log_p: Array, log_prior: float, n_components: int) -> EmptyComponentRatio:
    """From the log probability of an empty component in each draw (C, S)."""
    log_mean = float(logsumexp(log_p) - math.log(log_p.size))
    if not math.isfinite(log_mean):
        return EmptyComponentRatio(-math.inf, math.inf, 0.0, n_components)
    relative = np.exp(log_p - log_mean)  # mean one
    mcse = float(np.sqrt(relative.var() / effective_sample_size(relative)))
    return EmptyComponentRatio(log_mean - log_prior, mcse, float(log_p.size / (relative**2).mean()), n_components)


def log_empty_prior(total_weight: float, n_components: int, concentration: float) -> float:
    """Log prior probability that one given component has no row; `total_weight` is the number of rows.

    Examples
    --------
    >>> from bayesgmm.model_selection.evidence.empty_components import log_empty_prior
    >>> round(math.exp(log_empty_prior(1.0, 4, 1.0)), 12)  # one row misses one of four
    0.75
    """
    return log_probability_empty(total_weight, n_components, 1, concentration)


def log_empty_probability(
    rows: Array,
    weights: Array,
    means: Array,
    scaling: Array,
    *,
    row_weights: Array | None = None,
    row_model: RowModel = NORMAL,
) -> Array:
    """(S,) log probability, given each draw, that a component chosen at random owns no row.

    Arguments as in `kernels.streaming.pointwise_log_density`; `row_weights` (N,) count a row so many times. Memory is
    one draw's responsibilities.
    """
    packed = as_rows(rows)
    used = np.ones(len(rows)) if row_weights is None else np.ascontiguousarray(row_weights)
    out = np.empty(len(weights))

    def work(s: slice) -> None:
        _log_empty(packed, used, weights[s], means[s], scaling[s], row_model, out[s])

    over_threads(work, len(weights))
    return out


@compiled
def _log_empty(rows, row_weights, weights, means, scaling, row_model, out):
    """out[s] = log mean_j prod_i (1 - r_ij)^{a_i}; 1 - r_ij as the sum of the others where r_ij is large."""
    n_rows, n_components = row_weights.shape[0], means.shape[1]
    log_norm, total = np.empty(weights.shape[1]), np.empty(n_components)
    r = np.empty((n_rows, n_components))
    none, none2, none3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
    for s in range(weights.shape[0]):
        log_normalizers(np.log(weights[s]), scaling[s], row_model, log_norm)
        mixture_pass(rows, row_weights, log_norm, means[s], scaling[s], row_model, none, none2, none3, none, r)
        for j in range(n_components):
            total[j] = 0.0
            for i in range(n_rows):
                if row_weights[i] == 0.0:
                    continue
                if r[i, j] < 0.5:
                    total[j] += row_weights[i] * math.log1p(-r[i, j])
                    continue
                others = 0.0
                for other in range(n_components):
                    if other != j:
                        others += r[i, other]
                if others == 0.0:
                    total[j] = -math.inf
                    break
                total[j] += row_weights[i] * math.log(others)
        high = total.max()
        if high == -math.inf:
            out[s] = -math.inf
            continue
        share = 0.0
        for j in range(n_components):
            share += math.exp(total[j] - high)
        out[s] = high + math.log(share / n_components)
