"""A start of the posterior's search whose components sit on values that many rows share.

A column of amounts of which half are zero, or with a code for a missing value, is recorded in steps far finer than its
spread. A component on that one value has a density hundreds of times that of any other, so the best mode of the
posterior mostly has one; EM sets such components aside (`em.spikes`), because without the recording step they would
shrink for ever. So the rows are divided by what they share, as by a tree: each time the group, and the column in which
it has a common value or the axis along which it is longest, whose division raises the likelihood most. Missing cells
are filled in for it (`em.fill`), and so have no common value.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.checks import mean_and_sd
from bayesgmm.em.fill import filled
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem

__all__ = ["level_starts"]

Array = NDArray[np.float64]
Chosen = NDArray[np.bool_]

_FINE = 0.01  # sd of rounding, over that of the column: coarser columns need no help
_SHARE = 0.02  # of all rows, that have the value


def level_starts(problem: Problem, n_components: int) -> list[MixtureParams]:
    """One mixture on the model's scale, or none where no division by a common value is worth while."""
    table, structure, prior = problem
    used = table.weights > 0.0
    rows, weights, floor = table.standardized[used], table.weights[used], prior.rounding(structure)
    _, sd = mean_and_sd(rows, weights)
    commonest = {
        int(j): value
        for j in np.flatnonzero((floor > 0.0) & (floor < (_FINE * sd) ** 2))
        for value, share in [_commonest(rows[:, j], weights)]
        if share >= _SHARE
    }
    if n_components == 1 or structure.shared or not commonest:
        return []
    rows = filled(rows, weights)
    groups, on_values = [np.ones(len(rows), dtype=bool)], 0
    while len(groups) < n_components:
        tries = [
            (_log_likelihood(rows, weights, part, floor) + _log_likelihood(rows, weights, group & ~part, floor)
             - _log_likelihood(rows, weights, group, floor), i, part, at_value)
            for i, group in enumerate(groups)
            for part, at_value in _divisions(rows, group, commonest)
        ]  # fmt: skip
        if not tries:
            return []
        _, i, part, at_value = max(tries, key=lambda found: found[0])
        on_values += at_value
        groups += [part, groups.pop(i) & ~part]
    if not on_values:
        return []
    counts = np.array([weights[group].sum() for group in groups])
    means, scatter = zip(*(_moments(rows[group], weights[group]) for group in groups), strict=True)
    covariances = structure.project(np.array(scatter) * counts[:, None, None], counts) + np.diag(floor)
    return [MixtureParams(counts / counts.sum(), np.array(means), covariances, structure.name)]


def _commonest(values: Array, weights: Array) -> tuple[float, float]:
    """The value that most rows have, and the share of all rows."""
    seen = ~np.isnan(values)
    known, where = np.unique(values[seen], return_inverse=True)
    mass = np.bincount(where, weights[seen])
    return float(known[mass.argmax()]), float(mass.max() / weights.sum())


def _divisions(rows: Array, group: Chosen, commonest: dict[int, float]) -> Iterator[tuple[Chosen, bool]]:
    """Parts of a group: the rows at a common value (True), and those on one side of its middle along its longest
    axis."""
    least = rows.shape[1] + 1
    parts = [(group & (rows[:, j] == value), True) for j, value in commonest.items()]
    centred = rows - rows[group].mean(axis=0)
    axis = np.linalg.svd(centred[group], full_matrices=False)[2][0]
    parts.append((group & (centred @ axis > 0.0), False))
    return ((part, at_value) for part, at_value in parts if part.sum() >= least and (group & ~part).sum() >= least)


def _moments(rows: Array, weights: Array) -> tuple[Array, Array]:
    mean = np.average(rows, axis=0, weights=weights)
    centred = rows - mean
    return mean, (centred * weights[:, None]).T @ centred / weights.sum()


def _log_likelihood(rows: Array, weights: Array, group: Chosen, floor: Array) -> float:
    """Of the rows of a group under their own normal density and its weight, without what all divisions share."""
    count = weights[group].sum()
    variance = np.diag(_moments(rows[group], weights[group])[1]) + floor
    return float(count * (np.log(count) - 0.5 * np.log(variance).sum()))
