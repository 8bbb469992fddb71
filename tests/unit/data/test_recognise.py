"""Columns that are no measurements are known by what they hold, and all faults are told at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.faults import column_faults
from bayesgmm.data.quoted import choosing, excluding, split_names
from bayesgmm.data.recognise import column_notes, date_like, not_measured, one_hot, total_row

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=N)


@pytest.mark.parametrize(
    "name", ["id", "ID", "Id", "PassengerId", "customer_id", "row", "index", "No.", "nr", "#", "obs"]
)
def test_identifiers(name: str) -> None:
    assert not_measured(name, np.arange(1.0, 31.0)) == "an identifier"
    assert not_measured(name, np.arange(1.0, 31.0) + 0.5) is None
    assert not_measured(name, np.repeat([1.0, 2.0], 15)) is None


@pytest.mark.parametrize("name", ["width", "acid", "humidity", "income"])
def test_measurements_are_no_identifiers(name: str) -> None:
    assert not_measured(name, RNG.permutation(30).astype(float)) is None


def test_dates() -> None:
    assert date_like(["2024-01-31T10:00", "2024-02-01 11:30:05"])
    assert date_like(["3 Jan 2024", "12/31/24"]) and date_like(["10:30", "11:00 pm"])
    assert not date_like(["a", "2024-01-01"]) and not date_like([])


NOTES: dict[str, tuple[np.ndarray, str]] = {
    "Likert": (RNG.integers(1, 6, N), "takes 5 whole values (1 to 5): modelled as measurements rounded"),
    "code": (np.where(RNG.random(N) < 0.05, -200.0, X), "if it stands for no value, say --missing 'a b=-200'"),
    "code of levels": (np.where(RNG.random(N) < 0.1, 99, RNG.integers(1, 6, N)), "say --missing 'a b=99'"),
    "binary": (RNG.integers(0, 2, N), "takes two values (0 and 1): a category"),
    "spike": (np.where(RNG.random(N) < 0.4, 0.0, X), "no normal component describes such a spike"),
    "counter": (np.arange(N) + 17, "counts up by one from row to row"),
    "epoch": (1.7e9 + RNG.integers(0, 10**6, N), "times in seconds since 1970"),
    "YYYYMMDD": (20240000 + 100 * RNG.integers(1, 13, N) + RNG.integers(1, 29, N), "dates written as YYYYMMDD"),
}


@pytest.mark.parametrize("kind", NOTES)
def test_what_may_be_meant_otherwise_is_said(kind: str) -> None:
    values, words = NOTES[kind]
    (note,) = column_notes(pd.DataFrame({"a b": values, "x": X}))
    assert note.startswith("column 'a b' ") and words in note
    assert "--exclude 'a b'" in note or kind == "Likert" or "code" in kind


@pytest.mark.parametrize("values", [X, X.round(1), RNG.poisson(30, N), RNG.exponential(size=N)], ids=range(4))
def test_nothing_is_said_of_measurements(values: np.ndarray) -> None:
    assert list(column_notes(pd.DataFrame({"x": values}))) == []


def test_one_hot_columns_are_grouped() -> None:
    codes = pd.get_dummies(pd.Series(RNG.integers(0, 4, N)), prefix="k").astype(float)
    table = pd.concat([pd.DataFrame({"x": X, "yes": RNG.integers(0, 2, N)}), codes], axis=1)
    assert one_hot(table) == [["k_0", "k_1", "k_2", "k_3"]]


def test_totals() -> None:
    table = pd.DataFrame({"x": X, "y": X**2})
    with_sums = pd.concat([table, table.sum().to_frame().T])
    with_means = pd.concat([table, table.mean().to_frame().T])
    assert total_row(with_sums, []) == (N, "sums")
    assert total_row(with_means, []) is None and total_row(with_means, ["Mean"]) == (N, "means")
    assert total_row(table, ["Total"]) is None


def test_all_faults_of_columns_at_once() -> None:
    table = pd.DataFrame({
        "x": X, "metres": 2 * X, "c": 3.0, "u": X**2, "v": X**2 - X, "huge": 1e150 * X,
        "red": np.arange(N) % 3 == 0, "green": np.arange(N) % 3 == 1, "blue": np.arange(N) % 3 == 2,
    }).astype(float)  # fmt: skip
    table.loc[3, "x"] = np.nan
    faults = column_faults(table)
    said = [fault.sentence for fault in faults]
    assert said[0] == "columns 'red', 'green' and 'blue' code one category (each row has one 1 among them)"
    assert said[1] == "column 'c' is constant (3 in every row)"
    assert said[2].startswith("column 'huge' holds values of size")
    assert said[3] == "columns 'x' and 'metres' differ only in their units (correlation ±1)"
    assert said[4] == "columns 'x', 'u', 'v' are linearly dependent"
    assert [fault.columns[0] for fault in faults] == ["red", "c", "huge", "metres", "v"]
    assert column_faults(table[["x", "u"]]) == []


def test_names_are_quoted_for_the_shell() -> None:
    assert choosing(["a", "b"]) == "--columns a,b"
    assert excluding(["it's"]) == """--exclude 'it'"'"'s'"""
    known = ["Income, gross", "a", "b", ' "q"']
    assert split_names(["Income, gross"], known) == ["Income, gross"]
    assert split_names(['"Income, gross",a', "b"], known) == ["Income, gross", "a", "b"]
