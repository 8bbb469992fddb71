"""Are ranks uniform? Simultaneous p-values of an empirical distribution function, and bands that hold everywhere.

With n ranks of R equally probable values, the number below i is binomial(n, i / R). The statistic is the smallest
pointwise two-sided probability over all i; its distribution under uniform ranks, simulated, gives the p-value of the
whole curve and, by its 5 % quantile, the pointwise level at which bands hold simultaneously. The ArviZ library has the
bands (`arviz_stats.ecdf_utils`) and not the p-values; `tests/statistical/test_sbc.py` compares the two.

Sailynoja, Burkner, Vehtari (2022). Statistics and Computing 32, 32.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.stats import binom

__all__ = ["SMALLEST", "bands", "cell_p_value", "holm", "p_values"]

Array = np.ndarray

_SIMULATIONS, _BLOCK = 200_000, 20_000
SMALLEST = 1.0 / (_SIMULATIONS + 1)


def _statistic(below: Array, n: int, n_ranks: int) -> Array:
    """Smallest pointwise two-sided probability of counts (..., R - 1) of ranks below 1, ..., R - 1."""
    lower, upper = _tails(n, n_ranks)
    column = np.arange(n_ranks - 1)
    return 2.0 * np.minimum(lower[column, below], upper[column, below]).min(axis=-1)


@cache
def _tails(n: int, n_ranks: int) -> tuple[Array, Array]:
    """P(count <= x) and P(count >= x), (R - 1, n + 1)."""
    probability, x = (np.arange(1, n_ranks) / n_ranks)[:, None], np.arange(n + 1)
    return binom.cdf(x, n, probability), binom.sf(x - 1, n, probability)


@cache
def _under_uniformity(n: int, n_ranks: int) -> Array:
    """Sorted statistics of n uniform ranks."""
    rng = np.random.default_rng([n, n_ranks])
    parts = []
    for _ in range(_SIMULATIONS // _BLOCK):
        counts = rng.multinomial(n, np.full(n_ranks, 1.0 / n_ranks), _BLOCK)
        parts.append(_statistic(counts.cumsum(axis=1)[:, :-1], n, n_ranks))
    return np.sort(np.concatenate(parts))


def _below(ranks: Array, n_ranks: int) -> Array:
    """Counts (Q, R - 1) of ranks (n, Q) below 1, ..., R - 1."""
    return np.stack([np.bincount(column, minlength=n_ranks).cumsum()[:-1] for column in ranks.T])


def p_values(ranks: Array, n_ranks: int) -> Array:
    """Simultaneous p-value (Q,) of each column of ranks (n, Q), whole numbers from 0 to ``n_ranks - 1``."""
    n = len(ranks)
    reference = _under_uniformity(n, n_ranks)
    observed = _statistic(_below(ranks, n_ranks), n, n_ranks)
    return (np.searchsorted(reference, observed * (1.0 + 1e-9), side="right") + 1.0) / (len(reference) + 1.0)


def cell_p_value(ranks: Array, n_ranks: int) -> float:
    """The smallest of the p-values of Q quantities times Q (Bonferroni: they depend on each other)."""
    return float(min(1.0, ranks.shape[1] * p_values(ranks, n_ranks).min()))


def holm(p: Array) -> Array:
    """Adjusted p-values (m,): rejecting those below alpha errs in any of m with probability alpha at most."""
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(adjusted, 1.0)
    return out


def bands(n: int, n_ranks: int, probability: float = 0.95) -> tuple[Array, Array]:
    """Least and largest share of ranks below 1, ..., R - 1, that hold together with this probability."""
    level = np.quantile(_under_uniformity(n, n_ranks), 1.0 - probability)
    lower, upper = _tails(n, n_ranks)
    allowed = 2.0 * np.minimum(lower, upper) >= level  # (R - 1, n + 1)
    return allowed.argmax(axis=1) / n, (n - allowed[:, ::-1].argmax(axis=1)) / n
