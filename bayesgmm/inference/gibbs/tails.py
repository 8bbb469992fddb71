"""Degrees of freedom of t components: a Metropolis step judged by the likelihood of the mixture.

Given the precisions u of the rows (`kernels.completed`) degrees of freedom would take no pass over the rows, but hardly
move: n rows of v = 20 in two columns tell 3 % of what they would with all u known, and a chain forgets at that rate. So
allocation and precisions are integrated out, and drawn anew in the next pass (partially collapsed: van Dyk and Park
2008). Steps are normal in log(v - 2), of a size between 2 and 2 / sqrt(n / 2), about what n rows can tell apart.
"""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import n_classes
from bayesgmm.model.density.coordinates import LEAST_DF
from bayesgmm.model.density.natural import log_likelihood_of, row_model_of

__all__ = ["step_df"]


@compiled
def _log_likelihood(target, state, log_norm):
    return log_likelihood_of(
        target.rows, target.row_weights, target.prior, state.weights, state.means, state.scaling, log_norm
    )


@compiled
def step_df(rng, target, state, log_norm):
    """Move each of the degrees of freedom in the head of `state`, or not."""
    (shape, rate), head = target.prior.df, state.weights
    spread, before = 1.0 + 0.5 * target.row_weights.sum(), _log_likelihood(target, state, log_norm)
    for i in range(n_classes(row_model_of(target.prior), len(state.means)), len(head)):
        old, move = head[i], 2.0 * spread ** (-0.5 * rng.random()) * rng.standard_normal()
        new = LEAST_DF + (old - LEAST_DF) * math.exp(move)
        if not LEAST_DF < new < math.inf:
            continue
        head[i] = new
        after = _log_likelihood(target, state, log_norm)
        gain = (shape - 1.0) * math.log(new / old) - rate * (new - old) + move
        if math.log(rng.random()) < gain + after - before:
            before = after
        else:
            head[i] = old
