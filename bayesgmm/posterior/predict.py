"""Predictive distributions: some columns, alone or given values of others, over the whole posterior.

A mixture of Gaussians stays one when columns are left out (marginals) or known (conditionals): component k of draw s
has the conditional mean and covariance of its Gaussian. With x_B known, the predictive density of the rest is

    p(x_A | x_B, y) = sum_sk v_sk N(x_A; mean_sk, cov_sk),   v_sk proportional to w_sk N(x_B; mu_skB, Sigma_skBB),

normalised over draws as well as components: the values that are known say something about the parameters too. So a
predictive distribution is one mixture of S x K Gaussians, and what is said of it below is exact, simulation apart. The
same holds of t components, whose marginals and conditionals are t. With noise, it is that of a row that is not noise.
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
from scipy.special import gammaln, logsumexp

from bayesgmm.arguments import (
    MOST_SAMPLES,
    as_names,
    as_numbers,
    check_choice,
    check_count,
    check_number,
    check_probability,
    check_seed,
    no_column,
    shown,
)
from bayesgmm.data.frames import as_pandas
from bayesgmm.errors import InputError
from bayesgmm.kernels.streaming import predictive_log_density
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.standard_rows import draw_rows, marginal_cdf, marginal_quantile
from bayesgmm.posterior.tree import check_reach, posterior_arrays, reach
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["PredictiveDistribution", "conditional", "marginal"]

Array = NDArray[np.float64]

_LARGEST_MEAN = 1e150  # whose square float64 holds
_FEW_DRAWS = 50.0  # effective draws below which a conditional distribution leans on too few


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveDistribution(Record):
    """A mixture of S x K Gaussians, or t distributions, over A columns, in original units.

    Attributes
    ----------
    weights, means, covariances : arrays (S, K), (S, K, A), (S, K, A, A)
        All weights sum to one. Of t components these are scale matrices, not covariances.
    features : tuple of A strings
    given : dict
        Values of the columns that are known; empty for a marginal distribution.
    effective_draws : float
        1 / sum of squared weights of the draws: S when nothing is known, less when the known values favour few
        draws. Below 50 the distribution leans on too few; values far from all rows do that.
    df : array (S, K), optional
        Degrees of freedom of t components.
    """

    weights: Array
    means: Array
    covariances: Array
    features: tuple[str, ...]
    given: dict[str, float]
    effective_draws: float
    df: Array | None = None

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
        wider = self.weights if self.df is None else self.weights * self.df / (self.df - 2.0)
        total = np.einsum("sk,skab->ab", wider, self.covariances)
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
        x = np.atleast_1d(as_numbers(values, "values"))
        if x.ndim > 1 or np.isnan(x).any():
            raise InputError(f"values={shown(values)} must be one number or a sequence of them, none NaN.")
        w, m, s = self._flat(a)
        with np.errstate(over="ignore"):  # far values have probability 0 or 1
            return np.concatenate(
                [
                    marginal_cdf((part[:, None] - m) / s, self._flat_df) @ w
                    for part in np.array_split(x, 1 + len(x) * len(w) // 2**22)
                ]
            )

    def quantile(self, q: float | Sequence[float]) -> pd.DataFrame:
        """Quantiles of each column: a row a probability."""
        given = as_numbers(q, "q", "lie between 0 and 1")
        if given.ndim > 1 or not given.size:
            raise InputError(f"q={shown(q)} must be one probability or a sequence of them.")
        levels = [check_probability(float(v), "q") for v in np.atleast_1d(given)]
        table = {name: [self._quantile(a, v) for v in levels] for a, name in enumerate(self.features)}
        return pd.DataFrame(table, index=pd.Index(levels, name="quantile"))

    def log_density(self, rows: Any) -> Array:
        """(n,) log density of rows (n, A), per original unit; a DataFrame is read by column name."""
        values = self._values(rows)
        used = self.weights.max(axis=1) > 0.0
        w = self.weights[used]
        scaling = inverse_cholesky(self._factors[used])
        check_reach(values, reach(scaling), values)
        head = w if self.df is None else np.concatenate([w, self.df[used]], axis=1)
        return predictive_log_density(values, head, self.means[used], scaling) + np.log(len(w))

    def sample(self, n_samples: int = 1, *, random_seed: int | None = None) -> pd.DataFrame:
        """`n_samples` rows of the distribution."""
        check_count(n_samples, "n_samples", most=MOST_SAMPLES)
        check_seed(random_seed)
        rng = np.random.default_rng(random_seed)
        k = self.weights.shape[1]
        flat = rng.choice(self.weights.size, size=n_samples, p=self.weights.ravel() / self.weights.sum())
        s, c = flat // k, flat % k
        noise = draw_rows(rng, n_samples, len(self.features), None if self.df is None else self.df[s, c])
        rows = self.means[s, c] + np.einsum("nij,nj->ni", self._factors[s, c], noise)
        return pd.DataFrame(rows, columns=list(self.features))

    def summary(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Mean, sd, median and equal-tailed interval of each column."""
        check_probability(ci_prob)
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
                f" It rests on {self.effective_draws:.0f} effective draws: the known values are far from the rows "
                "that were fitted, so do not rely on it."
            )
        return ("; ".join(parts) + (f" (given {known})." if known else ".")) + doubt

    def _column(self, feature: str | None) -> int:
        if feature is None and len(self.features) > 1:
            raise InputError(f"name the column: feature= one of {', '.join(self.features)}.")
        if feature is None:
            return 0
        check_choice(feature, "feature", self.features)
        return self.features.index(feature)

    def _flat(self, a: int) -> tuple[Array, Array, Array]:
        """Weights, means and sds of one column, (S K,) each."""
        return self.weights.ravel(), self.means[..., a].ravel(), np.sqrt(self.covariances[..., a, a]).ravel()

    @property
    def _flat_df(self) -> Array | None:
        return None if self.df is None else self.df.ravel()

    def _quantile(self, a: int, q: float) -> float:
        (w, m, s), df = self._flat(a), self._flat_df
        at = (m + marginal_quantile(q, df) * s)[w > 0.0]
        low, high = float(at.min()), float(at.max())  # the mixture's quantile lies among its components'
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            return low
        total = w.sum()
        # Rounding may put the ends on the wrong side by an ulp.
        margin = 1e-9 * (high - low)
        return float(
            brentq(
                lambda x: marginal_cdf((x - m) / s, df) @ w - q * total,
                low - margin,
                high + margin,
                xtol=1e-12 * (high - low),
            )
        )

    def _values(self, rows: Any) -> Array:
        rows = as_pandas(rows)
        if isinstance(rows, pd.DataFrame):
            missing = [name for name in self.features if name not in rows.columns]
            if missing:
                raise InputError(f"the rows lack the column {missing[0]!r}; give {', '.join(self.features)}.")
            rows = rows[list(self.features)]
        values = as_numbers(rows, "rows", f"be finite numbers of {', '.join(self.features)}")
        values = values[:, None] if values.ndim == 1 and len(self.features) == 1 else values
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise InputError(
                f"rows has shape {values.shape}, expected (n, {len(self.features)}): {', '.join(self.features)}."
            )
        if not np.isfinite(values).all():
            raise InputError(f"rows={shown(rows)} must be finite: leave out rows with missing or infinite values.")
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
    if not isinstance(given, (Mapping, pd.Series)):
        raise InputError(f"given={shown(given)} must map names of columns to their values.")
    stated = {name if isinstance(name, str) else shown(name): value for name, value in given.items()}
    for name in stated:
        if name not in names:
            raise InputError(f"given: {no_column([name], names)}")
    known = {name: check_number(value, f"given: {name!r}", "be a finite number") for name, value in stated.items()}
    wanted = _wanted(features, names, known)
    a = posterior_arrays(tree)
    i, j = [names.index(n) for n in wanted], [names.index(n) for n in known]
    covariances = a.cholesky @ np.swapaxes(a.cholesky, -1, -2)  # on the model's scale
    mean, cov = a.means[..., i], covariances[..., i, :][..., i]
    log_weights, df = np.log(np.maximum(a.shares, 1e-300)), a.df
    log_weights -= np.log(a.shares.sum(axis=1, keepdims=True))  # of rows that are no noise
    if j:
        values = np.array([known[names[c]] for c in j])
        with np.errstate(over="ignore"):
            at = (values - a.center[j]) / a.scale[j]
        root = inverse_cholesky(np.linalg.cholesky(covariances[..., j, :][..., j]))  # (S, K, B, B)
        far = ~(np.abs(at) <= reach(root))
        if far.any():
            raise _too_far(known, names[j[int(far.argmax())]])
        white = np.einsum("skbc,skc->skb", root, at - a.means[..., j])
        slope = np.einsum("skbc,skac->skab", root, covariances[..., i, :][..., j])
        square = np.square(white).sum(axis=-1)
        log_weights += np.log(np.diagonal(root, axis1=2, axis2=3)).sum(axis=-1)
        if df is None:
            log_weights -= 0.5 * square
        else:
            more = df + len(j)
            log_weights += gammaln(0.5 * more) - gammaln(0.5 * df) - 0.5 * len(j) * np.log(df)
            log_weights -= 0.5 * more * np.log1p(square / df)
        mean = mean + np.einsum("skab,skb->ska", slope, white)
        cov = cov - slope @ np.swapaxes(slope, -1, -2)
        if df is not None:
            cov = cov * ((df + square) / more)[..., None, None]
            df = more
    weights = np.exp(log_weights - logsumexp(log_weights))
    per_draw = weights.sum(axis=1)
    with np.errstate(over="ignore"):
        means = a.center[i] + a.scale[i] * mean
    if not np.abs(means).max() < _LARGEST_MEAN:
        raise _too_far(known, max(known, key=lambda name: abs(known[name])))
    return PredictiveDistribution(
        weights=weights,
        means=means,
        covariances=cov * np.outer(a.scale[i], a.scale[i]),
        features=tuple(wanted),
        given=known,
        effective_draws=float(1.0 / np.square(per_draw).sum()),
        df=df,
    )


def _too_far(known: Mapping[str, float], name: str) -> InputError:
    return InputError(
        f"given: {name!r} = {known[name]:g} lies so far from the fitted rows that squares of what it predicts are no "
        "floating-point numbers: check its units."
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
    wanted = as_names(features, "features", names)
    for name in wanted:
        if name in known:
            raise InputError(f"features: {name!r} is given already; leave it out of one of the two.")
    return wanted
