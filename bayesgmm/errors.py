"""The errors and warnings of the package; each says what to do."""

from __future__ import annotations

__all__ = ["InputError", "NotConvergedWarning"]


class InputError(ValueError):
    """Input that cannot be used; one line that names the column or row, the fault and the remedy."""


class NotConvergedWarning(UserWarning):
    """A result was returned that has not converged; the message says which diagnostic failed."""
