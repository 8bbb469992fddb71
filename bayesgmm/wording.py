"""Numbers in sentences, the same wherever they are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["observation", "plural", "probability", "probability_of"]


def probability(p: float) -> str:
    """A probability to two decimals, never 1.00 or 0.00: what is estimated is neither certain nor impossible.

    >>> probability(0.357), probability(0.9996), probability(1.0), probability(0.004), probability(math.nan)
    ('0.36', '> 0.99', '> 0.99', '< 0.01', '–')
    """
    if not math.isfinite(p):
        return "–"
    text = f"{p:.2f}"
    return "> 0.99" if text == "1.00" else "< 0.01" if text == "0.00" else text


def probability_of(what: str, p: float) -> str:
    """An equation or an inequality.

    >>> probability_of("p", 0.357), probability_of("p(K | y)", 1.0)
    ('p = 0.36', 'p(K | y) > 0.99')
    """
    text = probability(p)
    return f"{what} {text}" if text[0] in "<>" else f"{what} = {text}"


def observation(position: int, names: Sequence[Any] | NDArray[Any] | pd.Index[Any]) -> str:
    """One row of a table, by its name, or by its number where names are the numbers from 0.

    >>> observation(4, np.arange(9)), observation(1, np.array(["a", "b"], dtype=object))
    ('observation 4, counted from 0', "observation 'b'")
    """
    if np.array_equal(names, np.arange(len(names))):
        return f"observation {position}, counted from 0"
    return f"observation {str(names[position])!r}"


def plural(n: float, noun: str) -> str:
    """The noun as its number asks for; a number of observations may be a sum of weights.

    >>> plural(1, "observation"), plural(2.5, "component")
    ('observation', 'components')
    """
    return noun if n == 1 else f"{noun}s"
