"""The errors and warnings of the package, and checks of options before any work: each says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["InputError", "NotConvergedWarning", "check_ci_prob", "check_count", "check_seed"]


class InputError(ValueError):
    """Input that cannot be used; one line that names the column or row, the fault and the remedy."""


class NotConvergedWarning(UserWarning):
    """A result was returned that has not converged; the message says which diagnostic failed."""


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


def check_seed(random_seed: Any) -> None:
    """A seed is None or an integer from 0 to 2**63 - 1."""
    if random_seed is None:
        return
    whole = isinstance(random_seed, (int, np.integer)) and not isinstance(random_seed, bool)
    if not whole or not 0 <= random_seed < 2**63:
        raise InputError(f"random_seed={random_seed!r} must be None or an integer from 0 to 2**63 - 1.")
