"""The table a mixture is fitted to: names, row weights, scaling and recording resolution, checked once.

Every fault in the data is found before any work, and told in one line: `data.frames` finds what is no table,
`data.cells` what is no finite number, `data.checks` what numbers cannot carry a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_choice, check_count, check_flag, lacking, shown
from bayesgmm.data.cells import finite_values
from bayesgmm.data.checks import check_columns, check_enough_rows, mean_and_sd, row_weights
from bayesgmm.data.frames import as_frame, as_pandas, default_names
from bayesgmm.data.known_labels import known_components
from bayesgmm.data.resolution import Resolution, column_resolution
from bayesgmm.errors import InputError
from bayesgmm.record import Record

__all__ = ["MISSING", "WEIGHT_TYPES", "Table", "check_new_rows", "log_jacobian", "prepare_table"]

_LONG = 50_000  # rows

MISSING = ("allow", "error")
WEIGHT_TYPES = ("frequency", "survey")


def log_jacobian(values: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) sum of log scale (D,) over the cells that a row (N, D) has.

    >>> log_jacobian(np.array([[0.0, 0.0], [np.nan, 0.0]]), np.exp([1.0, 2.0]))
    array([3., 2.])
    """
    if not np.isnan(values).any():
        return np.full(len(values), np.log(scale).sum())
    return np.where(np.isnan(values), 0.0, np.log(scale)).sum(axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class Table(Record):
    """Checked data in original units, with what puts them on the model's scale.

    Attributes
    ----------
    values : ndarray of shape (N, D)
        Original units, C-contiguous, finite; NaN where a cell is missing.
    feature_names : tuple of str, length D
    row_names : pandas.Index, length N
    weights : ndarray of shape (N,)
        Row weights, ≥ 0; ones by default.
    center, scale : ndarray of shape (D,)
        Weighted mean and standard deviation (divisor Σ weights) of observed cells; 0 and 1 if not standardised.
    resolution : ndarray of shape (D,)
        Recording step of each column in original units, 0 for a continuous column.
    missing : {"allow", "error"}
        Whether new rows may lack cells.
    known : ndarray of int, shape (N,), or None
        Component of each row, -1 where it is unknown; None where none is known.
    classes : tuple
        The class of each of the first components, as the labels have it.
    weight_type : {"frequency", "survey"}
        What the weights were given as; those of a survey are divided, so that they sum to the effective sample size.
    """

    values: NDArray[np.float64]
    feature_names: tuple[str, ...]
    row_names: pd.Index[Any]
    weights: NDArray[np.float64]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    resolution: NDArray[np.float64]
    missing: str = "allow"
    known: NDArray[np.int64] | None = None
    classes: tuple[Any, ...] = ()
    weight_type: str = "frequency"

    @property
    def used_rows(self) -> NDArray[np.float64]:
        """(n, D) the rows of positive weight; no copy where that is all of them."""
        used = self.weights > 0
        return self.values if used.all() else self.values[used]

    @property
    def n_rows(self) -> int:
        """Number of rows N, those of weight 0 included."""
        return self.values.shape[0]

    @property
    def n_features(self) -> int:
        """Number of columns D."""
        return self.values.shape[1]

    @property
    def standardized(self) -> NDArray[np.float64]:
        """The rows on the model's scale, (values − center) / scale, shape (N, D), C-contiguous; made at each use."""
        rows = self.values - self.center
        rows /= self.scale
        return rows

    @cached_property
    def is_complete(self) -> bool:
        """Whether no cell is missing."""
        return not any(np.isnan(column).any() for column in self.values.T)

    @property
    def is_long(self) -> bool:
        """Whether there are 50,000 rows or more: scores and approximations pass over them a bounded number of times."""
        return self.n_rows >= _LONG

    @cached_property
    def log_jacobian(self) -> NDArray[np.float64]:
        """(N,) log density of a row on the model's scale, less that in original units: of the cells it has."""
        return log_jacobian(self.values, self.scale)

    @property
    def patterns(self) -> pd.DataFrame:
        """Which cells are missing together: a line for each pattern, most frequent first.

        One column of bools for each column of the table (True: observed), and ``rows``, the number of rows of the
        pattern.
        """
        seen = pd.DataFrame(~np.isnan(self.values), columns=list(self.feature_names))
        return seen.value_counts().rename("rows").reset_index()

    def write_features(self, out: NDArray[np.float64]) -> None:
        """Write `standardized`, transposed, into `out` (D, N) without another copy of the table."""
        if not isinstance(out, np.ndarray) or out.shape != self.values.T.shape or out.dtype != np.float64:
            raise InputError(f"out={shown(out)} must be a float64 array of shape {self.values.T.shape}.")
        for column, row, center, scale in zip(self.values.T, out, self.center, self.scale, strict=True):
            np.subtract(column, center, out=row)
            row /= scale


def prepare_table(
    X: Any,
    *,
    standardize: bool = True,
    sample_weight: ArrayLike | None = None,
    n_components: int | None = None,
    feature_names: Sequence[str] | None = None,
    row_names: Sequence[Any] | pd.Index[Any] | None = None,
    resolution: Resolution = "auto",
    missing: str = "allow",
    y: Any = None,
    weight_type: str = "frequency",
) -> Table:
    """Check a table and find its scaling and recording resolution.

    Parameters
    ----------
    X : frame or array_like of shape (N, D)
        Numbers in any units: a frame of pandas, polars (lazy too), Arrow or another library that Narwhals understands,
        an array, or lists. The column names of a frame and the row index of pandas are kept.
    standardize : bool
        Whether the model works on columns of mean 0 and standard deviation 1.
    sample_weight : array_like of shape (N,), optional
        Weight of each row, ≥ 0; an integer weight equals so many copies of the row. At most 1e12 in all.
    n_components : int, optional
        Number of components that will be fitted; it takes at least as many rows.
    feature_names : sequence of str of length D, optional
        Replace the column names of `X`; unnamed columns are called x1, x2, …
    row_names : sequence of length N, optional
        Replace the row index of `X`.
    resolution : None, "auto", float, array_like of shape (D,) or mapping
        Recording step of the columns, see `data.resolution.column_resolution`.
    missing : {"allow", "error"}
        "allow" takes NaN for a cell that is missing, whose row counts by its other cells; "error" refuses such tables.
    y : array_like of shape (N,), optional
        Known classes, -1, NaN or None where unknown: a row of known class belongs to the component of its class. Whole
        numbers are those of components only if `n_components` is given; else classes are numbered in sorted order.
    weight_type : {"frequency", "survey"}
        What `sample_weight` is. A frequency weight is a number of copies. Survey weights, such as inverse probabilities
        of selection, are rescaled to sum to Kish's effective sample size (Σw)² / Σw², and the posterior is then a
        pseudo-posterior: estimates are weighted, and intervals approximate, as they allow for unequal weights but not
        for strata or clusters of the design.

    References
    ----------
    Kish (1965), Survey Sampling, Wiley; Savitsky, Toth (2016), Electronic Journal of Statistics 10, 1677-1708.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        Data that cannot be used: one line that names the column or row, the fault and the remedy.

    Examples
    --------
    >>> table = prepare_table([[1.8, 54], [3.6, 79], [1.8, 62], [3.3, 55]], feature_names=["eruptions", "waiting"])
    >>> table.n_rows, table.feature_names
    (4, ('eruptions', 'waiting'))
    >>> table.resolution  # eruptions repeat, waiting times do not
    array([0.3, 0. ])
    """
    check_flag(standardize, "standardize")
    if n_components is not None:
        check_count(n_components, "n_components")
    frame = as_frame(X, feature_names, row_names)
    check_choice(missing, "missing", MISSING)
    values = finite_values(frame, gaps=missing == "allow")
    names = tuple(frame.columns)
    check_choice(weight_type, "weight_type", WEIGHT_TYPES)
    weights = row_weights(sample_weight, len(values))
    known, classes = known_components(y, len(values), n_components)
    if weight_type == "survey":
        weights *= weights.sum() / (weights @ weights)
    used, used_weights = (values, weights) if (weights > 0).all() else (values[weights > 0], weights[weights > 0])
    check_enough_rows(used, n_components)
    check_columns(used, used_weights, names)
    center, scale = mean_and_sd(used, used_weights) if standardize else (np.zeros(len(names)), np.ones(len(names)))
    return Table(
        values=values,
        feature_names=names,
        row_names=frame.index,
        weights=weights,
        center=center,
        scale=scale,
        resolution=column_resolution(resolution, used, used_weights, names),
        missing=missing,
        known=known,
        classes=classes,
        weight_type=weight_type,
    )


def check_new_rows(X: Any, table: Table) -> NDArray[np.float64]:
    """New rows in the columns of the table a mixture was fitted to.

    Parameters
    ----------
    X : frame or array_like of shape (M, D)
        A frame is read by column name, in any order; further columns are ignored. Other tables must have the D columns
        in order, and so must a frame when the fitted table had no column names.
    table : Table

    Returns
    -------
    ndarray of shape (M, D)
        Original units, C-contiguous, finite; NaN where a cell is missing.

    Raises
    ------
    InputError
        A missing column, a wrong number of columns, or values that cannot be used.

    Examples
    --------
    >>> table = prepare_table([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0]], feature_names=["a", "b"])
    >>> check_new_rows(pd.DataFrame({"b": [5.0], "a": [4.0]}), table)
    array([[4., 5.]])
    """
    X = as_pandas(X)
    frame = as_frame(X)
    names = table.feature_names
    unnamed = names == default_names(table.n_features) and not set(names) & set(frame.columns)
    if isinstance(X, pd.DataFrame) and not unnamed:
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise InputError(
                "The feature names should match those that were passed during fit, but the new rows lack "
                f"{lacking(missing, names, list(frame.columns))}"
            )
        return finite_values(frame[list(names)], gaps=table.missing == "allow")
    if frame.shape[1] != table.n_features:
        raise InputError(
            f"X has {frame.shape[1]} features, but BayesianGMM is expecting {table.n_features} features as input: "
            f"give the columns {', '.join(names)}, in this order."
        )
    return finite_values(frame.set_axis(list(names), axis=1), gaps=table.missing == "allow")
