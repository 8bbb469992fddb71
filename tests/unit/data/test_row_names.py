"""Row names of every kind come back as they were, or are refused when they are written."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.row_names import read_row_names, write_row_names
from bayesgmm.errors import InputError

NAMES: dict[str, pd.Index[Any]] = {
    "range": pd.RangeIndex(3),
    "range backwards": pd.RangeIndex(5, -1, -2, name="r"),
    "int": pd.Index([3, 1, 2]),
    "int8": pd.Index(np.array([1, 2, 3], dtype=np.int8)),
    "uint64": pd.Index(np.array([1, 2**64 - 1], dtype=np.uint64)),
    "beyond int64": pd.Index([10**400, 1], dtype=object),
    "float": pd.Index([0.1, np.nan, -0.0, np.inf]),
    "float32": pd.Index(np.array([0.1, 2.0], dtype=np.float32)),
    "bool": pd.Index([True, False, True]),
    "str": pd.Index(["a", "", "é", "日本"]),
    "str with NaN": pd.Index(["a", np.nan, None]),
    "NUL and half a pair": pd.Index(["a", "\0", "\ud800", "\u202e"], dtype=object),
    "mixed": pd.Index(["a", None, np.nan, 1, True, pd.NA, pd.NaT, 2.5, 1j, b"\0"], dtype=object),
    "NumPy scalars": pd.Index([np.float64(0.1), np.int8(3), np.str_("a"), np.bool_(True)], dtype=object),
    "datetime": pd.date_range("2020", periods=3),
    "datetime s": pd.DatetimeIndex(["2020", "2021", None]).as_unit("s"),
    "datetime in a zone": pd.date_range("2020", periods=3, tz="Europe/Paris", freq="h"),
    "datetime with offset": pd.DatetimeIndex(["2020-01-01T00:00+01:00"] * 2),
    "timedelta": pd.timedelta_range("1D", periods=3),
    "timedelta NaT": pd.TimedeltaIndex(["1D", None]),
    "period": pd.period_range("2020-01", periods=3, freq="M", name="month"),
    "quarter": pd.period_range("2020", periods=3, freq="Q-NOV"),
    "interval": pd.IntervalIndex.from_breaks([0.0, 0.5, 1.0], closed="both"),
    "tuple": pd.Index([("a", 1), ("b", pd.Timestamp("2020", tz="UTC"))], tupleize_cols=False),
    "multi": pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
    "multi with NaN": pd.MultiIndex.from_arrays([pd.date_range("2020", periods=2), [1.5, np.nan]], names=["n", "n"]),
    "categorical": pd.CategoricalIndex(["a", "b", None], categories=["b", "a", "unused"], ordered=True),
    "categorical int": pd.CategoricalIndex([1, 2], name="c"),
    "Int64": pd.Index([1, None], dtype="Int64"),
    "boolean": pd.Index([True, None], dtype="boolean"),
    "string": pd.Index(["a", None], dtype="string[python]"),
    "objects": pd.Index(
        [
            decimal.Decimal("1.10"), datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 12), datetime.time(3),
            datetime.timedelta(1, 2, 3), pd.Timestamp("2020"), pd.Timedelta("1s"), pd.Period("2020", "Y"),
            pd.Interval(0, 1),
        ],
        dtype=object,
    ),
    "named by a tuple": pd.Index([1, 2], name=("a", 3)),
    "named by a time": pd.Index([1, 2], name=pd.Timestamp("2020")),
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMES)
def test_names_come_back(kind: str) -> None:
    index = NAMES[kind]
    text = write_row_names(index)
    assert text.isascii() and "\0" not in text
    back = read_row_names(text)
    pd.testing.assert_index_equal(index, back, exact=True)
    assert type(index) is type(back)
    assert [type(name) for name in index] == [type(name) for name in back]
    assert getattr(index, "freq", None) == getattr(back, "freq", None)


class _Other:
    pass


UNKNOWN: dict[str, pd.Index[Any]] = {
    "object": pd.Index([_Other(), 1], dtype=object),
    "set": pd.Index([frozenset()], dtype=object),
    "long double": pd.Index([np.longdouble(1)], dtype=object),
    "name": pd.Index([1], name=_Other()),
    "in a tuple": pd.Index([("a", _Other())], tupleize_cols=False),
    "zone without a name": pd.date_range("2020", periods=2, tz=datetime.timezone(datetime.timedelta(seconds=61))),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_would_not_come_back_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="name the rows by text or numbers") as error:
        write_row_names(UNKNOWN[kind])
    assert "\n" not in str(error.value)


OTHER: list[Any] = [
    [],
    {},
    {"names": [], "dtype": "object", "values": [1]},
    {"names": [None], "dtype": "object", "values": [{"eval": "1"}]},
]


@pytest.mark.parametrize("text", ["", "{", *map(json.dumps, OTHER)])
def test_other_text_is_an_error_that_storage_catches(text: str) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        read_row_names(text)
