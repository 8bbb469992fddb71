"""Options of the analysis functions, checked before any work."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.errors import InputError

__all__ = ["check_ci_prob", "check_count"]


def check_ci_prob(ci_prob: Any, name: str = "ci_prob") -> None:
    """A probability strictly between 0 and 1.

    >>> check_ci_prob(0.95)
    """
    number = isinstance(ci_prob, (float, np.floating)) or (isinstance(ci_prob, int) and not isinstance(ci_prob, bool))
    if not number or not 0.0 < ci_prob < 1.0:
        raise InputError(f"{name}={ci_prob!r} must lie between 0 and 1; 0.95 is usual.")


def check_count(value: Any, name: str, least: int = 1) -> None:
    """A whole number of at least `least`.

    >>> check_count(3, "n_runs")
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name}={value!r} must be an integer of at least {least}.")
