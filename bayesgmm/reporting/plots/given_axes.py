"""Axes that somebody else made, for figures of several panels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.arguments import shown
from bayesgmm.errors import InputError

__all__ = ["given_axes"]


def given_axes(axes: Any, shape: tuple[int, ...], panels: str, name: str = "axes") -> NDArray[Any] | None:
    """An array of that shape of the axes given, in any nesting that has as many; None for None.

    Raises
    ------
    InputError
        If it is something else; `panels` says in words what is drawn.
    """
    if axes is None:
        return None
    number = int(np.prod(shape))
    if isinstance(axes, (list, tuple, np.ndarray)):
        cells = [cell for row in axes for cell in (row if isinstance(row, (list, tuple)) else np.ravel(row))]
        if len(cells) == number and all(hasattr(cell, "get_xlim") for cell in cells):
            if isinstance(axes, np.ndarray) and axes.shape == shape:
                return axes
            out = np.empty(number, dtype=object)
            out[:] = cells
            return out.reshape(shape)
    raise InputError(f"{name}={shown(axes)} must be None or {number} Axes of matplotlib: {panels}.")
