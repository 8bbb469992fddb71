"""Predictive distributions: some columns, alone or given values of others, over the whole posterior.

A mixture of Gaussians stays one when columns are left out (marginals) or known (conditionals): component k of draw s
has the conditional mean and covariance of its Gaussian. With x_B known, the predictive density of the rest is

    p(x_A | x_B, y) = sum_sk v_sk N(x_A; mean_sk, cov_sk),   v_sk proportional to w_sk N(x_B; mu_skB, Sigma_skBB),

normalised over draws as well as components: the values that are known say something about the parameters too. So a
predictive distribution is one mixture of S x K Gaussians, and what is said of it below is exact, simulation apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from bayesgmm.errors import InputError, check_ci_prob, check_count
from bayesgmm.kernels.row_model import NORMAL
from bayesgmm.kernels.streaming import predictive_log_density
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.posterior.tree import posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["PredictiveDistribution", "conditional", "marginal"]

Array = NDArray[np.float64]

_FEW_DRAWS = 50.0  # effective draws below which a conditional distribution leans on too few


@dataclass(frozen=True, eq=False)
class PredictiveDistribution:
    """A mixture of S x K Gaussians over A columns, in original units.

    Attributes
    ----------
    weights, means, covariances : arrays (S, K), (S, K, A), (S, K, A, A)
        All weights sum to one.
    features : tuple of A strings
    given : dict
        Values of the columns that are known; empty for a marginal distribution.
    effective_draws : float
        1 / sum of squared weights of the draws: S when nothing is known, less when the known values favour few
        draws. Below 50 the distribution leans on too few; values far from all rows do that.
    """

    weights: Array
    means: Array
    covariances: Array
    features: tuple[str, ...]
    given: dict[str, float]
    effective_draws: float

    @cached_property
    def _factors(self) -> Array:
        return np.linalg.cholesky(self.covariances)

    @property
    def mean(self) -> pd.Series[float]:
        """Predictive mean of each column."""
        return pd.Series(np.einsum("sk,ska->a", self.weights, self.means), index=self.features, name="mean")

    @property
    def covariance(self) -> pd.DataFrame:
        """Predictive covariance (A, A): within components, between components, and of the parameters."""
        deviation = self.means - self.mean.to_numpy()
        total = np.einsum("sk,skab->ab", self.weights, self.covariances)
        total += np.einsum("sk,ska,skb->ab", self.weights, deviation, deviation)
        return pd.DataFrame(total, index=self.features, columns=self.features)

    @property
    def sd(self) -> pd.Series[float]:
        """Predictive standard deviation of each column."""
        return pd.Series(np.sqrt(np.diag(self.covariance)), index=self.features, name="sd")

    @property
    def component_probabilities(self) -> Array:
        """(K,) probability of each component, given the known values."""
        return self.weights.sum(axis=0)

    def cdf(self, values: ArrayLike, feature: str | None = None) -> Array:
        """P(column <= value) for each value; `feature` may be left out of a single column."""
        a = self._column(feature)
        x = np.atleast_1d(np.asarray(values, dtype=np.float64))
        w, m, s = self._flat(a)
        return np.concatenate(
            [NORMAL.cdf((part[:, None] - m) / s) @ w for part in np.array_split(x, 1 + len(x) * len(w) // 2**22)]
        )

    def quantile(self, q: float | Sequence[float]) -> pd.DataFrame:
        """Quantiles of each column: a row a probability."""
        levels = [float(v) for v in np.atleast_1d(q)]
        for v in levels:
            check_ci_prob(v, "q")
        table = {name: [self._quantile(a, v) for v in levels] for a, name in enumerate(self.features)}
        return pd.DataFrame(table, index=pd.Index(levels, name="quantile"))

    def log_density(self, rows: Any) -> Array:
        """(n,) log density of rows (n, A), per original unit; a DataFrame is read by column name."""
        values = self._values(rows)
        used = self.weights.max(axis=1) > 0.0
        w = self.weights[used]
        scaling = inverse_cholesky(self._factors[used])
        return predictive_log_density(values, w, self.means[used], scaling) + np.log(len(w))

    def sample(self, n_samples: int = 1, *, random_seed: int | None = None) -> pd.DataFrame:
        """`n_samples` rows of the distribution."""
        check_count(n_samples, "n_samples")
        rng = np.random.default_rng(random_seed)
        k = self.weights.shape[1]
        flat = rng.choice(self.weights.size, size=n_samples, p=self.weights.ravel() / self.weights.sum())
        s, c = flat // k, flat % k
        noise = NORMAL.noise(rng, n_samples, len(self.features))
        rows = self.means[s, c] + np.einsum("nij,nj->ni", self._factors[s, c], noise)
        return pd.DataFrame(rows, columns=list(self.features))

    def summary(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Mean, sd, median and equal-tailed interval of each column."""
        check_ci_prob(ci_prob)
        bounds = [0.5 * (1.0 - ci_prob), 0.5, 0.5 * (1.0 + ci_prob)]
        q = self.quantile(bounds).to_numpy()
        table = pd.DataFrame({"mean": self.mean, "sd": self.sd, "median": q[1]})
        table[f"ci_{100 * bounds[0]:g}%"], table[f"ci_{100 * bounds[2]:g}%"] = q[0], q[2]
        return table

    def __str__(self) -> str:
        known = ", ".join(f"{name} = {value:g}" for name, value in self.given.items())
        parts = [
            f"{name}: {row['mean']:.4g}, 95 % [{row.iloc[3]:.4g}, {row.iloc[4]:.4g}]"
            for name, row in self.summary().iterrows()
        ]
        doubt = ""
        if self.effective_draws < min(_FEW_DRAWS, 0.5 * len(self.weights)):
            doubt = (
                f" It leans on {self.effective_draws:.0f} effective draws: the known values are far from the rows "
                "that were fitted, so do not rely on it."
            )
        return ("; ".join(parts) + (f" (given {known})." if known else ".")) + doubt

    def _column(self, feature: str | None) -> int:
        if feature is None and len(self.features) > 1:
            raise InputError(f"name the column: feature= one of {', '.join(self.features)}.")
        if feature is not None and feature not in self.features:
            raise InputError(f"there is no column {feature!r} here; choose among {', '.join(self.features)}.")
        return 0 if feature is None else self.features.index(feature)

    def _flat(self, a: int) -> tuple[Array, Array, Array]:
        """Weights, means and sds of one column, (S K,) each."""
        return self.weights.ravel(), self.means[..., a].ravel(), np.sqrt(self.covariances[..., a, a]).ravel()

    def _quantile(self, a: int, q: float) -> float:
        w, m, s = self._flat(a)
        at = m[w > 0.0] + NORMAL.quantile(q) * s[w > 0.0]
        low, high = float(at.min()), float(at.max())  # the mixture's quantile lies among its components'
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            return low
        total = w.sum()
        # Rounding may put the ends on the wrong side by an ulp.
        margin = 1e-9 * (high - low)
        return float(
            brentq(
                lambda x: NORMAL.cdf((x - m) / s) @ w - q * total,
                low - margin,
                high + margin,
                xtol=1e-12 * (high - low),
            )
        )

    def _values(self, rows: Any) -> Array:
        if isinstance(rows, pd.DataFrame):
            missing = [name for name in self.features if name not in rows.columns]
            if missing:
                raise InputError(f"the rows lack the column {missing[0]!r}; give {', '.join(self.features)}.")
            rows = rows[list(self.features)]
        values = np.asarray(rows, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 and len(self.features) == 1 else values
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise InputError(
                f"rows has shape {values.shape}, expected (n, {len(self.features)}): {', '.join(self.features)}."
            )
        return values


def conditional(
    tree: xarray.DataTree, given: Mapping[str, float], *, features: Sequence[str] | str | None = None
) -> PredictiveDistribution:
    """Distribution of some columns of a new row, given the values of others.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    given : mapping
        Column name to value, in original units.
    features : sequence of str, optional
        Columns wanted; by default all that are not given.

    Returns
    -------
    PredictiveDistribution

    Raises
    ------
    InputError
        If a column is unknown, given and wanted at once, or a value is not a finite number.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.posterior.predict import conditional
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> wait = conditional(fit.posterior_, {"eruptions": 2.0})
    >>> wait.mean.round(0).to_dict()
    {'waiting': 54.0}
    """
    names = [str(f) for f in tree["posterior"].to_dataset()["feature"].values]
    known = {str(name): value for name, value in given.items()}
    for name, value in known.items():
        if name not in names:
            raise InputError(f"given: there is no column {name!r}; choose among {', '.join(names)}.")
        if isinstance(value, str) or not np.isscalar(value) or not np.isfinite(value):
            raise InputError(f"given: {name!r} must be a finite number, got {value!r}.")
    wanted = _wanted(features, names, known)
    a = posterior_arrays(tree)
    i, j = [names.index(n) for n in wanted], [names.index(n) for n in known]
    covariances = a.cholesky @ np.swapaxes(a.cholesky, -1, -2)  # on the model's scale
    mean, cov = a.means[..., i], covariances[..., i, :][..., i]
    log_weights = np.log(np.maximum(a.weights, 1e-300))
    if j:
        at = (np.array([known[names[c]] for c in j]) - a.center[j]) / a.scale[j]
        root = inverse_cholesky(np.linalg.cholesky(covariances[..., j, :][..., j]))  # (S, K, B, B)
        white = np.einsum("skbc,skc->skb", root, at - a.means[..., j])
        slope = np.einsum("skbc,skac->skab", root, covariances[..., i, :][..., j])
        log_weights = log_weights - 0.5 * np.square(white).sum(axis=-1)
        log_weights += np.log(np.diagonal(root, axis1=2, axis2=3)).sum(axis=-1)
        mean = mean + np.einsum("skab,skb->ska", slope, white)
        cov = cov - slope @ np.swapaxes(slope, -1, -2)
    weights = np.exp(log_weights - logsumexp(log_weights))
    per_draw = weights.sum(axis=1)
    return PredictiveDistribution(
        weights=weights,
        means=a.center[i] + a.scale[i] * mean,
        covariances=cov * np.outer(a.scale[i], a.scale[i]),
        features=tuple(wanted),
        given={name: float(value) for name, value in known.items()},
        effective_draws=float(1.0 / np.square(per_draw).sum()),
    )


def marginal(tree: xarray.DataTree, features: Sequence[str] | str | None = None) -> PredictiveDistribution:
    """Posterior predictive distribution of some columns of a new row; by default of all.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.posterior.predict import marginal
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> marginal(fit.posterior_, "waiting").mean.round(0).to_dict()
    {'waiting': 71.0}
    """
    return conditional(tree, {}, features=features)


def _wanted(features: Sequence[str] | str | None, names: list[str], known: Mapping[str, float]) -> list[str]:
    if features is None:
        wanted = [n for n in names if n not in known]
        if not wanted:
            raise InputError("given: every column is known, nothing is left to predict; leave one out.")
        return wanted
    wanted = [features] if isinstance(features, str) else [str(f) for f in features]
    for name in wanted:
        if name not in names:
            raise InputError(f"features: there is no column {name!r}; choose among {', '.join(names)}.")
        if name in known:
            raise InputError(f"features: {name!r} is given already; leave it out of one of the two.")
    if not wanted or len(set(wanted)) < len(wanted):
        raise InputError("features must name at least one column, and none of them twice.")
    return wanted
