"""Weights and means given the complete data: conjugate draws of a Gibbs sampler, compiled.

Given the allocations the components are independent and a component's data enter through its count, sum and sum of
squares. Weights are Dirichlet, means normal given the covariance; covariances are in
`inference.gibbs.conditionals`. Components without rows are drawn from the prior itself.
"""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.triangular import factor

__all__ = ["draw_noise", "draw_weights", "update_mean"]


@compiled
def draw_weights(rng, counts, concentration, out):
    """out ~ Dirichlet(concentration + counts), of components."""
    total = 0.0
    for k in range(counts.shape[0]):
        out[k] = max(rng.standard_gamma(concentration + counts[k]), 1e-300)
        total += out[k]
    for k in range(counts.shape[0]):
        out[k] /= total


@compiled
def draw_noise(rng, counts, n_components, noise, out):
    """The weight of a background ~ its beta, given the counts of all classes; the others, drawn before, share what it
    leaves."""
    rest = rng.standard_gamma(noise[1] + counts[:n_components].sum())
    share = max(rng.standard_gamma(noise[0] + counts[n_components]), 1e-300)
    total = rest + share
    out[n_components] = share / total
    for k in range(n_components):
        out[k] *= rest / total


@compiled
def update_mean(rng, prior, n, total, centre, scaling, matrix, root, vector, mean):
    """mean ~ its conditional, given `n` rows with sum `total` of deviations from `centre`, and the covariance; of t
    components both are weighted by precisions."""
    d = mean.shape[0]
    if not prior.correlated:
        for j in range(d):
            precision = scaling[j, j] * scaling[j, j]
            prior_precision = 1.0 / (prior.mean_scale[j] * prior.mean_scale[j])
            p = n * precision + prior_precision
            location = (precision * (n * centre[j] + total[j]) + prior_precision * prior.mean_loc[j]) / p
            mean[j] = location + rng.standard_normal() / math.sqrt(p)
        return
    # Deviations from `centre` throughout, so that nothing cancels.
    for i in range(d):
        prior_precision = 1.0 / (prior.mean_scale[i] * prior.mean_scale[i])
        vector[i] = prior_precision * (prior.mean_loc[i] - centre[i])
        for j in range(i + 1):
            p = 0.0
            for m in range(i, d):
                p += scaling[m, i] * scaling[m, j]
            matrix[i, j] = n * p + (prior_precision if i == j else 0.0)
            vector[i] += p * total[j]
            if j < i:
                vector[j] += p * total[i]
    factor(matrix, root)
    for i in range(d):
        v = vector[i]
        for m in range(i):
            v -= root[i, m] * vector[m]
        vector[i] = v / root[i, i]
    for i in range(d):
        vector[i] += rng.standard_normal()
    for i in range(d - 1, -1, -1):
        v = vector[i]
        for m in range(i + 1, d):
            v -= root[m, i] * vector[m]
        vector[i] = v / root[i, i]
    for i in range(d):
        mean[i] = centre[i] + vector[i]
