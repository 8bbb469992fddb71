"""Whether a prior and a table lie within reach of each other, and of floating-point numbers.

A log density of size V is known to V times 2e-16. A prior of 1e300 pseudo-counts, or one that puts every mean 1e100 of
its own standard deviations away from the rows, makes V so large that the rows no longer change it: there is no mode to
be found and no draw to be told from another. Long before that such a number is a mistake, mostly one of units. Flat
priors have a limit too: of components without rows they draw values whose squares are infinite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.model.problem import Problem

__all__ = ["ROWS_EACH", "check_reach"]

Array = NDArray[np.float64]

_MOST_COUNTS, _FEWEST_COUNTS = 1e8, 1e-8
# Correlations that a component without rows draws from a flatter LKJ are 1 to all digits.
_LEAST_ETA = 0.5
_FAR = 1e4  # standard deviations of the prior, between a mean and the rows
_UNLIKE = 1e8  # ratio of two scales
_MANY, ROWS_EACH = 20, 2  # components, and rows for each of so many
_NARROW, _WIDE = 1e-4, 10.0  # spread of a log sd under the prior


def check_reach(problem: Problem, n_components: int) -> None:
    """Refuse a prior that floating-point numbers cannot bring together with the table, and dozens of components with
    hardly a row each.

    Raises
    ------
    InputError
        Names the hyperparameter, the column and what to state instead.
    """
    table, structure, prior = problem
    most = max(_MANY, len(table.used_rows) // ROWS_EACH)
    if n_components > most:
        raise InputError(
            f"n_components={n_components} for {len(table.used_rows)} rows is fewer than {ROWS_EACH} rows a component: "
            f"the rows say nothing of so many, and sampling them takes very long. Give at most {most} components."
        )
    rows = (table.used_rows - table.center) / table.scale
    low, high, sd = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0), np.nanstd(rows, axis=0)
    _check_counts("concentration", prior.concentration, _FEWEST_COUNTS)
    if structure.pattern(len(sd)).correlated and len(sd) > 1:
        _check_counts("lkj_eta", prior.lkj_eta, _LEAST_ETA if n_components > 1 else _FEWEST_COUNTS)
    ratio = prior.mean_scale / (high - low)
    for j in np.flatnonzero((ratio > _UNLIKE) | (ratio < 1.0 / _UNLIKE)):
        raise _out_of_reach(problem, j, "mean_scale", prior.mean_scale[j], f"whose values span {high[j] - low[j]:.3g}")
    away = np.abs(prior.mean_loc - np.clip(prior.mean_loc, low, high)) / prior.mean_scale
    for j in np.flatnonzero(away > _FAR):
        where = f"{away[j]:.3g} prior standard deviations from the values, {low[j]:.3g} to {high[j]:.3g},"
        raise _out_of_reach(problem, j, "mean_loc", prior.mean_loc[j], where)
    for j in np.flatnonzero(prior.step > high - low):
        raise _out_of_reach(problem, j, "resolution", prior.step[j], f"whose values span {high[j] - low[j]:.3g}")
    _check_sds(problem, sd, n_components)


def _check_counts(name: str, value: float, least: float) -> None:
    if not least <= value <= _MOST_COUNTS:
        raise InputError(
            f"prior {name}={value:g} is out of reach of floating-point densities: give a number from {least:g} to "
            f"{_MOST_COUNTS:g}; beyond, the posterior hardly changes."
        )


def _check_sds(problem: Problem, sd: Array, n_components: int) -> None:
    prior = problem.prior
    center, spread = prior.family._log_sd(prior.sd_parameters)
    for j in range(len(sd)):
        family = prior.family.describe(prior.sd_parameters[:, j])
        if abs(center[j] - np.log(sd[j])) > np.log(_UNLIKE):
            raise _out_of_reach(problem, j, "sd", family, f"whose standard deviation is {sd[j]:.3g}")
        if spread[j] < _NARROW or (spread[j] > _WIDE and n_components > 1):
            how = "narrow" if spread[j] < _NARROW else "wide for components that may have no rows"
            raise InputError(
                f"prior sd={family} is too {how}: the log of a standard deviation spreads by {spread[j]:.3g} under it; "
                f"choose hyperparameters under which that is from {_NARROW:g} to {_WIDE:g}."
            )


def _out_of_reach(problem: Problem, j: Any, name: str, value: object, where: str) -> InputError:
    number = value if isinstance(value, str) else f"{value:.3g}"
    return InputError(
        f"prior {name}={number} is out of reach of column {problem.prior.feature_names[j]!r}, {where} on the model's "
        "scale: state it in standard deviations of the column, or in its units with standardize=False."
    )
