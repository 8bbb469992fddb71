"""Names of columns as options of the command line, quoted for the shell."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Sequence

from bayesgmm.errors import InputError

__all__ = ["choosing", "excluding", "lacking_value", "split_names"]


def choosing(names: Sequence[str]) -> str:
    """The option that chooses columns.

    >>> choosing(["CO(GT)", "T"]), choosing(["Income, gross", "rate"])
    ("--columns 'CO(GT),T'", "--columns 'Income, gross' --columns rate")
    """
    if any("," in name or '"' in name for name in names):
        return " ".join(f"--columns {shlex.quote(name)}" for name in names)
    return f"--columns {shlex.quote(','.join(names))}"


def excluding(names: Sequence[str]) -> str:
    """The options that leave columns out.

    >>> excluding(["id", "CO(GT)"])
    "--exclude id --exclude 'CO(GT)'"
    """
    return " ".join(f"--exclude {shlex.quote(name)}" for name in names)


def lacking_value(name: str, code: float) -> str:
    """The option by which a value of a column stands for none.

    >>> lacking_value("T", -200.0), lacking_value("CO(GT)", -200.0)
    ('--missing T=-200', "--missing 'CO(GT)=-200'")
    """
    return f"--missing {shlex.quote(f'{name}={code:.10g}')}"


def split_names(given: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names of columns from options: each a name as it stands, or several separated by commas.

    >>> split_names(["Income, gross", "a,b"], ["a", "b", "Income, gross"])
    ['Income, gross', 'a', 'b']
    """
    names: list[str] = []
    for text in given:
        if text in known or text.strip() in known:
            names.append(text if text in known else text.strip())
            continue
        try:
            parts = next(csv.reader([text], skipinitialspace=True, strict=True), [])
        except csv.Error as error:
            raise InputError(f"--columns {text!r} cannot be read ({error}); give names separated by commas.") from None
        names += [part.strip() for part in parts if part.strip()]
    return names
