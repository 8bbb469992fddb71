"""The table of a command: read, checked at once for everything that a file can tell, and talked about."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bayesgmm.errors import InputError

if TYPE_CHECKING:
    from bayesgmm.data.file_table import FileTable

__all__ = ["read_table", "say"]

_MOST_NOTES = 8


def read_table(path: str, *, columns: Sequence[str] | None, exclude: Sequence[str] | None, label: str | None,
               missing: Sequence[str] | None, drop_missing: bool, weights: str | None = None,
               survey_weights: str | None = None, **options: Any) -> FileTable:  # fmt: skip
    """The table of a file, after what is said of it: what was left out or may be meant otherwise.

    Raises
    ------
    InputError
        All faults in one line.
    """
    if weights is not None and survey_weights is not None:
        raise InputError("--weights and --survey-weights are both given: an observation has one weight, leave one out.")
    from bayesgmm.data.faults import column_faults
    from bayesgmm.data.file_table import raise_faults
    from bayesgmm.data.read_csv import read_file
    from bayesgmm.data.recognise import column_notes

    table = read_file(
        path, columns=columns, exclude=exclude or (), label=label, missing=missing or (), drop_missing=drop_missing,
        split=True, weights=weights if survey_weights is None else survey_weights, **options,
    )  # fmt: skip
    raise_faults([*table.faults, *column_faults(table.data)], path)
    if table.labels is not None and table.labels.isna().all():
        raise InputError(f"column {table.labels.name!r} holds no labels; leave --label out.")
    notes = [*table.notes, *([] if table.lacking is None else [table.lacking])]
    about = list(column_notes(table.data))
    if len(about) > _MOST_NOTES:
        about = [*about[:_MOST_NOTES], f"so it is with {len(about) - _MOST_NOTES} more columns"]
    table.notes = [*notes, *about]
    for note in table.notes:
        say(note)
    return table


def say(line: str) -> None:
    """A line on standard error."""
    print(f"bayesgmm: {line}", file=sys.stderr)
