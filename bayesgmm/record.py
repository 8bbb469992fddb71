"""How a result shows itself: one line as `repr`, sentences as `str`, sentences and short tables in a notebook.

What each class of results shows is registered in the ``shown.py`` of its room, loaded when one is shown.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from functools import singledispatch
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayesgmm.visible import visible
from bayesgmm.wording import probability

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_ROWS", "Record", "attributes", "html_of", "numbers", "reliable", "sentences", "tables", "warned"]

MOST_ROWS = 20  # of a table that are shown
_MOST_COLUMNS = 12
_MARK = {True: "#2e7d32", False: "#b00020"}  # beside what is said of reliability


class Record:
    """Base of results: how one is shown. ``str()`` is that of the class where it has one, in sentences."""

    _warning = ""  # of the fit that the result is from, if it did not converge

    def __repr__(self) -> str:
        _load(type(self))
        parts = [f"{name}={_short(value)}" for name, value in numbers(self).items()]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        _load(type(self))
        return sentences(self)

    def _repr_html_(self) -> str:
        _load(type(self))
        found = (self._warning, False) if self._warning else reliable(self)
        said = str(self).replace(found[0], "") if found else str(self)  # not twice
        return html_of(said, tables(self), found)


def warned[R: Record](record: R, warning: str) -> R:
    """The same, which in a notebook first gives this warning of the fit that it comes from."""
    out = copy.copy(record)
    object.__setattr__(out, "_warning", warning)
    return out


@singledispatch
def numbers(record: Any) -> dict[str, Any]:
    """The few numbers of the line that is `repr`, by name."""
    return {}


@singledispatch
def sentences(record: Any) -> str:
    """`str` of a class that does not define it."""
    return repr(record)


@singledispatch
def reliable(record: Any) -> tuple[str, bool] | None:
    """What a result says of its own reliability, and whether that is good; it stands first in a notebook."""
    return None


@singledispatch
def tables(record: Any) -> dict[str, pd.DataFrame]:
    """Tables for a notebook, by caption."""
    return {}


def attributes(*names: str) -> Callable[[Any], dict[str, Any]]:
    """Numbers that are attributes of the record.

    >>> attributes("real", "imag")(2 + 1j)
    {'real': 2.0, 'imag': 1.0}
    """
    return lambda record: {name: getattr(record, name) for name in names}


def html_of(text: str, frames: dict[str, pd.DataFrame], found: tuple[str, bool] | None = None) -> str:
    """Sentences, a paragraph a line, and tables of at most `MOST_ROWS` rows, as a fragment of HTML.

    `found` is a sentence that stands first, and whether it is good news.
    """
    parts = []
    if found:
        style = f"border-left:3px solid {_MARK[found[1]]};padding-left:.6em;margin:.4em 0"
        parts.append(f'<p style="{style}"><b>{_text(found[0])}</b></p>')
    parts += [f'<p style="margin:.4em 0">{_text(line)}</p>' for line in text.splitlines() if line.strip()]
    parts += [_table(caption, frame) for caption, frame in frames.items() if len(frame)]
    return f'<div class="bayesgmm" style="max-width:60em">{"".join(parts)}</div>'


def _load(kind: type) -> None:
    """Load what the room of a class says of its results."""
    for base in kind.__mro__:
        package, *rest = base.__module__.split(".")
        if package == "bayesgmm" and len(rest) > 1:
            import_module(f"{package}.{rest[0]}.shown")


def _table(caption: str, frame: pd.DataFrame) -> str:
    some = frame.iloc[:MOST_ROWS, :_MOST_COLUMNS]
    html = some.to_html(
        border=0, formatters=[_cell_of(some.iloc[:, j]) for j in range(some.shape[1])], index_names=False
    )
    left = [(frame.shape[0] - some.shape[0], "row"), (frame.shape[1] - some.shape[1], "column")]
    more = " and ".join(f"{n:,} more {what}{'s' * (n > 1)}" for n, what in left if n)
    note = f'<p style="margin:.2em 0"><small>{more}</small></p>' if more else ""
    head = f'<p style="margin:.6em 0 .1em"><small>{_text(caption)}</small></p>'
    return f'{head}<div style="overflow-x:auto;white-space:nowrap">{visible(html, keep=chr(10))}</div>{note}'


def _cell_of(column: pd.Series[Any]) -> Callable[[Any], str]:
    """How a cell of a column is written: numbers to the decimals of the column; else text, which pandas escapes."""
    largest = max((abs(v) for v in column if isinstance(v, float) and math.isfinite(v)), default=0.0)
    number: Callable[[float], str] = probability if "probability" in str(column.name) else _number(largest)
    return lambda value: number(value) if isinstance(value, float) else str(value)


def _number(largest: float) -> Callable[[float], str]:
    """How a number is written beside others up to `largest`: four digits, and no more decimals than a share needs.

    >>> [_number(0.74)(v) for v in (0.73512, 1e-9)], [_number(1144.0)(v) for v in (-1144.13, 0.012345)]
    (['0.7351', '0.0000'], ['-1144.1', '0.01235'])
    """

    def written(value: float) -> str:
        if math.isnan(value):
            return "–"
        if abs(value) < 1e-4 and 0.1 < largest <= 1.0:
            return f"{value:.4f}"
        return f"{value:.1f}" if 1e3 <= abs(value) < 1e7 else f"{value:.4g}"

    return written


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:57]}...")
    return re.sub(r"\s+", " ", str(value))


def _text(words: str) -> str:
    return escape(visible(words), quote=False)
