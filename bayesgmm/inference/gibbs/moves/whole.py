"""The whole mixture at once, from independent parts: between modes that a sweep cannot leave."""

from __future__ import annotations

import math

from bayesgmm.inference.gibbs.moves.move import Move
from bayesgmm.kernels.compiled import compiled
from bayesgmm.model.proposals.whole import MAX_WHOLE, log_proposal, propose_whole

__all__ = ["MOVE"]


@compiled(inline="always")
def _propose(rng, target, library, own, near, state, work):
    """Replace all of `work.new`."""
    prior, proposals, new, logs, table = target.prior, library.proposals, work.new, work.logs, work.table
    m = rng.integers(0, len(proposals.alpha))
    if not propose_whole(
        rng, prior, proposals, m, new.weights, new.means, new.latent, new.cholesky, new.scaling, work.matrices
    ):
        return -math.inf, m, False
    back, near[0] = log_proposal(
        prior, proposals, near[0], state.weights, state.means, state.latent, state.cholesky, state.scaling, logs, table
    )
    way, _ = log_proposal(
        prior, proposals, m, new.weights, new.means, new.latent, new.cholesky, new.scaling, logs, table
    )
    return back - way, m, False


MOVE = Move("whole-mixture independence moves", _propose, possible=lambda n_components, own: n_components <= MAX_WHOLE)
