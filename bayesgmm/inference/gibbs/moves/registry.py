"""The moves that chains make between sweeps: a new one is its module and a line here.

Three more were tried. A merge of two components with the split of a third was accepted in 3 to 11 % of the tries where
components overlap, and the hard cells pass as soon without it (docs/moves.md). Two gave no more effective draws a sweep
on iris, Old Faithful, three overlapping clusters and 20,000 rows, K = 5: two components replaced by two fitted ones
that suit the rest, which splits one cluster and merges two (Jain and Neal 2004), accepted in 1 to 9 % of the tries; and
the joint weight of two components divided anew with their joint mean and covariance kept (Richardson and Green 1997),
accepted in 16 to 32 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bayesgmm.inference.gibbs.moves import components, joint, regrouping, whole
from bayesgmm.inference.gibbs.moves.move import Move, accept
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.state import copy_state

__all__ = ["MOVES", "jump"]

MOVES: tuple[Move, ...] = (
    components.MOVE,
    whole.MOVE,
    joint.MOVE,
    regrouping.MOVE,
)


def _chosen(moves: Sequence[Move], number: int = 0) -> Callable[..., Any]:
    """``propose(kind, rng, target, library, state, work)``: that of the move of this number, compiled into one."""
    propose = moves[number].propose

    @compiled(cache=False, inline="always")
    def last(kind, rng, target, library, state, work):
        return propose(rng, target, library, library.own[number], work.near[number:], state, work)

    if number == len(moves) - 1:
        return last
    rest = _chosen(moves, number + 1)

    @compiled(cache=False, inline="always")
    def one(kind, rng, target, library, state, work):
        if kind == number:
            return propose(rng, target, library, library.own[number], work.near[number:], state, work)
        return rest(kind, rng, target, library, state, work)

    return one


_propose = _chosen(MOVES)


@compiled(inline="always")
def jump(rng, target, library, kind, log_likelihood, state, work):
    """Make a move of this kind or not: the proposal that it used, and whether the state changed.

    `log_likelihood` is the state's, NaN if not known.
    """
    copy_state(work.new, state)
    gain, used, decides = _propose(kind, rng, target, library, state, work)
    if gain == -math.inf:
        return used, False
    if decides:
        moved = math.log(rng.random()) < gain
    else:
        moved = accept(rng, target, library.bins, gain, log_likelihood, state, work)
    if moved:
        copy_state(state, work.new)
    return used, moved
