"""Draws of covariances by Wishart precisions, compiled."""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.triangular import invert, multiply_lower

__all__ = ["draw_inverse_wishart", "log_wishart_constant", "refresh_wishart"]


@compiled
def draw_inverse_wishart(rng, nu, root, triangle, inverse, out):
    """out = Cholesky factor of a draw from the inverse-Wishart(nu, root root'); False where it is not finite."""
    d = root.shape[0]
    # V'V is Wishart(nu, I) for this lower-triangular V, so root V^-1 is the Cholesky factor of an inverse-Wishart.
    for i in range(d):
        for j in range(i):
            triangle[i, j] = rng.standard_normal()
        triangle[i, i] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (nu - (d - 1.0 - i))))
        if not triangle[i, i] > 0.0:
            return False
    invert(triangle, inverse)
    multiply_lower(root, inverse, out)
    return True


@compiled
def refresh_wishart(rng, times, nu, root, scaling, precision, spare, out):
    """A draw from the inverse-Wishart(nu, root root') near the present covariance: `times` of its nu rows are replaced.

    A Wishart precision P is a sum of nu squares x x'. Given P, one of them is x = J'u, P = J'J, with u in the unit
    ball, |u|^2 beta(D / 2, (nu - D) / 2) and its direction uniform; it is taken out and a new one, x ~ N(0, Psi^-1),
    put in. This is reversible with respect to the Wishart, as an autoregressive step is for a normal. `out` is the
    inverse Cholesky factor of the new covariance; False where rounding errors made P indefinite.
    """
    d = root.shape[0]
    u, x = spare[0], spare[1]
    put(out, scaling)
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for m in range(i, d):
                total += scaling[m, i] * scaling[m, j]
            precision[i, j] = total
    for _ in range(times):
        square = 0.0
        for i in range(d):
            u[i] = rng.standard_normal()
            square += u[i] * u[i]
        a = rng.standard_gamma(0.5 * d)
        length = math.sqrt(a / (a + rng.standard_gamma(0.5 * (nu - d))) / square)
        for i in range(d):
            total = 0.0
            for m in range(i, d):
                total += out[m, i] * u[m]
            x[i] = length * total
        for i in range(d):
            u[i] = rng.standard_normal()
        for i in range(d - 1, -1, -1):  # solve root' u = noise
            for m in range(i + 1, d):
                u[i] -= root[m, i] * u[m]
            u[i] /= root[i, i]
        for i in range(d):
            for j in range(i + 1):
                precision[i, j] += u[i] * u[j] - x[i] * x[j]
        # out: lower triangular with out' out = precision.
        for j in range(d - 1, -1, -1):
            for i in range(j, -1, -1):
                total = precision[j, i]
                for m in range(j + 1, d):
                    total -= out[m, j] * out[m, i]
                if i == j:
                    if not total > 0.0:
                        return False
                    out[j, j] = math.sqrt(total)
                else:
                    out[j, i] = total / out[j, j]
    return True


@compiled
def log_wishart_constant(nu, root):
    """Log normaliser of the inverse-Wishart(nu, R R'), from the diagonal of R, (D,)."""
    d = root.shape[0]
    value = -0.5 * nu * d * math.log(2.0) - 0.25 * d * (d - 1.0) * math.log(math.pi)
    for i in range(d):
        value += nu * math.log(root[i]) - math.lgamma(0.5 * (nu - i))
    return value
