"""The errors and warnings of the package; each says what to do."""

from __future__ import annotations

import warnings
from pathlib import Path

__all__ = ["InputError", "NotConvergedWarning", "warn"]

_PACKAGE = str(Path(__file__).parent)


class InputError(ValueError):
    """Input that cannot be used; one line that names the column or row, the fault and the remedy."""


class NotConvergedWarning(UserWarning):
    """A result was returned that has not converged; the message says which diagnostic failed."""


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the package, however deep within it the reason was found."""
    warnings.warn(text, category, skip_file_prefixes=(_PACKAGE,))
