"""Recording resolution: the step to which a column was rounded when it was written down.

A column looks rounded when values repeat *and* its distinct values lie on one lattice, that is when all gaps
between neighbours are whole multiples of one step. The step is the greatest common divisor of the gaps, found by
Euclid's algorithm on numbers known only to their floating-point precision; where the lattice is densely visited it
is the smallest gap. Repeats alone (bootstrap copies of continuous rows) and a lattice alone (a sum in cents that
never occurs twice) leave the column continuous, step 0.

The rule takes the finest step that explains every value. Old Faithful's eruptions were timed in seconds and written
in minutes with three decimals: their step is 0.001, not 1/60. A finer step than the true one is the safe side: the
likelihood stays bounded and no cluster is made wider than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_number, no_column, shown
from bayesgmm.data.copies import quantiles
from bayesgmm.errors import InputError

__all__ = ["Resolution", "column_resolution", "recording_step"]

type Resolution = str | float | Mapping[str, float] | ArrayLike | None

_FLOAT64, _FLOAT32 = float(np.finfo(np.float64).eps), float(np.finfo(np.float32).eps)
# Numbers as typed; after arithmetic such as standardising; after a passage through float32.
_RELATIVE_PRECISIONS = (16 * _FLOAT64, 1e-12, 4 * _FLOAT32)
_FAR = 1000.0  # interquartile ranges from the median
# Probability with which gaps of a continuous column may pass for a lattice.
_CHANCE_OF_A_LATTICE = 1e-4


def recording_step(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Step of the lattice on which one column was recorded.

    Parameters
    ----------
    values : array_like of shape (N,)
        Finite values of one column.
    weights : array_like of shape (N,), optional
        Row weights. A row of weight 0 is ignored; one of weight above 1 repeats.

    Returns
    -------
    float
        The step in the units of `values`; 0.0 when the column looks continuous.

    Examples
    --------
    >>> recording_step([5.1, 4.9, 4.7, 4.9, 5.4])
    0.1
    >>> recording_step([0.3217, 1.9134, 0.7718, 1.9134])
    0.0001
    >>> recording_step([2**0.5, 3**0.5, 5**0.5, 5**0.5])
    0.0
    """
    column = np.asarray(values, dtype=np.float64)
    row_weights = np.ones(column.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    used = (row_weights > 0) & ~np.isnan(column)
    ordered = np.sort(column[used])
    if ordered.size < 2:
        return 0.0
    low, middle, high = quantiles(column[used], row_weights[used], np.array([0.25, 0.5, 0.75]))
    if high > low:  # values far outside are known less well than the others differ
        ordered = ordered[np.abs(ordered - middle) <= _FAR * (high - low)]
    copies = bool((row_weights > 1).any())
    largest = float(np.abs(ordered).max())
    coarser_than = _float32_grid(ordered, largest)
    steps = (_lattice_step(ordered, precision * largest, copies) for precision in _RELATIVE_PRECISIONS)
    return next((step for step in steps if step > coarser_than), 0.0)


def column_resolution(
    resolution: Resolution, values: NDArray[np.float64], weights: NDArray[np.float64], names: Sequence[str]
) -> NDArray[np.float64]:
    """Recording step of every column, detected or as the user states it.

    Parameters
    ----------
    resolution : None, "auto", float, array_like of shape (D,) or mapping
        None: no column is rounded. "auto": detected. A number: that step in every column. One number a column, or
        a mapping from column name to step, the other columns being detected. Original units, 0 for continuous.
    values : ndarray of shape (N, D)
    weights : ndarray of shape (N,)
    names : sequence of str, length D

    Returns
    -------
    ndarray of shape (D,)

    Raises
    ------
    InputError
        Unknown column name, wrong length, or a step that is negative or not finite.
    """
    if resolution is None:
        return np.zeros(len(names))
    if isinstance(resolution, str) and resolution != "auto":
        raise InputError(f"resolution={shown(resolution)} must be 'auto', None, a step, or one step per column.")
    steps: list[object]
    if isinstance(resolution, (str, Mapping)):
        stated = resolution if isinstance(resolution, Mapping) else {}
        unknown = [name for name in stated if not isinstance(name, str) or name not in names]
        if unknown:
            raise InputError(f"resolution: {no_column(unknown, names)}")
        detected = {j: recording_step(values[:, j], weights) for j, name in enumerate(names) if name not in stated}
        steps = [detected.get(j, stated.get(name)) for j, name in enumerate(names)]
    else:
        if np.ma.is_masked(resolution):
            raise InputError(f"resolution={shown(resolution)} has masked entries: give one step per column.")
        try:
            given = np.asarray(resolution, dtype=object)
        except (TypeError, ValueError):
            raise InputError(f"resolution={shown(resolution)} must be a step, or one step per column.") from None
        steps = [given.item()] * len(names) if given.ndim == 0 else list(given)
    return _checked_steps(steps, names)


def _checked_steps(steps: Sequence[object], names: Sequence[str]) -> NDArray[np.float64]:
    if len(steps) != len(names):
        raise InputError(f"resolution has {len(steps)} steps for {len(names)} columns: give one step per column.")
    must = "be a finite step, 0 for continuous data"
    return np.array([
        check_number(step, f"resolution of column {name!r}", must, least=0.0)
        for name, step in zip(names, steps, strict=True)
    ])  # fmt: skip


def _lattice_step(ordered: NDArray[np.float64], tolerance: float, copies: bool) -> float:
    """Step of sorted values of which some repeat, values within `tolerance` being one; 0.0 without a lattice."""
    all_gaps = np.diff(ordered)
    between = all_gaps > tolerance
    gaps = all_gaps[between]
    first, last = (
        ordered[np.append(True, between)],
        ordered[np.append(between, True)],
    )  # of each distinct value
    repeats = copies or gaps.size + 1 < ordered.size
    if gaps.size == 0 or not repeats or (last - first).max() > tolerance:
        return 0.0
    if gaps.size == 1:  # one gap is always a lattice: believe it when two values far apart come back often
        believed = ordered.size >= 10 and tolerance < _CHANCE_OF_A_LATTICE * gaps[0]
        return _shortest(float(gaps[0]), tolerance) if believed else 0.0
    return _common_step(gaps, tolerance)


def _float32_grid(column: NDArray[np.float64], largest: float) -> float:
    """Spacing of the float32 format if the column went through it, else 0: its grid is no recording step."""
    with np.errstate(over="ignore"):
        narrow = column.astype(np.float32)
        return 8 * float(np.spacing(np.float32(largest))) if (narrow == column).all() else 0.0


def _common_step(gaps: NDArray[np.float64], tolerance: float) -> float:
    """Greatest common divisor of `gaps`, each known to within `tolerance`; 0.0 when there is none."""
    step, error = float(gaps.min()), tolerance
    while step > 10 * max(error, tolerance):
        multiples = np.rint(gaps / step)
        allowed = tolerance + multiples * error
        remainders = np.abs(gaps - multiples * step)
        certain = multiples * error < step / 3  # beyond it, the step is too uncertain to count multiples
        off_lattice = certain & (remainders > allowed)
        if off_lattice.any():
            smallest = int(np.where(off_lattice, remainders, np.inf).argmin())
            step, error = float(remainders[smallest]), float(allowed[smallest])
        elif certain.all():
            total = multiples.sum()
            found = _is_no_accident(2 * allowed / step)
            return _shortest(float(gaps.sum() / total), tolerance / total) if found else 0.0
        else:  # measure the step on the longest gap that can be counted
            longest = int(np.where(certain, multiples, 0).argmax())
            if tolerance / multiples[longest] >= error:
                return 0.0
            step, error = float(gaps[longest] / multiples[longest]), float(tolerance / multiples[longest])
    return 0.0


def _is_no_accident(chances: NDArray[np.float64]) -> bool:
    """Whether gaps would all fit by chance too rarely to be believed; one of them, which set the step, is free."""
    surprise = np.log(np.minimum(chances, 1.0))
    return bool(surprise.sum() - surprise.min() < np.log(_CHANCE_OF_A_LATTICE))


def _shortest(step: float, error: float) -> float:
    """The shortest decimal within `error` of `step`."""
    decimals = (float(f"{step:.{digits}g}") for digits in range(1, 18))
    return next(decimal for decimal in decimals if abs(decimal - step) <= error)
