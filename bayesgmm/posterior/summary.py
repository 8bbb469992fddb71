"""One table for a fit: every parameter's maximum-likelihood estimate beside its posterior.

The order of the components of the two is unrelated, so the maximum-likelihood components are matched to the
posterior ones first, by the assignment that minimises the squared distance of means and weights in units of
the posterior standard deviation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.arguments import check_probability
from bayesgmm.errors import InputError
from bayesgmm.model.params import MixtureParams
from bayesgmm.posterior.diagnostics.convergence import MIN_DRAWS
from bayesgmm.posterior.diagnostics.diagnose import Diagnosis, diagnose
from bayesgmm.posterior.diagnostics.verdicts import MOSTLY_AMBIGUOUS
from bayesgmm.posterior.scalars import component_scalars
from bayesgmm.posterior.tree import read_draws

if TYPE_CHECKING:
    import xarray

__all__ = ["in_posterior_order", "summary"]

Array = NDArray[np.float64]


def summary(
    tree: xarray.DataTree,
    em_params: MixtureParams | None = None,
    *,
    ci_prob: float = 0.95,
    diagnosis: Diagnosis | None = None,
) -> pd.DataFrame:
    """Estimates, intervals and diagnostics of every parameter, in the original units.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    em_params : MixtureParams, optional
        Maximum-likelihood estimate in the original units; its components may be in any order.
    ci_prob : float
        Probability of the equal-tailed interval.
    diagnosis : Diagnosis, optional
        Of the same tree, to save computing it again.

    Returns
    -------
    DataFrame
        A row a parameter: ``weights[k]``, ``means[k, feature]``, and the covariances as ``sd[k, feature]``
        and ``corr[k, feature, feature]`` (without k when tied). Columns ``mle, mean, sd``, the interval (such
        as ``ci_2.5%, ci_97.5%``), ``ess_bulk, ess_tail, r_hat, mcse_mean, ok``. ``ok`` is False where the
        interval is not to be relied on: the parameter's own R-hat or ESS fails, or the whole fit's diagnosis
        does. ``attrs["verdict"]`` is the diagnosis in a sentence.

    Raises
    ------
    InputError
        If `ci_prob` is not between 0 and 1, or `em_params` has other components or features.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from bayesgmm.posterior.summary import summary
    >>> rng, lead = np.random.default_rng(0), ("chain", "draw")
    >>> posterior = {
    ...     "weights": ((*lead, "component"), np.ones((4, 300, 1))),
    ...     "means": ((*lead, "component", "feature"), rng.normal(size=(4, 300, 1, 1))),
    ...     "covariances": ((*lead, "component", "feature", "feature_bis"), np.ones((4, 300, 1, 1, 1))),
    ...     "log_likelihood_total": (lead, rng.normal(size=(4, 300))),
    ... }
    >>> data = xr.Dataset({"obs": (("obs_id", "feature"), [[-1.0], [1.0]])}, {"obs_id": [0, 1]})
    >>> tree = xr.DataTree.from_dict(
    ...     {"posterior": xr.Dataset(posterior, {"feature": ["x"]}), "observed_data": data}
    ... )
    >>> [name for name, ok in summary(tree)["ok"].items() if ok]
    ['weights[0]', 'means[0, x]', 'sd[0, x]']
    """
    check_probability(ci_prob)
    diagnosis = diagnose(tree) if diagnosis is None else diagnosis
    draws = read_draws(tree)
    named = draws.feature_names, draws.structure
    values = component_scalars(draws.heads, draws.means, draws.covariances, *named)
    table = diagnosis.components

    lower, upper = 0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)
    flat = np.stack([x.ravel() for x in values.values()])  # (parameters, C * S)
    bounds = np.quantile(flat, [lower, upper], axis=1)
    mle = pd.Series(np.nan, index=table.index)
    if em_params is not None:
        fitted = em_params.permute(_match(draws.weights, draws.means, em_params))
        scalars = component_scalars(fitted.head, fitted.means, fitted.covariances, *named)
        mle = pd.Series({name: float(x) for name, x in scalars.items()}).reindex(table.index)
    unreliable = not diagnosis.ok or diagnosis.ambiguous_share > MOSTLY_AMBIGUOUS
    out = pd.DataFrame(
        {
            "mle": mle,
            "mean": table["mean"],
            "sd": table["sd"],
            f"ci_{100 * lower:g}%": bounds[0],
            f"ci_{100 * upper:g}%": bounds[1],
            "ess_bulk": table["ess_bulk"],
            "ess_tail": table["ess_tail"],
            "r_hat": table["r_hat"],
            "mcse_mean": _mcse_mean(values),
            "ok": table["ok"] & (not unreliable),
        }
    )
    out.index.name = "parameter"
    out.attrs["verdict"] = diagnosis.verdict
    return out


def in_posterior_order(params: MixtureParams, tree: xarray.DataTree) -> MixtureParams:
    """A maximum-likelihood estimate with its components numbered as those of the posterior, see the module."""
    draws = read_draws(tree)
    return params.permute(_match(draws.weights, draws.means, params))


def _match(weights: Array, means: Array, params: MixtureParams) -> NDArray[np.intp]:
    """Component of `params` that answers to each posterior component; draws (C, S, K), (C, S, K, D)."""
    if means.shape[2:] != params.means.shape:
        raise InputError(
            f"em_params has {params.n_components} components and {params.n_features} features, the posterior "
            f"{means.shape[2]} and {means.shape[3]}; pass the maximum-likelihood fit of the same model."
        )
    draws = np.concatenate([weights[..., None], means], axis=-1).reshape(-1, means.shape[2], means.shape[3] + 1)
    fitted = np.concatenate([params.weights[:, None], params.means], axis=1)  # (K, 1 + D)
    spread = np.maximum(draws.std(axis=0), 1e-12 * np.abs(draws).max(axis=(0, 1)) + np.finfo(float).tiny)
    distance = (draws.mean(axis=0)[:, None, :] - fitted[None, :, :]) / spread[:, None, :]
    return linear_sum_assignment(np.square(distance).sum(axis=-1))[1]


def _mcse_mean(values: dict[str, Array]) -> list[float]:
    """Monte Carlo standard error of each posterior mean; NaN where there are too few draws."""
    from arviz_stats.base import array_stats

    first = next(iter(values.values()))
    if first.shape[1] < MIN_DRAWS:
        return [float("nan")] * len(values)
    with np.errstate(all="ignore"):
        return [float(array_stats.mcse(x, method="mean")) for x in values.values()]
