"""The log prior density of a mixture, compiled; sds and correlations are those before rounding."""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled
from bayesgmm.model.density.layout import split

__all__ = ["log_prior_draws", "log_prior_head", "log_sd_prior"]

_LOG_SQRT_2_OVER_PI = 0.5 * math.log(2.0 / math.pi)
_LOG_2_OVER_PI = math.log(2.0 / math.pi)
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)


@compiled
def log_sd_prior(family, a, b, s):
    """Log density of a component sd s > 0 (before rounding), and its derivative by log s.

    `family` is `ScaleFamily.code` and (a, b) are its hyperparameters.
    """
    variance = s * s
    if family == 0:
        value = _LOG_SQRT_2_OVER_PI - math.log(a) - 0.5 * variance / (a * a)
        slope = -variance / (a * a)
    elif family == 1:
        q = variance / (a * a)
        value = _LOG_2_OVER_PI - math.log(a) - math.log1p(q)
        slope = -2.0 * q / (1.0 + q)
    elif family == 2:
        value = math.log(a) - a * s
        slope = -a * s
    elif family == 3:
        z = (math.log(s) - a) / b
        value = -math.log(s) - math.log(b) - _LOG_SQRT_2PI - 0.5 * z * z
        slope = -1.0 - z / b
    else:
        value = a * math.log(b) - math.lgamma(a) - (2.0 * a + 1.0) * math.log(s) - b / variance + _LOG_2
        slope = -(2.0 * a + 1.0) + 2.0 * b / variance
    return value, slope


@compiled
def log_prior_head(head, n_components, has_background, concentration, noise_prior, df_prior):
    """Log prior density of a head, constants aside: of the weights of the components as shares of what the background
    leaves, of its weight, and of degrees of freedom."""
    value, left = 0.0, 1.0
    classes = n_components
    if has_background:
        classes += 1
        left = 1.0 - head[n_components]
        value += (noise_prior[0] - 1.0) * math.log(head[n_components]) + (noise_prior[1] - 1.0) * math.log(left)
    if concentration != 1.0:
        for k in range(n_components):
            value += (concentration - 1.0) * math.log(head[k] / left)
    for i in range(classes, head.shape[0]):
        value += (df_prior[0] - 1.0) * math.log(head[i]) - df_prior[1] * head[i]
    return value


@compiled
def log_prior_draws(weights, means, latent, ints, floats, out):
    """Log prior density of each draw with respect to weights, means, sds and correlations."""
    packed = split(ints, floats)
    mean_loc, mean_scale, sd_prior, family = packed.mean_loc, packed.mean_scale, packed.sd_prior, packed.family
    (n_components, d), n_matrices, n_sd = packed.mean_ref.shape, len(packed.chol_ref), sd_prior.shape[1]
    correlated, eta, concentration = packed.correlated, packed.eta, packed.concentration
    for s in range(weights.shape[0]):
        value = log_prior_head(weights[s], n_components, len(packed.background) > 0, concentration,
                               packed.noise_prior, packed.df_prior)  # fmt: skip
        for k in range(n_components):
            for i in range(d):
                z = (means[s, k, i] - mean_loc[i]) / mean_scale[i]
                value -= 0.5 * z * z + math.log(mean_scale[i]) + _LOG_SQRT_2PI
        for g in range(n_matrices):
            for i in range(n_sd):
                square = 0.0
                for j in range(i + 1):
                    square += latent[s, g, i, j] * latent[s, g, i, j]
                sd = math.sqrt(square)
                value += log_sd_prior(family, sd_prior[0, i], sd_prior[1, i], sd)[0]
                if correlated and i > 0:
                    value += (2.0 * eta - 3.0 + d - i) * math.log(latent[s, g, i, i] / sd)
        out[s] = value
