"""Have the chains converged? R-hat and effective sample sizes of many scalars, and which chains agree.

Rank-normalised split R-hat and bulk and tail ESS (Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021,
Bayesian Analysis 16, 667-718) are ArviZ's; here they become one table with a verdict a row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri
from scipy.stats import rankdata

__all__ = ["ESS_MIN", "MIN_DRAWS", "R_HAT_MAX", "convergence_table", "ess_of_means", "group_chains", "r_hat"]

Array = NDArray[np.float64]

R_HAT_MAX = 1.01
ESS_MIN = 400.0
MIN_DRAWS = 4  # a chain, for split diagnostics to exist

_STATIONARY_R_HAT = 1.05  # halves of one chain hold half its information, so a limit of 1.01 is too strict
_APART_SDS = 2.0  # modes differ by more; chains that mix slowly differ by one
_APART_ERRORS = 5.0
_ROUNDING = 8 * np.finfo(np.float64).eps


def convergence_table(values: Mapping[str, Array], *, negligible: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Mean, sd, R-hat, ESS and whether they pass, one row a quantity.

    Parameters
    ----------
    values : mapping of str to array (chains, draws)
        With one chain, R-hat compares its two halves.
    negligible : mapping of str to float, optional
        By name, a standard deviation so small that the quantity counts as constant; infinite for one that need not
        be judged.

    Returns
    -------
    DataFrame
        Columns ``mean, sd, r_hat, ess_bulk, ess_tail, ok, note``. A constant quantity is ok, with NaN for
        R-hat and ESS and a note; one that is not finite, or has fewer than four draws per chain, is not.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.posterior.diagnostics.convergence import convergence_table
    >>> x = np.random.default_rng(0).normal(size=(4, 500))
    >>> convergence_table({"x": x, "one": np.ones((4, 500))})["ok"].tolist()
    [True, True]
    """
    from arviz_stats.base import array_stats

    negligible = negligible or {}
    rows = []
    for name, x in values.items():
        row = {"mean": np.nan, "sd": np.nan, "r_hat": np.nan, "ess_bulk": np.nan, "ess_tail": np.nan}
        if x.size == 0 or not np.isfinite(x).all():
            rows.append({**row, "ok": False, "note": "not finite"})
            continue
        row["mean"], row["sd"] = float(x.mean()), float(x.std(ddof=1)) if x.size > 1 else 0.0
        if x.shape[1] < MIN_DRAWS:
            rows.append({**row, "ok": False, "note": f"fewer than {MIN_DRAWS} draws per chain"})
            continue
        if np.ptp(x) <= _ROUNDING * np.abs(x).max() or row["sd"] <= negligible.get(name, 0.0):
            decided = negligible.get(name, 0.0) == np.inf and row["sd"] > 0.0
            rows.append({**row, "ok": True, "note": "decided" if decided else "constant"})
            continue
        with np.errstate(all="ignore"):
            row["r_hat"] = r_hat(x)
            row["ess_bulk"] = float(array_stats.ess(x, method="bulk"))
            row["ess_tail"] = float(array_stats.ess(x, method="tail", prob=0.05))
        ok = row["r_hat"] < R_HAT_MAX and min(row["ess_bulk"], row["ess_tail"]) > ESS_MIN
        rows.append({**row, "ok": bool(ok), "note": ""})
    columns = ["mean", "sd", "r_hat", "ess_bulk", "ess_tail", "ok", "note"]
    return pd.DataFrame(rows, index=pd.Index(list(values), name="quantity"), columns=columns)


def r_hat(x: Array) -> float:
    """Rank-normalised split R-hat of draws (chains, draws); the two halves of it when there is one chain."""
    if x.shape[0] == 1:
        return float(_half_r_hat(x)[0])
    from arviz_stats.base import array_stats

    with np.errstate(all="ignore"):
        return float(array_stats.rhat(x, method="rank"))


def ess_of_means(values: Array) -> Array:
    """Effective sample sizes (Q,) for the means of Q quantities (Q, C, S), as ``az.ess(..., method="mean")``.

    ArviZ takes one quantity at a time, half a millisecond each; leave-one-out scores need one for every row. A constant
    counts in full.

    >>> x = np.random.default_rng(0).normal(size=(1, 4, 1000)).cumsum(axis=-1)
    >>> bool(ess_of_means(x)[0] < 20.0)
    True
    """
    half = values.shape[-1] // 2
    x = np.concatenate([values[..., :half], values[..., -half:]], axis=1)
    n_chains = x.shape[1]
    means = x.mean(axis=-1)
    spectrum = np.fft.rfft(x - means[..., None], n=next_fast_len(2 * half), axis=-1)
    power = (spectrum * spectrum.conj()).real.mean(axis=1)
    covariance = np.fft.irfft(power, n=next_fast_len(2 * half), axis=-1)[:, :half] / half  # (Q, S / 2), mean of chains
    within = covariance[:, :1] * half / (half - 1.0)
    total = within * (half - 1.0) / half + means.var(axis=1, ddof=1)[:, None]
    with np.errstate(all="ignore"):
        rho = 1.0 - (within - covariance) / total
    rho[:, 0] = 1.0
    # Geyer's initial positive and monotone sequences, of sums of an even lag and the odd one after it.
    even, odd = rho[:, 0 : half - 1 : 2], rho[:, 1:half:2]
    pairs = even + odd
    pairs[:, max(0, (half - 3) // 2) :] = -np.inf  # where ArviZ gives up
    ended = (pairs <= 0.0).argmax(axis=1)
    kept = np.arange(pairs.shape[1]) < ended[:, None]
    sums = np.minimum.accumulate(np.where(kept, pairs, np.inf), axis=1)
    after = np.take_along_axis(even, ended[:, None], axis=1)[:, 0]
    tau = -1.0 + 2.0 * np.where(kept, sums, 0.0).sum(axis=1) + np.maximum(after, 0.0)
    size = float(n_chains * half)
    with np.errstate(all="ignore"):
        ess = size / np.maximum(tau, 1.0 / np.log10(size))
    return np.where(np.ptp(x, axis=(1, 2)) < np.finfo(float).resolution, size, ess)


def group_chains(values: Array) -> list[list[int]] | None:
    """Chains that sit in the same mode, when each is stationary and they disagree all the same.

    Two chains are apart if some quantity, stationary within every chain, differs between them by more than
    two standard deviations and five Monte Carlo errors.

    Parameters
    ----------
    values : array (quantities, chains, draws)

    Returns
    -------
    list of lists of chains, or None
        None when all chains agree, or when none of the disagreement is between stationary chains: then the
        run is merely too short or mixes badly.
    """
    from arviz_stats.base import array_stats

    n_quantities, n_chains, n_draws = values.shape
    if n_chains < 2 or n_draws < 2 * MIN_DRAWS:
        return None
    mean, sd = values.mean(axis=-1), values.std(axis=-1, ddof=1)  # (Q, C)
    with np.errstate(all="ignore"):
        within = _half_r_hat(values.reshape(-1, n_draws)).reshape(n_quantities, n_chains)
        ess = array_stats.ess(values.reshape(-1, 1, n_draws), method="mean").reshape(sd.shape)
        variance = np.where(sd > 0.0, sd**2 / ess, 0.0)
    stationary = ((within < _STATIONARY_R_HAT) | (sd == 0.0)).all(axis=1)
    if not stationary.any():
        return None
    mean, sd, variance = mean[stationary], sd[stationary], variance[stationary]
    gap = np.abs(mean[:, :, None] - mean[:, None, :])  # (Q, C, C)
    pooled = np.sqrt(0.5 * (sd[:, :, None] ** 2 + sd[:, None, :] ** 2))
    error = np.sqrt(variance[:, :, None] + variance[:, None, :])
    rounding = 1e-9 * np.abs(mean).max(axis=1)[:, None, None]
    apart = (gap > np.maximum(_APART_SDS * pooled, _APART_ERRORS * error) + rounding).any(axis=0)
    n_groups, label = connected_components(~apart, directed=False)
    if n_groups == 1:
        return None
    return [np.flatnonzero(label == g).tolist() for g in range(n_groups)]


def _half_r_hat(x: Array) -> Array:
    """Rank-normalised R-hat between the halves of each row of draws (chains, draws), bulk and folded."""
    half = x.shape[-1] // 2
    x = np.concatenate([x[:, :half], x[:, -half:]], axis=1)
    folded = np.abs(x - np.median(x, axis=1, keepdims=True))
    worst = np.zeros(len(x))
    with np.errstate(all="ignore"):
        for y in (x, folded):
            z = ndtri((rankdata(y, axis=1) - 0.375) / (y.shape[1] + 0.25)).reshape(len(x), 2, half)
            between = half * z.mean(axis=-1).var(axis=-1, ddof=1)
            within = z.var(axis=-1, ddof=1).mean(axis=-1)
            worst = np.fmax(worst, np.sqrt((between / within + half - 1) / half))
    return worst
