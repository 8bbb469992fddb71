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

from bayesgmm.em.fill import filled
from bayesgmm.em.tails import STARTING_DF
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem

__all__ = ["level_starts"]

Array = NDArray[np.float64]
Chosen = NDArray[np.bool_]

_FINE = 0.01  # sd of rounding, over that of the column: coarser columns need no help
_SHARE = 0.02  # of all rows, that have the value
_NOISE = 0.05  # weight of a background, to begin with


def level_starts(problem: Problem, n_components: int) -> list[MixtureParams]:
    """One mixture on the model's scale, or none where no division by a common value is worth while."""
    table, structure, prior = problem
    if n_components == 1 or structure.shared or table.known is not None:
        return []
    floor, common = prior.rounding(structure), _common_values(problem)
    if not common:
        return []
    used = table.weights > 0.0
    rows, weights = filled(table.standardized[used], table.weights[used]), table.weights[used]
    common = [shared[used] for shared in common]
    groups, on_values = [np.ones(len(rows), dtype=bool)], 0
    while len(groups) < n_components:
        tries = [
            (_log_likelihood(rows, weights, part, floor) + _log_likelihood(rows, weights, group & ~part, floor)
             - _log_likelihood(rows, weights, group, floor), i, part, at_value)
            for i, group in enumerate(groups)
            for part, at_value in _divisions(rows, group, common)
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
    head = np.concatenate([counts / counts.sum(), [_NOISE] * structure.has_background,
                           [STARTING_DF] * structure.n_df(n_components)])  # fmt: skip
    return [MixtureParams.of_head(head, np.array(means), covariances, structure)]


def _common_values(problem: Problem) -> list[Chosen]:
    """For each finely recorded column, which rows (N,) have its commonest value; a column at a time in memory."""
    table, structure, prior = problem
    found = []
    for j in np.flatnonzero(prior.rounding(structure)):
        column = table.values[:, j]
        seen = ~np.isnan(column)
        if prior.rounding(structure)[j] < (_FINE * column[seen].std() / table.scale[j]) ** 2:
            known, where = np.unique(column[seen], return_inverse=True)
            mass = np.bincount(where, table.weights[seen])
            if mass.max() >= _SHARE * mass.sum():
                found.append(column == known[mass.argmax()])
    return found


def _divisions(rows: Array, group: Chosen, common: list[Chosen]) -> Iterator[tuple[Chosen, bool]]:
    """Parts of a group: the rows at a common value (True), and those on one side of its middle along its longest
    axis."""
    least = rows.shape[1] + 1
    mean, covariance = _moments(rows[group], np.ones(group.sum()))
    axis = np.linalg.eigh(covariance)[1][:, -1]
    parts = [(group & shared, True) for shared in common]
    parts.append((group & (rows @ axis > mean @ axis), False))
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
