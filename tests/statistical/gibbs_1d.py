"""A plain Gibbs sampler of a one-column mixture, to draw where NUTS struggles; shares no code with the package.

Lognormal component sd s with variance s^2 + step^2 / 12; log s moves by random-walk Metropolis, everything else is
drawn from its conditional.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def gibbs(rows, k, e0, loc, scale, log_mu, log_sigma, step, n_draws, thin, seed):
    """Draws (n_draws, K) of weights, means and sds (rounding included), every `thin`-th after as many again / 10."""
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator
    n = len(rows)
    weights, means, log_s = np.ones(k) / k, loc + scale * 0.3 * np.random.randn(k), log_mu + 0.3 * np.random.randn(k)  # noqa: NPY002
    out = np.empty((n_draws, 3, k))
    z = np.zeros(n, dtype=np.int64)
    p = np.empty(k)
    extra = step * step / 12.0
    burn = n_draws // 10
    for it in range((burn + n_draws) * thin):
        for i in range(n):
            high = -math.inf
            for j in range(k):
                v = math.exp(2.0 * log_s[j]) + extra
                p[j] = math.log(weights[j] + 1e-300) - 0.5 * math.log(v) - 0.5 * (rows[i] - means[j]) ** 2 / v
                high = max(high, p[j])
            total = 0.0
            for j in range(k):
                p[j] = math.exp(p[j] - high)
                total += p[j]
            u, j = np.random.random() * total, 0  # noqa: NPY002
            while j < k - 1 and u > p[j]:
                u -= p[j]
                j += 1
            z[i] = j
        for j in range(k):
            m, sums, v = 0, 0.0, math.exp(2.0 * log_s[j]) + extra
            for i in range(n):
                if z[i] == j:
                    m += 1
                    sums += rows[i]
            weights[j] = np.random.gamma(e0 + m, 1.0)  # noqa: NPY002
            precision = m / v + 1.0 / scale**2
            means[j] = (sums / v + loc / scale**2) / precision + np.random.randn() / math.sqrt(precision)  # noqa: NPY002
            square = 0.0
            for i in range(n):
                if z[i] == j:
                    square += (rows[i] - means[j]) ** 2
            if m == 0:
                log_s[j] = log_mu + log_sigma * np.random.randn()  # noqa: NPY002
            for _ in range(4):
                new = log_s[j] + np.random.randn() / math.sqrt(1.0 / log_sigma**2 + 0.5 * m)  # noqa: NPY002
                w = math.exp(2.0 * new) + extra
                v = math.exp(2.0 * log_s[j]) + extra
                change = -0.5 * m * math.log(w / v) - 0.5 * square * (1.0 / w - 1.0 / v)
                change -= 0.5 * ((new - log_mu) ** 2 - (log_s[j] - log_mu) ** 2) / log_sigma**2
                if math.log(np.random.random()) < change:  # noqa: NPY002
                    log_s[j] = new
        weights /= weights.sum()
        if it >= burn * thin and (it + 1) % thin == 0:
            t = it // thin - burn
            out[t, 0], out[t, 1] = weights, means
            for j in range(k):
                out[t, 2, j] = math.sqrt(math.exp(2.0 * log_s[j]) + extra)
    return out


def gibbs_chains(*args, n_chains: int = 4, seed: int = 0) -> tuple[NDArray[np.float64], ...]:
    """Weights, means and sds, each (C, S, K)."""
    draws = np.stack([gibbs(*args, 1000 * seed + c) for c in range(n_chains)])
    return draws[:, :, 0], draws[:, :, 1], draws[:, :, 2]
