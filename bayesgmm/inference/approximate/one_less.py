"""The posterior of a large table by Laplace's approximation, from the optima of EM; and whether a component is surplus.

Whether a component may be empty is looked at first on some rows: if they alone lose more by one component less than its
parameters cost with all rows, no full fit with one less is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayesgmm.data.table_blocks import TableBlocks, some_of_table
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.em.of_blocks import Block, log_likelihood_and_doubt
from bayesgmm.inference.approximate.large import sample_laplace_large
from bayesgmm.model.draws import Draws
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem

__all__ = ["large_posterior"]

_ROWS, _STARTS = 20_000, 5
_CLEAR = 2.0  # times the cost
_CANDIDATES, _NEAR = 3, 30.0  # optima looked at, and nats below the best at which another is worth a word


def large_posterior(
    problem: Problem, candidates: Sequence[MixtureParams], blocks: Iterable[Block] | None, *, random_seed: int | None,
    cores: int | None, **options: Any,
) -> Draws:  # fmt: skip
    """Draws by `sample_laplace_large` around the best of the optima.

    `blocks` hold all rows; None takes those of the table.
    """
    table, structure, _ = problem
    notes: tuple[str, ...] = ()
    if blocks is not None:
        notes = (
            "All observations were read in batches; what is said of single ones is said of a random sample of "
            f"{table.n_rows:,}.",
        )
    blocks = TableBlocks(table) if blocks is None else blocks
    few = list(candidates[:_CANDIDATES])
    heights = np.zeros(1)
    if len(few) > 1:
        heights = np.array([log_likelihood_and_doubt(blocks, c, structure, cores)[0] for c in few])
    best = int(heights.argmax())

    def fewer() -> MixtureParams | None:
        return _one_less(problem, few[best], random_seed)

    draws = sample_laplace_large(
        problem, blocks, few[best], random_seed=random_seed, cores=cores, fewer=fewer, **options
    )
    others = heights[best] - np.delete(heights, best)
    if (others < _NEAR).any():
        said = f"Another optimum of the likelihood is {others.min():.1f} nats lower: this approximation leaves it out."
        notes = (*notes, said)
    return replace(draws, notes=(*draws.notes, *notes))


def _one_less(problem: Problem, params: MixtureParams, random_seed: int | None) -> MixtureParams | None:
    """The maximum of the likelihood of some rows with one component less; None if it is clear that all are needed."""
    table, structure, _ = problem
    k, d = params.means.shape
    if k == 1:
        return None
    some = some_of_table(table, _ROWS, np.random.default_rng(random_seed))
    equal = replace(some, weights=np.ones(some.n_rows))
    options: dict[str, Any] = {
        "structure": structure, "n_init": _STARTS, "random_seed": random_seed, "look_further": False, "short_runs": 4
    }  # fmt: skip
    result, found = fit_em_candidates(equal, k - 1, **options)
    here = log_likelihood_and_doubt(TableBlocks(equal), params, structure)[0] - float(equal.log_jacobian.sum())
    parameters = structure.n_parameters(k, d) - structure.n_parameters(k - 1, d)
    cost = 0.5 * parameters * math.log(max(float(table.weights.sum()), 2.0))
    return None if here - result.log_likelihood > _CLEAR * cost else found[0]
