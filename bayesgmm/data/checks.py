"""Whether numbers can carry a mixture: enough rows, usable weights, columns that vary and differ.

Only rows of positive weight count. Each check looks for one fault and raises one line that names it. Tables may be
large: everything is computed on a block of rows at a time, so that no second copy of the table is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import as_numbers, check_count
from bayesgmm.errors import InputError

__all__ = [
    "ColumnError",
    "check_columns",
    "check_enough_rows",
    "distinct_rows",
    "few_distinct_rows",
    "mean_and_sd",
    "row_blocks",
    "row_weights",
]

# Beyond it the squares that make up a covariance leave the range of float64.
_LARGEST, _SMALLEST = 1e140, 1e-140
# 1 − |correlation| of two columns that are one column in different units.
_SAME_COLUMN = 1e-12
# Smallest eigenvalue of the correlation matrix, a column, below which columns count as dependent.
_DEPENDENT = 1e-13
_BLOCK = 16_384
# From here on float64 does not hold every whole number.
_WHOLE = 2.0**53
# Share of a column's standard deviation up to which float64 may tell its values apart: means need a hundredth of it.
_COARSE = 0.01
# Share by which most rows miss the line of two columns, where a few far rows alone made them look like one.
_RULED = 1e-3

# Sum of the weights beyond which log densities of size 10, times it, are not known to a hundredth of a nat.
_MOST_WEIGHT = 1e12

_ROWS_A_COMPONENT, _COPIES = 5, 8  # distinct rows below which, and copies of each from which, it is said


class ColumnError(InputError):
    """Columns that cannot carry a mixture; `columns` are those that would have to go."""

    def __init__(self, columns: Sequence[str], message: str) -> None:
        super().__init__(message)
        self.columns = tuple(columns)

    def __reduce__(self) -> tuple[type[ColumnError], tuple[tuple[str, ...], str]]:
        return ColumnError, (self.columns, str(self))


def row_weights(sample_weight: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    """Row weights as a new array of shape (N,), finite, ≥ 0, not all zero nor too many; ones when there are none.

    >>> row_weights([1, 0, 2], 3)
    array([1., 0., 2.])
    """
    if sample_weight is None:
        return np.ones(n_rows)
    weights = as_numbers(sample_weight, "sample_weight", "be a number for each row").copy()
    if weights.shape != (n_rows,):
        raise InputError(f"sample_weight has shape {weights.shape}, expected ({n_rows},): give one weight per row.")
    faulty = ~np.isfinite(weights) | (weights < 0)
    if faulty.any():
        row = int(faulty.argmax())
        raise InputError(f"sample_weight is {weights[row]:g} in row {row}: weights must be finite and not negative.")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if total > _MOST_WEIGHT:
        raise InputError(
            f"sample_weight sums to {total:.3g}, and the log density of so many rows is not known to a hundredth in "
            f"floating-point numbers: divide the weights, so that they sum to at most {_MOST_WEIGHT:g}."
        )
    if not weights.any():
        raise InputError("sample_weight is zero in every row: give at least some rows a positive weight.")
    return weights


def distinct_rows(rows: NDArray[np.float64], enough: int) -> int:
    """Number of distinct rows (N, D), counted until there are `enough`.

    >>> distinct_rows(np.repeat(np.eye(3), 20, axis=0), 10)
    3
    """
    size = 8 * enough
    while True:
        found = len(np.unique(np.nan_to_num(rows[:size], nan=np.inf), axis=0))  # missing cells are equal
        if found >= enough or size >= len(rows):
            return found
        size *= 8


def few_distinct_rows(rows: NDArray[np.float64], n_components: int) -> list[str]:
    """A sentence where most rows (N, D) are copies of a few, so that a component can stand for a single one."""
    found = distinct_rows(rows, _ROWS_A_COMPONENT * n_components)
    if n_components == 1 or found >= _ROWS_A_COMPONENT * n_components or found * _COPIES > len(rows):
        return []
    return [
        f"only {found} of the {len(rows)} rows are distinct: each of K = {n_components} components can shrink onto the "
        "copies of one. Take fewer components, or state the recording step (prior resolution=...)."
    ]


def check_enough_rows(rows: NDArray[np.float64], n_components: int | None) -> None:
    """Refuse fewer distinct rows (N, D) than components, fewer rows than one more than the columns, and a senseless
    number of components.

    >>> check_enough_rows(np.arange(20.0).reshape(10, 2), n_components=3)
    """
    rows = rows[~np.isnan(rows).all(axis=1)] if np.isnan(rows).any() else rows
    n_rows, n_features = rows.shape
    if n_rows < n_features + 1:
        raise InputError(
            f"Found {n_rows} sample(s) of positive weight for {n_features} feature(s): a covariance takes at least "
            f"{n_features + 1} rows, so add rows or select fewer columns."
        )
    if n_components is None:
        return
    check_count(n_components, "n_components")
    found = distinct_rows(rows, int(n_components))
    if found < n_components:
        what = "sample(s)" if n_rows < n_components else f"distinct rows among {n_rows}"
        raise InputError(
            f"Found {found} {what} of positive weight for n_components={n_components}: "
            f"give at most {found} components or add rows."
        )


def mean_and_sd(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean and standard deviation of each column's observed cells, both (D,), the divisor being Σ weights.

    >>> mean_and_sd(np.array([[1.0], [3.0]]), np.array([1.0, 3.0]))
    (array([2.5]), array([0.8660254]))
    """
    mean = _average(values, weights, lambda rows: rows)
    return mean, np.sqrt(_average(values, weights, lambda rows: (rows - mean) ** 2))


def row_blocks(n_rows: int) -> Iterator[slice]:
    """Slices that divide the rows of a table in blocks small enough to be copied.

    >>> list(row_blocks(20_000))
    [slice(0, 16384, None), slice(16384, 20000, None)]
    """
    return (slice(start, min(start + _BLOCK, n_rows)) for start in range(0, n_rows, _BLOCK))


def _average(
    values: NDArray[np.float64], weights: NDArray[np.float64], function: Callable[..., NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(D,) weighted mean of `function` of the rows; the sum goes from row to row, so it does not depend on blocks."""
    total, lost = np.zeros((0, values.shape[1])), np.zeros(values.shape[1])
    for rows in row_blocks(len(values)):
        terms = function(values[rows]) * weights[rows, None]
        missing = np.isnan(terms)
        if missing.any():
            terms[missing] = 0.0
            lost += weights[rows] @ missing
        total = np.concatenate([total, terms]).sum(axis=0, keepdims=True)
    return np.asarray(total[0] / (weights[:, None].sum(axis=0) - lost))


def check_columns(values: NDArray[np.float64], weights: NDArray[np.float64], names: Sequence[str]) -> None:
    """Refuse columns of values out of range, constant columns, and columns that repeat another one.

    Parameters
    ----------
    values : ndarray of shape (N, D)
        Rows of positive weight only.
    weights : ndarray of shape (N,)
    names : sequence of str, length D

    Raises
    ------
    InputError
    """
    for check in _COLUMN_CHECKS:
        check(values, weights, names)


def _check_range(values: NDArray[np.float64], weights: NDArray[np.float64], names: Sequence[str]) -> None:
    largest = _largest(values)
    faulty = (largest > _LARGEST) | ((largest < _SMALLEST) & (largest > 0))
    if faulty.any():
        j = int(faulty.argmax())
        raise ColumnError(
            [names[j]],
            f"Column {names[j]!r} holds values of size {largest[j]:.3g}, whose squares floating-point numbers "
            "cannot hold: give the column in other units.",
        )


def _largest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(np.fmax.reduce(values, axis=0), -np.fmin.reduce(values, axis=0))


def _check_varies(values: NDArray[np.float64], weights: NDArray[np.float64], names: Sequence[str]) -> None:
    rounding = 4 * np.finfo(np.float64).eps * _largest(values)
    constant = np.fmax.reduce(values, axis=0) - np.fmin.reduce(values, axis=0) <= rounding
    empty = np.isnan(rounding)
    if empty.any():
        name = names[int(empty.argmax())]
        raise ColumnError([name], f"Column {name!r} has no value, all its cells are missing: drop the column.")
    if constant.any():
        j = int(constant.argmax())
        column = values[:, j][~np.isnan(values[:, j])]
        if np.ptp(column) > 0 or abs(column[0]) >= _WHOLE:
            raise ColumnError(
                [names[j]],
                f"Column {names[j]!r} holds values near {column[0]:g} that differ, if at all, by less than float64 "
                "can tell: subtract their common part before, or drop the column.",
            )
        where = "every row" if len(column) == len(values) else "every row that has a value"
        raise ColumnError([names[j]], f"Column {names[j]!r} is constant ({column[0]:g} in {where}): drop the column.")


def _check_precision(values: NDArray[np.float64], weights: NDArray[np.float64], names: Sequence[str]) -> None:
    """Values far from zero beside their spread: what is known of their means is less than a step of float64."""
    step, (_, sd) = np.spacing(_largest(values)), mean_and_sd(values, weights)
    coarse = step > _COARSE * sd
    if coarse.any():
        j = int(coarse.argmax())
        raise ColumnError(
            [names[j]],
            f"Column {names[j]!r} holds values near {np.nanmedian(values[:, j]):g}, where float64 knows steps of "
            f"{step[j]:.3g} only, beside a standard deviation of {sd[j]:.3g}: subtract their common part before.",
        )


def _check_distinct(values: NDArray[np.float64], weights: NDArray[np.float64], names: Sequence[str]) -> None:
    complete = ~np.isnan(values).any(axis=1)
    if not complete.all():  # rows without a gap show a dependence, if they are many enough
        values, weights = values[complete], weights[complete]
        if len(values) < len(names) + 2:
            return
    mean, sd = mean_and_sd(values, weights)
    if not sd.all():
        return
    correlation = np.zeros((len(names), len(names)))
    for rows in row_blocks(len(values)):
        standardized = (values[rows] - mean) / sd  # (n, D)
        correlation += (standardized * weights[rows, None]).T @ standardized
    correlation /= weights.sum()
    pairs = np.argwhere(np.triu(1 - np.abs(correlation) <= _SAME_COLUMN, k=1))
    if pairs.size:
        i, j = pairs[0]
        pair = f"Columns {names[i]!r} and {names[j]!r}"
        row = _ruling_row(values[:, i], values[:, j])
        if row is not None:
            raise ColumnError(
                [names[j]],
                f"{pair} have correlation ±1 only through rows far from all others, such as {values[row, i]:g} "
                f"and {values[row, j]:g}: check these rows, leave them out, or transform the columns.",
            )
        how = "are identical" if np.array_equal(values[:, i], values[:, j]) else "differ only in their units"
        raise ColumnError([names[j]], f"{pair} {how} (correlation ±1): drop one of them.")
    smallest, vectors = np.linalg.eigh(correlation)
    if smallest[0] < _DEPENDENT * len(names):
        share = np.abs(vectors[:, 0])
        involved = [name for name, s in zip(names, share, strict=True) if s > 0.05 * share.max()]
        which = ", ".join(map(repr, involved))
        raise ColumnError(involved[-1:], f"Columns {which} are linearly dependent: drop one of them.")


def _ruling_row(x: NDArray[np.float64], y: NDArray[np.float64]) -> int | None:
    """The row furthest from the middle of two columns (N,), if most rows are not on the line that it gives."""
    middle = int(np.abs(x - np.median(x)).argmin())
    dx, dy = x - x[middle], y - y[middle]
    far = int(np.abs(dx).argmax())
    along = dy[far] / dx[far] * dx
    size = np.abs(dy) + np.abs(along)
    moved = size > 0
    off = np.abs(dy - along)[moved] / size[moved]
    return far if np.median(off) > _RULED else None


_COLUMN_CHECKS: tuple[Callable[[NDArray[np.float64], NDArray[np.float64], Sequence[str]], None], ...] = (
    _check_range,
    _check_varies,
    _check_precision,
    _check_distinct,
)
