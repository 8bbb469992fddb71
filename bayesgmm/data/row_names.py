"""Row names as text and back, each of its own type: JSON in ASCII, which every file can hold.

A name that JSON knows stands for itself; any other is an object of one item, its type and how it is written. Reading
evaluates and unpickles nothing, and what would not come back as it was is refused when it is written.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from reprlib import repr as short
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.errors import InputError

__all__ = ["read_row_names", "write_row_names"]

_PLAIN = (type(None), bool, int, float, str)
# How a name of each other type is written, and read.
_CODECS: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    tuple: (lambda x: [_write_name(v) for v in x], lambda x: tuple(_read_name(v) for v in x)),
    bytes: (bytes.hex, bytes.fromhex),
    complex: (lambda x: [x.real, x.imag], lambda x: complex(*x)),
    decimal.Decimal: (str, decimal.Decimal),
    datetime.date: (datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: (datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.datetime: (datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.timedelta: (lambda x: [x.days, x.seconds, x.microseconds], lambda x: datetime.timedelta(*x)),
    pd.Timestamp: (lambda x: _write_index(pd.DatetimeIndex([x])), lambda x: _read_index(x)[0]),
    pd.Timedelta: (lambda x: _write_index(pd.TimedeltaIndex([x])), lambda x: _read_index(x)[0]),
    pd.Period: (lambda x: [x.ordinal, x.freqstr], lambda x: pd.Period(ordinal=x[0], freq=x[1])),
    pd.Interval: (
        lambda x: [_write_name(x.left), _write_name(x.right), x.closed],
        lambda x: pd.Interval(_read_name(x[0]), _read_name(x[1]), x[2]),
    ),
    type(pd.NaT): (lambda x: 0, lambda x: pd.NaT),
    type(pd.NA): (lambda x: 0, lambda x: pd.NA),
}  # fmt: skip
_BY_NAME = {kind.__name__: read for kind, (_, read) in _CODECS.items()}


def write_row_names(index: pd.Index[Any]) -> str:
    """An index of any kind as text.

    Raises
    ------
    InputError
        If it would not come back as it is.

    >>> read_row_names(write_row_names(pd.Index([1.5, "a", ("b", None)], name="plant")))
    Index([1.5, 'a', ('b', None)], dtype='object', name='plant')
    """
    try:
        text = json.dumps(_write_index(index))
        same = json.dumps(_write_index(read_row_names(text))) == text
    except InputError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError):
        same = False
    if not same:
        raise InputError(
            f"the row names, {type(index).__name__} of {index.dtype}, cannot be saved: name the rows by text or "
            "numbers, such as X.index.map(str), and fit again."
        )
    return text


def read_row_names(text: str) -> pd.Index[Any]:
    """The index that `write_row_names` wrote."""
    return _read_index(json.loads(text))


def _write_index(index: pd.Index[Any]) -> dict[str, Any]:
    names = [_write_name(name) for name in index.names]
    match index:
        case pd.RangeIndex():
            return {"names": names, "range": [index.start, index.stop, index.step]}
        case pd.MultiIndex():
            levels = [_write_index(level) for level in index.levels]
            return {"names": names, "levels": levels, "codes": [codes.tolist() for codes in index.codes]}
        case pd.CategoricalIndex():
            categories = _write_index(index.categories)
            return {
                "names": names, "categories": categories, "codes": index.codes.tolist(), "ordered": bool(index.ordered),
            }  # fmt: skip
        case pd.IntervalIndex():
            return {
                "names": names, "left": _write_index(index.left), "right": _write_index(index.right),
                "closed": index.closed,
            }  # fmt: skip
        case pd.PeriodIndex():
            return {"names": names, "periods": index.asi8.tolist(), "freq": index.freqstr}
        case pd.DatetimeIndex() | pd.TimedeltaIndex():
            zone = str(index.tz) if isinstance(index, pd.DatetimeIndex) and index.tz is not None else None
            return {
                "names": names, "times": index.asi8.tolist(), "freq": index.freqstr, "zone": zone,
                "unit": f"{'M' if isinstance(index, pd.DatetimeIndex) else 'm'}8[{index.unit}]",
            }  # fmt: skip
    return {"names": names, "dtype": _dtype(index), "values": [_write_name(name) for name in index.tolist()]}


def _read_index(written: dict[str, Any]) -> pd.Index[Any]:
    names = [_read_name(name) for name in written["names"]]
    match written:
        case {"range": bounds}:
            index: Any = pd.RangeIndex(*bounds)
        case {"levels": levels, "codes": codes}:
            parts: list[Any] = [_read_index(level) for level in levels]
            index = pd.MultiIndex(parts, codes)
        case {"categories": categories, "codes": codes, "ordered": ordered}:
            index = pd.CategoricalIndex(pd.Categorical.from_codes(codes, _read_index(categories), ordered=ordered))
        case {"left": left, "right": right, "closed": closed}:
            index = pd.IntervalIndex.from_arrays(_read_index(left), _read_index(right), closed)
        case {"periods": ordinals, "freq": freq}:
            index = pd.PeriodIndex.from_ordinals(ordinals, freq=freq)  # type: ignore[attr-defined]
        case {"times": times, "freq": freq, "zone": zone, "unit": unit}:
            index = pd.Index(np.array(times, dtype=np.int64).view(unit))
            if zone is not None:
                index = index.tz_localize("UTC").tz_convert(zone)
            index.freq = freq
        case _:
            values = np.empty(len(written["values"]), dtype=object)
            values[:] = [_read_name(name) for name in written["values"]]
            index = pd.Index(values, dtype=written["dtype"], tupleize_cols=False)
    index.names = names
    return index


def _dtype(index: pd.Index[Any]) -> str:
    """The name by which pandas makes the dtype again."""
    dtype = index.dtype
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return f"string[{dtype.storage}]"
    return str(dtype)


def _write_name(name: Any) -> Any:
    if type(name) in _PLAIN:
        return name
    if isinstance(name, np.generic) and type(name.item()) in _PLAIN:
        return {"numpy": [name.dtype.str, name.item()]}
    if type(name) not in _CODECS:
        raise InputError(
            f"the row name {short(name)} is a {type(name).__name__}, which cannot be saved: name the rows by text or "
            "numbers, such as X.index.map(str), and fit again."
        )
    return {type(name).__name__: _CODECS[type(name)][0](name)}


def _read_name(written: Any) -> Any:
    if not isinstance(written, dict):
        return written
    ((kind, value),) = written.items()
    return np.dtype(value[0]).type(value[1]) if kind == "numpy" else _BY_NAME[kind](value)
