"""Modes in which components are empty: how much of the posterior they hold, before any sampling.

With K components the posterior has, besides the modes that EM finds, one for every fit with fewer components and the
rest empty. NUTS does not get there from a mode with K occupied components, and chains that all start at those agree
with each other all the same. Given that m named components are empty, the posterior of the others is that of K - m
components, so the mode's evidence is

    log p(y | K - m) + log (K choose m) + log P(n_1 = ... = n_m = 0 | K),

the last the prior probability under the Dirichlet weights; p(y | K - m) is taken by Laplace's approximation. With a
background n is the number of rows that it leaves at the mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from bayesgmm.data.table import Table
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.modes import find_modes
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import log_probability_empty
from bayesgmm.model.problem import Problem

__all__ = ["SHARE_THAT_MATTERS", "EmptyMode", "emptier", "empty_in_words", "empty_modes", "share_of"]

SHARE_THAT_MATTERS = 0.01  # of the posterior
# A look, not a fit: of 176 looks 14 miss the best evidence known by more than a nat. So do 14 with 45 short runs a
# start and 4 candidates, whose EM takes twice as long, and 18 with 30 such starts, six times as long.
_STARTS, _SHORT_RUNS, _CANDIDATES = 8, 4, 8
_EVERY, _APART = 12, 1.25  # occupied components up to which each number is looked at, and the ratio of those beyond
_KEPT, _NEAR = 3, 10.0  # modes, and nats below the best one
# Looks at a table: fits of it with other numbers of components ask for the same ones.
_looked: WeakKeyDictionary[Table, dict[Any, list[tuple[MixtureParams, float]]]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class EmptyMode:
    """A mode with `n_empty` components empty: its other components, and its evidence in all orders of them."""

    n_empty: int
    params: MixtureParams
    log_evidence: float


def empty_modes(problem: Problem, n_components: int, *, random_seed: int | None = None) -> list[EmptyMode]:
    """The best few for each number of empty components, 1 to K - 1, the best first; of many, for some numbers."""
    table, _, prior = problem
    found, total = [], float(table.weights.sum())
    told = 0 if table.known is None else int(table.known.max()) + 1  # components with known rows are not empty
    for occupied in (number for number in _looked_at(n_components) if number >= told):
        m = n_components - occupied
        for params, log_evidence in _look(problem, occupied, random_seed):
            rows = total * (1.0 - (params.noise_weight or 0.0))
            chance = log_probability_empty(rows, n_components, m, prior.concentration)
            found.append(EmptyMode(m, params, log_evidence + chance + math.log(math.comb(n_components, m))))
    return found


def _looked_at(n_components: int) -> list[int]:
    """Numbers of occupied components to look at, largest first: all up to twelve, beyond them a quarter apart.

    >>> _looked_at(40)
    [39, 31, 24, 19, 15, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    """
    numbers, last = list[int](), n_components - 1
    while last > _EVERY:
        numbers.append(last)
        last = max(_EVERY, int(last / _APART))
    return numbers + list(range(last, 0, -1))


def _look(problem: Problem, occupied: int, random_seed: int | None) -> list[tuple[MixtureParams, float]]:
    """The best few modes with so many components, and their Laplace evidence."""
    table, structure, prior = problem
    numbers = tuple(x.tobytes() if isinstance(x, np.ndarray) else x for x in vars(prior).values())
    key, known = (structure, occupied, random_seed, numbers), _looked.setdefault(table, {})
    if key in known and random_seed is not None:
        return known[key]
    _, candidates = fit_em_candidates(
        table,
        occupied,
        structure=structure,
        n_init=_STARTS,
        short_runs=_SHORT_RUNS,
        random_seed=random_seed,
        look_further=structure.is_normal,
    )
    modes = find_modes(problem, candidates[:_CANDIDATES])
    known[key] = [
        (mode.params, mode.log_evidence)
        for mode in modes[:_KEPT]
        if not mode.log_evidence < modes[0].log_evidence - _NEAR
    ]
    return known[key]


def share_of(mode: EmptyMode, log_evidence: float) -> float:
    """Share of the posterior beside modes of this Laplace evidence with all components occupied."""
    return 1.0 / (1.0 + math.exp(min(max(log_evidence - mode.log_evidence, -700.0), 700.0)))


def emptier(best: float, modes: Sequence[EmptyMode]) -> tuple[float, int]:
    """Share of the likeliest mode with components empty beside the best one with all occupied, of log evidence `best`,
    and how many are; (0, 0) where it does not matter."""
    shares = [(share_of(mode, best), mode.n_empty) for mode in modes if not math.isnan(mode.log_evidence)]
    share, n_empty = max(shares, default=(0.0, 0))
    return (0.0, 0) if math.isnan(best) or not share > SHARE_THAT_MATTERS else (share, n_empty)


def empty_in_words(best: float, modes: Sequence[EmptyMode], n_components: int) -> str | None:
    """A clause if modes with components empty matter."""
    share, n_empty = emptier(best, modes)
    if not n_empty:
        return None
    much = f"About {100.0 * share:.0f} %" if share < 0.99 else "More than 99 %"
    empty = "one component is" if n_empty == 1 else f"{n_empty} of the {n_components} components are"
    return f"{much} of the posterior probability (Laplace approximation) lies where {empty} empty"
