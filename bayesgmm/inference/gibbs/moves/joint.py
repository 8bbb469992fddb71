"""The whole mixture at once, proposed jointly: between modes whose components overlap."""

from __future__ import annotations

import math

from bayesgmm.inference.gibbs.moves.move import Move
from bayesgmm.kernels.compiled import compiled
from bayesgmm.model.proposals.joint import log_joint, propose_joint
from bayesgmm.model.proposals.joint_fit import fit_joint, no_joint
from bayesgmm.model.proposals.whole import MAX_WHOLE

__all__ = ["MOVE"]


@compiled(inline="always")
def _propose(rng, target, library, own, near, state, work):
    """Replace all of `work.new` by a normal proposal."""
    prior, proposals, new = target.prior, library.proposals, work.new
    q, made = propose_joint(
        rng, prior, proposals, own, new.weights, new.means, new.latent, new.cholesky, new.scaling, work.matrices
    )
    m = own.part[q]
    if not made:
        return -math.inf, m, False
    back, near[0] = log_joint(
        prior, proposals, own, near[0], state.weights, state.means, state.latent, state.cholesky, state.scaling
    )
    way, _ = log_joint(prior, proposals, own, q, new.weights, new.means, new.latent, new.cholesky, new.scaling)
    return back - way, m, False


MOVE = Move(
    "joint whole-mixture moves",
    _propose,
    fit=lambda problem, samples, proposals: fit_joint(
        samples, problem.packed, proposals, float(problem.table.weights.sum())
    ),
    none=no_joint,
    possible=lambda n_components, own: n_components <= MAX_WHOLE and len(own.part) > 0,
)
