"""A component at a row: which row, where its mean is, and how likely that is."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesgmm.kernels import log_normalizers, mixture_pass

__all__ = ["draw_place", "log_at_rows", "mean_at_row"]


@njit(cache=True, nogil=True, error_model="numpy")
def draw_place(rng, log_weight, log_total):
    """A place, with probability exp(log_weight - log_total)."""
    u, place = rng.random(), 0
    while place < log_weight.shape[0] - 1:
        u -= math.exp(log_weight[place] - log_total)
        if u < 0.0:
            break
        place += 1
    return place


@njit(cache=True, nogil=True, error_model="numpy")
def mean_at_row(rng, features, row, cholesky, noise, mean):
    """mean ~ N(row, covariance); `noise` (D,) is scratch."""
    d = mean.shape[0]
    for i in range(d):
        noise[i] = rng.standard_normal()
    for i in range(d):
        mean[i] = features[i, row]
        for m in range(i + 1):
            mean[i] += cholesky[i, m] * noise[m]


@njit(cache=True, nogil=True, error_model="numpy")
def log_at_rows(features, row_weights, prior, log_anchor, mean, scaling, density):
    """density[i] = log_anchor[i] + log N(y_i; mean, covariance); the log of their sum."""
    log_norm, none = np.empty(1), np.empty((0, 0))
    log_normalizers(np.zeros(1), scaling.reshape(1, *scaling.shape), log_norm)
    mixture_pass(features, row_weights, log_norm, mean.reshape(1, -1), scaling.reshape(1, *scaling.shape),
                 not prior.correlated, np.empty(0), none, np.empty((0, 0, 0)), density, none)  # fmt: skip
    density += log_anchor
    highest = density.max()
    return highest + math.log(np.exp(density - highest).sum())
