"""Which components own rows, draw by draw, and what the log evidence owes to the prior scale of the means.

Labels z are drawn from the responsibilities of every draw. Given z and the covariances, the mean of a component can be
integrated out: its rows have mean ybar_k ~ N(m, Sigma_k / n_k + R^2), so

    p(y | c) / p(y | 1) = E prod_k N(ybar_k; m, Sigma_k / n_k + (c R)^2) / N(ybar_k; m, Sigma_k / n_k + R^2)

(Rao-Blackwell). ybar_k lies among the rows, so the ratio is bounded: a component gains at most about c^D by being
empty. The plain mean of it needs no smoothing, where the ratio of the priors themselves
(`model_selection.evidence.prior_sensitivity`) has no variance for a wider prior as soon as a component may be nearly
empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.clustering.label_counts import count_labels
from bayesgmm.data.copies import are_whole
from bayesgmm.errors import InputError
from bayesgmm.kernels.draw_blocks import blocks_of_draws
from bayesgmm.model.proposals.bridge import effective_sample_size
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
from bayesgmm.model_selection.evidence.prior_sensitivity import evidence_sensitivity
from bayesgmm.posterior.tree import model_rows, observed_rows, posterior_arrays, read_draws

if TYPE_CHECKING:
    import xarray

    from bayesgmm.model.prior import ResolvedPrior

__all__ = ["Occupancy", "draw_occupancy", "expected_occupancy", "scale_sensitivity"]

Array = NDArray[np.float64]

_MCSE_MAX = 0.1
_DRAWS_PER_GAIN = 50


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Rows of every component for labels drawn given every draw, each copy of a row with its own.

    Attributes
    ----------
    counts : int array (C, S, K)
    row_means : array (C, S, K, D)
        Mean of the rows of a component, on the model's scale; 0 where it has none.
    plain : bool
        Every weight is a number of copies: else the labels are those of single rows, without weights.
    """

    counts: NDArray[np.int64] = field(repr=False)
    row_means: Array = field(repr=False)
    plain: bool

    @property
    def probability(self) -> pd.Series[float]:
        """Posterior probability of each number of occupied components."""
        number = np.bincount((self.counts > 0).sum(axis=-1).ravel())
        found = np.flatnonzero(number)
        return pd.Series(number[found] / number.sum(), index=pd.Index(found, name="n_occupied"), name="probability")


def draw_occupancy(tree: xarray.DataTree, *, random_seed: int = 0) -> Occupancy:
    """Draw the labels of all rows given every draw, and count; memory is a block of draws.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    random_seed : int
        Seed of the labels.

    Returns
    -------
    Occupancy

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.BayesianGMM(1, random_seed=1, progressbar=False).fit([[1.0], [2.0], [4.0], [2.5], [3.0]])
    >>> draw_occupancy(fit.posterior_).probability.to_dict()
    {1: 1.0}
    """
    a, shape = posterior_arrays(tree), read_draws(tree).log_likelihood.shape
    rows, row_weights, _ = observed_rows(tree)
    weight = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
    plain, used = are_whole(weight) and a.df is None, np.flatnonzero(weight > 0.0)
    x, packed = a.to_model(rows[used]), model_rows(tree, a, some=used)
    copies = weight[used].astype(np.int64) if plain else np.ones(len(used), np.int64)
    counts, sums = np.zeros(a.means.shape[:2], dtype=np.int64), np.zeros(a.means.shape)
    rng = np.random.default_rng(random_seed)
    for where, r in blocks_of_draws(packed, a.weights, a.means, a.scaling, row_model=a.row_model):
        labelled = count_labels(r, copies, np.zeros(len(x)), rng)[:, :, : a.n_components]
        counts[where] = labelled.sum(axis=1)
        sums[where] = labelled.transpose(0, 2, 1) @ x
    row_means = sums / np.maximum(counts, 1)[..., None]
    return Occupancy(counts.reshape(*shape, -1), row_means.reshape(*shape, *row_means.shape[1:]), plain)


def expected_occupancy(tree: xarray.DataTree) -> Occupancy:
    """The same of many rows, none of which is read: a component owns its mixing proportion of them, and their mean is
    its own, both but for a share of n^-1/2.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``, with row weights that sum to those of all rows.
    """
    a, shape = posterior_arrays(tree), read_draws(tree).log_likelihood.shape
    rows, weights, _ = observed_rows(tree)
    total = float(len(rows)) if weights is None else float(np.sum(weights))
    counts = np.floor(total * a.shares).astype(np.int64)
    return Occupancy(counts.reshape(*shape, -1), a.means.reshape(*shape, *a.means.shape[1:]), True)


def scale_sensitivity(
    evidence: Evidence,
    tree: xarray.DataTree,
    prior: ResolvedPrior,
    occupancy: Occupancy,
    scales: Sequence[float] = (0.5, 1.0, 2.0),
) -> pd.DataFrame:
    """Log evidence with the prior scale of the means multiplied by each factor, the means integrated out.

    Parameters
    ----------
    evidence : Evidence
        Of the fit.
    tree, prior : DataTree, ResolvedPrior
        A fit's ``posterior_`` and ``prior_``.
    occupancy : Occupancy
        From `draw_occupancy`.
    scales : sequence of float

    Returns
    -------
    DataFrame
        Index ``mean_scale_factor``, columns ``log_evidence, mcse, note``; no number where the evidence is not known or
        the change has a Monte Carlo error above 0.1. With row weights that are not whole, where labels have
        no meaning, with t components, whose means have no closed form given the labels, and where a gain of c^D could
        hide between so many draws, it is `evidence_sensitivity`.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.BayesianGMM(1, random_seed=1, progressbar=False).fit([[1.0], [2.0], [4.0], [2.5], [3.0]])
    >>> table = scale_sensitivity(fit.log_evidence(), fit.posterior_, fit.prior_, draw_occupancy(fit.posterior_))
    >>> table.index.tolist(), bool(table["log_evidence"].notna().all())
    ([0.5, 1.0, 2.0], True)
    """
    if any(not (np.isfinite(c) and c > 0) for c in scales):
        raise InputError(f"scales={tuple(scales)!r} must be positive numbers.")
    n_draws, n_components, n_features = occupancy.counts[..., 0].size, *occupancy.row_means.shape[2:]
    gain = max(max(c, 1.0 / c) for c in scales) ** n_features
    if not occupancy.plain or (n_components > 1 and gain > n_draws / _DRAWS_PER_GAIN):
        return evidence_sensitivity(evidence, scales).drop(columns="pareto_k")
    cholesky = posterior_arrays(tree).cholesky
    covariances = (cholesky @ cholesky.mT).reshape(*occupancy.row_means.shape, -1)
    base = _log_density(occupancy, covariances, prior, 1.0)
    rows: list[dict[str, Any]] = []
    for c in scales:
        change, error = _log_mean(_log_density(occupancy, covariances, prior, c) - base) if c != 1.0 else (0.0, 0.0)
        ok = error <= _MCSE_MAX and evidence.ok
        refusal = str(evidence) if not evidence.ok else f"Monte Carlo error {error:.2f}: fit with mean_scale x {c:g}"
        rows.append({
            "log_evidence": evidence.value + change if ok else np.nan,
            "mcse": math.hypot(evidence.mcse, error) if ok else np.nan,
            "note": "" if ok else refusal,
        })  # fmt: skip
    return pd.DataFrame(rows, index=pd.Index([float(c) for c in scales], name="mean_scale_factor"))


def _log_mean(log_ratio: Array) -> tuple[float, float]:
    """Log of the mean of bounded ratios (C, S), and its Monte Carlo error."""
    value = float(logsumexp(log_ratio) - math.log(log_ratio.size))
    relative = np.exp(log_ratio - value)
    if np.ptp(relative) < 1e-9:
        return value, 0.0
    return value, float(np.sqrt(relative.var() / effective_sample_size(relative)))


def _log_density(occupancy: Occupancy, covariances: Array, prior: ResolvedPrior, factor: float) -> Array:
    """(C, S) sum over occupied components of log N(row mean; m, Sigma / n + (factor R)^2), constants aside."""
    counts = occupancy.counts
    spread = np.diag(np.broadcast_to(factor * prior.mean_scale, covariances.shape[-1:]) ** 2)
    covariance = covariances / np.maximum(counts, 1)[..., None, None] + spread
    root = np.linalg.cholesky(covariance)
    residual = occupancy.row_means - prior.mean_loc
    z = np.linalg.solve(root, residual[..., None])[..., 0]
    log_det = 2.0 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    value = -0.5 * ((z**2).sum(axis=-1) + log_det)
    return np.asarray(np.where(counts > 0, value, 0.0).sum(axis=-1))
