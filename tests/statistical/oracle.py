"""Exact answers for at most about eleven rows, sharing no code with the package.

With independent component priors the allocations factorise over components, so

    p(y | K) = G(K e0) / G(n + K e0) (f * ... * f)(all rows),   f(S) = G(|S| + e0) / G(e0) m(S),

the K-fold subset convolution of f, with m(S) the marginal likelihood of the rows S in one component and G the
gamma function. Under mu ~ N(loc, scale^2) the mean integrates analytically; the sd s is left to quadrature on
log s. Subsets are bit masks; a convolution costs 3^n.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Exact:
    """Exact posterior summaries of a mixture with K components."""

    log_evidence: float
    log_evidence_without: Array  # (n,) of all rows but one
    log_loo: Array  # (n,) log p(y_i | the others)
    co_clustering: Array  # (n, n)
    n_occupied: Array  # (K,) probability of 1..K occupied components
    empty: float  # probability that one given component has no row


def exact_posterior(log_m: Array, n_components: int, *, concentration: float = 1.0) -> Exact:
    """Everything exact, from the log marginal likelihood (2^n,) of every subset of the rows in one component."""
    k, e0 = n_components, concentration
    n = len(log_m).bit_length() - 1
    size = np.array([mask.bit_count() for mask in range(1 << n)])
    f = np.exp(log_m + gammaln(size + e0) - gammaln(e0))
    folds = [np.eye(1, 1 << n)[0], f]  # the unit of the convolution, then f
    for _ in range(2, k + 1):
        folds.append(convolve(folds[-1], f))
    log_z = gammaln(k * e0) - gammaln(size + k * e0) + np.log(folds[k])
    everything = (1 << n) - 1
    without = np.array([log_z[everything ^ (1 << i)] for i in range(n)])

    masks = np.arange(1 << n)
    own = k * f * folds[k - 1][everything ^ masks] / folds[k][everything]  # component 0 owns exactly the mask, times k
    inside = ((masks[:, None] >> np.arange(n)) & 1).astype(float)
    together = (inside * own[:, None]).T @ inside

    occupied = f.copy()
    occupied[0] = 0.0
    power, counts = occupied, []
    for j in range(1, k + 1):
        counts.append(math.comb(k, j) * power[everything])
        power = convolve(power, occupied)
    return Exact(
        log_evidence=float(log_z[everything]),
        log_evidence_without=without,
        log_loo=log_z[everything] - without,
        co_clustering=together,
        n_occupied=np.array(counts) / folds[k][everything],
        empty=float(own[0] / k),
    )


def log_marginals(
    rows: Array,
    log_sd_density: Callable[[Array], Array],
    mean_loc: float,
    mean_scale: float,
    step: float = 0.0,
) -> Array:
    """(2^n,) log marginal likelihood of each subset of rows (n,) in one component.

    `log_sd_density` is the log density of the component sd s before rounding, whose variance is s^2 + step^2 / 12.
    The trapezoid rule on log s, 4001 points, is exact to rounding for densities that vanish at both ends.
    """
    log_s = np.linspace(-25.0, 15.0, 4001)
    s = np.exp(log_s)
    log_w = log_sd_density(s) + log_s + math.log(log_s[1] - log_s[0])
    variance = s**2 + step**2 / 12.0
    out = np.zeros(1 << len(rows))
    for mask in range(1, 1 << len(rows)):
        y = rows[[i for i in range(len(rows)) if mask >> i & 1]]
        n, total = len(y), variance + len(y) * mean_scale**2
        log_density = -0.5 * (
            n * math.log(2 * math.pi) + (n - 1) * np.log(variance) + np.log(total)
            + ((y - y.mean()) ** 2).sum() / variance + n * (y.mean() - mean_loc) ** 2 / total
        )  # fmt: skip
        out[mask] = logsumexp(log_density + log_w)
    return out


def convolve(f: Array, g: Array) -> Array:
    """(f * g)(S) = sum over subsets T of S of f(T) g(S without T)."""
    out = np.empty_like(f)
    for mask in range(len(f)):
        bits = [1 << i for i in range(mask.bit_length()) if mask >> i & 1]
        subsets = np.zeros(1, dtype=np.int64)
        for bit in bits:
            subsets = np.concatenate([subsets, subsets | bit])
        out[mask] = f[subsets] @ g[mask ^ subsets]
    return out


def brute_force(log_m: Array, n_components: int, concentration: float) -> tuple[float, Array, Array]:
    """Log evidence, co-clustering and the law of occupied components, by listing all K^n allocations."""
    n, k, e0 = len(log_m).bit_length() - 1, n_components, concentration
    allocations = list(itertools.product(range(k), repeat=n))
    log_p = np.empty(len(allocations))
    for index, z in enumerate(allocations):
        masks = [sum(1 << i for i in range(n) if z[i] == j) for j in range(k)]
        counts = np.array([mask.bit_count() for mask in masks])
        log_p[index] = (
            gammaln(k * e0) - gammaln(n + k * e0) + (gammaln(counts + e0) - gammaln(e0)).sum() + log_m[masks].sum()
        )
    log_z = float(logsumexp(log_p))
    p = np.exp(log_p - log_z)
    labels = np.array(allocations)
    together = np.einsum("a,aij->ij", p, (labels[:, :, None] == labels[:, None, :]).astype(float))
    occupied = np.array([len(set(z)) for z in allocations])
    return log_z, together, np.array([p[occupied == j].sum() for j in range(1, k + 1)])
