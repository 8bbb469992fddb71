"""How much the parameters owe to the prior: the same draws under other priors, and power-scaling.

The ratio of two priors reweights the posterior draws, its tail Pareto-smoothed; a Pareto k above 0.7 says that the
draws do not reach far enough, and then there is no number. Power-scaling raises the whole prior, or the likelihood, to
a power near one, and measures how fast the posterior of a parameter moves (Kallioinen, Paananen, Bürkner and Vehtari
2024, Statistics and Computing 34, 57).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.model.density.prior_density import log_sd_prior
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.proposals.importance import PARETO_K_MAX
from bayesgmm.model.proposals.pareto import pareto_smoothed
from bayesgmm.model.structure import Structure
from bayesgmm.posterior.scalars import component_scalars
from bayesgmm.posterior.tree import MixtureDraws, posterior_arrays, read_draws, read_sample_stats

if TYPE_CHECKING:
    import xarray

__all__ = ["CHANGES", "SENSITIVE", "PriorChange", "changed_prior"]

Array = NDArray[np.float64]

CHANGES = {
    "SD of the means × ½": ("means", 0.5), "SD of the means × 2": ("means", 2.0),
    "sds × ½": ("sds", 0.5), "sds × 2": ("sds", 2.0),
    "concentration × ½": ("concentration", 0.5), "concentration × 2": ("concentration", 2.0),
}  # fmt: skip
SENSITIVE = 0.05  # power-scaling sensitivity from which the prior, or the likelihood, matters
_MOST_PARAMETERS = 400  # power-scaled


@dataclass(frozen=True, eq=False)
class PriorChange:
    """Parameters under changed priors, a row a parameter.

    Attributes
    ----------
    mean, lower, upper : DataFrame (parameters, 1 + changes)
        Posterior mean and interval as fitted and under each of `CHANGES`; NaN where Pareto k exceeds 0.7.
    pareto_k : Series
        Of each change.
    scaling : DataFrame
        ``prior``, ``likelihood`` (power-scaling sensitivities) and ``diagnosis``, of at most 400 parameters; empty
        where the prior density of the draws was not recorded.
    sd : Series
        Posterior standard deviation of each parameter.
    """

    mean: pd.DataFrame
    lower: pd.DataFrame
    upper: pd.DataFrame
    pareto_k: pd.Series[float]
    scaling: pd.DataFrame
    sd: pd.Series[float]

    @property
    def shift(self) -> pd.DataFrame:
        """How far each change moves the posterior mean, in posterior standard deviations; 0 of what does not vary."""
        fitted = self.mean.iloc[:, 0]
        varies = self.sd > 1e-9 * fitted.abs()
        moved = self.mean.iloc[:, 1:].sub(fitted, axis=0).div(self.sd.where(varies), axis=0)
        return moved.mask(~varies, 0.0)


def changed_prior(tree: xarray.DataTree, prior: ResolvedPrior, *, ci_prob: float = 0.95) -> PriorChange:
    """Weights, means and standard deviations of the components under narrower and wider priors.

    Parameters
    ----------
    tree, prior : DataTree, ResolvedPrior
        A fit's ``posterior_`` and ``prior_``.
    ci_prob : float
        Probability of the intervals.

    Returns
    -------
    PriorChange

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.BayesianGMM(1, random_seed=1, progressbar=False).fit([[1.0], [2.0], [4.0], [2.5], [3.0]])
    >>> change = changed_prior(fit.posterior_, fit.prior_)
    >>> change.mean.index.tolist(), change.mean.columns[:2].tolist()
    (['weights[0]', 'means[0, x1]', 'sd[0, x1]'], ['as fitted', 'SD of the means × ½'])
    """
    draws = read_draws(tree)
    scalars = component_scalars(
        draws.heads, draws.means, draws.covariances, draws.feature_names, draws.structure
    )  # (C, S) each
    values = {name: x for name, x in scalars.items() if not name.startswith(("corr[", "df", "noise"))}
    flat = np.array([x.ravel() for x in values.values()])  # (P, S)
    weights, k_hat = {"as fitted": np.full(flat.shape[1], 1.0 / flat.shape[1])}, {}
    for name, log_ratio in _log_ratios(tree, prior, draws.structure).items():
        smoothed, k = pareto_smoothed(log_ratio) if np.ptp(log_ratio) > 1e-9 else (np.zeros(len(log_ratio)), 0.0)
        k_hat[name] = k
        weights[name] = np.exp(smoothed - smoothed.max())
        weights[name] *= 1.0 / weights[name].sum() if k <= PARETO_K_MAX else math.nan
    tables: dict[str, dict[str, Array]] = {"mean": {}, "lower": {}, "upper": {}}
    order = np.argsort(flat, axis=1)
    for name, w in weights.items():
        tables["mean"][name] = flat @ w
        up_to = np.cumsum(w[order], axis=1)
        for side, q in (("lower", 0.5 - 0.5 * ci_prob), ("upper", 0.5 + 0.5 * ci_prob)):
            at = np.minimum((up_to < q).sum(axis=1), flat.shape[1] - 1)
            found = np.take_along_axis(flat, order[np.arange(len(flat)), at][:, None], axis=1)[:, 0]
            tables[side][name] = found if np.isfinite(w).all() else np.full(len(flat), np.nan)
    index = pd.Index(list(values), name="parameter")
    mean, lower, upper = (pd.DataFrame(tables[side], index=index) for side in ("mean", "lower", "upper"))
    return PriorChange(
        mean, lower, upper, pd.Series(k_hat, name="pareto_k", dtype=float), _power_scaling(tree, draws, values),
        pd.Series(flat.std(axis=1), index=index),
    )  # fmt: skip


def _log_ratios(tree: xarray.DataTree, prior: ResolvedPrior, structure: Structure) -> dict[str, Array]:
    """(S,) log of each changed prior less the fitted one, constants aside."""
    a = posterior_arrays(tree)
    left = 1.0 - a.weights[:, [a.n_components]] if structure.has_background else 1.0
    log_shares = np.log(np.maximum(a.shares / left, 1e-300)).sum(axis=1)
    deviance = (((a.means - prior.mean_loc) / prior.mean_scale) ** 2).sum(axis=(1, 2))
    sds, parameters = _latent_sds(a.cholesky, prior, structure), prior.cells(structure)
    density = np.vectorize(lambda a, b, s: log_sd_prior(prior.family.code, a, b, s)[0], otypes=[float])
    now = density(*parameters, sds).sum(axis=(1, 2))
    out = {}
    for name, (what, factor) in CHANGES.items():
        if what == "means":
            out[name] = 0.5 * (1.0 - factor**-2) * deviance
        elif what == "sds":
            out[name] = density(*parameters, sds / factor).sum(axis=(1, 2)) - now
        else:
            out[name] = (factor - 1.0) * prior.concentration * log_shares
    return out


def _latent_sds(cholesky: Array, prior: ResolvedPrior, structure: Structure) -> Array:
    """(S, G, n_sd) distinct standard deviations before rounding, on the model's scale."""
    variances = (cholesky**2).sum(axis=3) - prior.rounding(structure)  # (S, K, D)
    sds = np.sqrt(np.maximum(variances, 1e-12 * variances.max()))
    sds = sds[:, :1] if structure.shared else sds
    return sds[:, :, :1] if structure.one_sd else sds


def _power_scaling(tree: xarray.DataTree, draws: MixtureDraws, values: dict[str, Array]) -> pd.DataFrame:
    """Sensitivities of the parameters to the whole prior and to the likelihood."""
    import xarray as xr
    from arviz_stats import psense

    log_prior = read_sample_stats(tree).get("log_prior")
    names = list(values)[:_MOST_PARAMETERS]
    moving = [name for name in names if np.ptp(values[name]) > 0.0]
    if log_prior is None or not moving or not np.isfinite(log_prior).all():
        return pd.DataFrame(columns=["prior", "likelihood", "diagnosis"])
    lead = ("chain", "draw")
    posterior = xr.Dataset({"p": ((*lead, "name"), np.stack([values[n] for n in moving], axis=-1))})
    of_draws = xr.DataTree.from_dict({
        "posterior": posterior,
        "log_prior": xr.Dataset({"p": (lead, log_prior)}),
        "log_likelihood": xr.Dataset({"y": (lead, draws.log_likelihood)}),
    })  # fmt: skip
    with np.errstate(all="ignore"):
        found = {group: psense(of_draws, group=group)["p"].values for group in ("prior", "likelihood")}
    table = pd.DataFrame(found, index=pd.Index(moving, name="parameter"))
    table["diagnosis"] = [_diagnosis(p, y) for p, y in zip(table["prior"], table["likelihood"], strict=True)]
    return table


def _diagnosis(prior: float, likelihood: float) -> str:
    """What two sensitivities say, as ArviZ has it."""
    if not prior > SENSITIVE:
        return "–"
    return "prior and data may conflict" if likelihood > SENSITIVE else "strong prior or weak data"
