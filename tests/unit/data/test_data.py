"""Tables in: names kept, scaling and weights right, every fault refused in one line that names it."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from datetime import datetime
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy import sparse

import bayesgmm as bg
from bayesgmm.data.checks import distinct_rows, few_distinct_rows, mean_and_sd
from bayesgmm.data.table import Table, check_new_rows, prepare_table
from bayesgmm.errors import InputError


def rows(n: int = 20, d: int = 3, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(loc=5, scale=2, size=(n, d))


def refused(call: Any, *words: str) -> str:
    """The message of the error that `call` raises: one line that holds all the words."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    for word in words:
        assert word in message, message
    return message


# --- what comes out -------------------------------------------------------------------------------------------


def test_numpy_table() -> None:
    X = rows()
    table = prepare_table(X)
    assert (table.n_rows, table.n_features) == (20, 3)
    assert table.feature_names == ("x1", "x2", "x3")
    assert list(table.row_names) == list(range(20))
    np.testing.assert_array_equal(table.values, X)
    np.testing.assert_array_equal(table.weights, np.ones(20))
    np.testing.assert_array_equal(table.resolution, np.zeros(3))
    np.testing.assert_allclose(table.standardized.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(table.standardized.std(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(table.standardized * table.scale + table.center, X, rtol=1e-14)
    assert table.standardized is not table.standardized  # as large as the table, so it is not kept


def test_the_table_owns_its_values() -> None:
    X = rows()
    table = prepare_table(X)
    X[:] = 0
    assert table.values.min() != 0


@pytest.mark.parametrize(
    "X",
    [
        np.asfortranarray(rows()),
        rows()[::-1],
        rows().astype(np.float32),
        np.round(rows()).astype(int),
        rows().tolist(),
        rows().astype(object),
        pd.DataFrame(rows()),
        pd.DataFrame(rows()).astype(object),
        np.ma.array(rows(), mask=False),
        rows().view(np.matrix),
    ],
)
def test_arrays_are_contiguous_float64(X: Any) -> None:
    table = prepare_table(X)
    for array in (table.values, table.standardized, check_new_rows(X, table)):
        assert type(array) is np.ndarray
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_frame_keeps_names_and_index() -> None:
    frame = pd.DataFrame(rows(), columns=["a", "b", "c"], index=pd.Index([f"r{i}" for i in range(20)], name="id"))
    table = prepare_table(frame)
    assert table.feature_names == ("a", "b", "c")
    pd.testing.assert_index_equal(table.row_names, frame.index)
    renamed = prepare_table(frame, feature_names=["u", "v", "w"], row_names=range(20))
    assert renamed.feature_names == ("u", "v", "w")
    assert list(renamed.row_names) == list(range(20))
    assert list(frame.columns) == ["a", "b", "c"]


def test_column_names_become_text() -> None:
    assert prepare_table(pd.DataFrame(rows())).feature_names == ("0", "1", "2")


def test_pandas_dtypes() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "nullable_int": pd.array(rng.integers(0, 9, 20), dtype="Int64"),
            "nullable_float": pd.array(rng.normal(size=20), dtype="Float64"),
            "flag": rng.random(20) < 0.5,
            "nullable_flag": pd.array(rng.random(20) < 0.5, dtype="boolean"),
            "small": rng.integers(0, 9, 20).astype(np.int8),
        }
    )
    table = prepare_table(frame)
    np.testing.assert_array_equal(table.values, frame.to_numpy(dtype=float))
    frame.loc[3, "nullable_int"] = pd.NA
    refused(lambda: prepare_table(frame), "'nullable_int'", "NaN", "row 3")


def test_original_units_without_standardising() -> None:
    table = prepare_table(rows(), standardize=False)
    np.testing.assert_array_equal(table.center, np.zeros(3))
    np.testing.assert_array_equal(table.scale, np.ones(3))
    np.testing.assert_array_equal(table.standardized, table.values)


def test_integer_weights_equal_copies() -> None:
    X = np.round(rows(), 1)
    counts = np.random.default_rng(3).integers(0, 4, size=20)
    weighted = prepare_table(X, sample_weight=counts)
    copied = prepare_table(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(weighted.center, copied.center, rtol=1e-14)
    np.testing.assert_allclose(weighted.scale, copied.scale, rtol=1e-14)
    np.testing.assert_array_equal(weighted.resolution, copied.resolution)
    assert weighted.n_rows == 20


def test_resolution_is_passed_on() -> None:
    X = np.column_stack([np.round(rows(200, 1)[:, 0], 1), rows(200, 1, seed=2)[:, 0]])
    np.testing.assert_array_equal(prepare_table(X).resolution, [0.1, 0])
    np.testing.assert_array_equal(prepare_table(X, resolution=None).resolution, [0, 0])
    np.testing.assert_array_equal(prepare_table(X, resolution={"x2": 0.5}).resolution, [0.1, 0.5])


@pytest.mark.parametrize("unit", [1e-100, 1e-6, 1e6, 1e100])
def test_units_do_not_matter(unit: float) -> None:
    plain, scaled = prepare_table(rows()), prepare_table(rows() * unit)
    np.testing.assert_allclose(scaled.standardized, plain.standardized, rtol=1e-10, atol=1e-12)


def test_nearly_constant_and_nearly_equal_columns_pass() -> None:
    X = rows()
    X[:, 0] = 1000 + 1e-9 * X[:, 0]
    X[:, 2] = X[:, 1] + 1e-4 * X[:, 2]
    prepare_table(X)


# --- shape ----------------------------------------------------------------------------------------------------


def test_wrong_shapes() -> None:
    refused(lambda: prepare_table(np.ones(5)), "Reshape your data", "reshape(-1, 1)")
    refused(lambda: prepare_table(pd.Series([1.0, 2.0])), "Reshape your data", "to_frame()")
    refused(lambda: prepare_table(np.ones((2, 2, 2))), "3 dimensions")
    refused(lambda: prepare_table(3.0), "0 dimensions")
    refused(lambda: prepare_table([[1, 2], [3]]), "differ in length")
    refused(lambda: prepare_table(sparse.csr_array(np.eye(3))), "Sparse", "toarray()")


def test_nothing_there() -> None:
    refused(
        lambda: prepare_table(np.empty((12, 0))),
        "0 feature(s) (shape=(12, 0)) while a minimum of 1 is required.",
    )
    refused(
        lambda: prepare_table(np.empty((0, 3))),
        "0 sample(s) (shape=(0, 3)) while a minimum of 1 is required.",
    )
    refused(lambda: prepare_table(pd.DataFrame()), "0 feature(s)")
    refused(lambda: prepare_table(pd.DataFrame({"a": []})), "0 sample(s)")


def test_too_few_rows() -> None:
    refused(lambda: prepare_table(np.ones((1, 10))), "1 sample(s)", "10 feature(s)", "11 rows")
    refused(lambda: prepare_table(rows(3)), "3 sample(s)", "4 rows")
    prepare_table(rows(4))
    weights = np.repeat([1.0, 0.0], [3, 17])
    refused(lambda: prepare_table(rows(), sample_weight=weights), "3 sample(s) of positive weight")
    refused(lambda: prepare_table(rows(4), n_components=5), "4 sample(s)", "n_components=5")
    prepare_table(rows(4), n_components=4)


def test_rows_that_count_are_not_copied_where_all_do() -> None:
    table = prepare_table(rows())
    assert table.used_rows is table.values
    weights = np.repeat([1.0, 0.0], [15, 5])
    np.testing.assert_array_equal(prepare_table(rows(), sample_weight=weights).used_rows, rows()[:15])


def test_copies_of_few_rows_are_counted_once() -> None:
    copies = np.repeat(rows(10), 20, axis=0)
    refused(lambda: prepare_table(copies, n_components=12), "10 distinct rows among 200", "n_components=12")
    prepare_table(copies, n_components=10)
    refused(lambda: bg.fit_em(prepare_table(copies), 11), "10 distinct rows among 200")
    refused(lambda: bg.compare_components(copies, [2, 11], progressbar=False), "10 distinct rows among 200")
    for n in (1, 7, 10, 11):
        assert distinct_rows(copies[::-1], n) == min(n, 10) or n < 10 <= distinct_rows(copies[::-1], n)
    assert distinct_rows(np.concatenate([np.zeros((5000, 2)), rows(3, 2)]), 4) == 4  # what differs comes last
    (said,) = few_distinct_rows(copies, 3)
    assert said.startswith("only 10 of the 200 rows are distinct")
    assert not few_distinct_rows(copies, 1) and not few_distinct_rows(rows(10), 3) and not few_distinct_rows(copies, 2)


@pytest.mark.parametrize("n_components", [0, -1, 2.0, "3", True, np.nan])
def test_senseless_number_of_components(n_components: Any) -> None:
    refused(lambda: prepare_table(rows(), n_components=n_components), f"n_components={n_components!r}")


def test_numpy_integers_are_integers() -> None:
    prepare_table(rows(), n_components=np.int64(3))  # type: ignore[arg-type]


# --- names ----------------------------------------------------------------------------------------------------


def test_names_that_do_not_fit() -> None:
    refused(lambda: prepare_table(rows(), feature_names=["a", "b"]), "2 names for 3 columns")
    refused(lambda: prepare_table(rows(), row_names=["a", "b"]), "2 names for 20 rows")
    refused(lambda: prepare_table(rows(), feature_names=["a", "b", "a"]), "'a'", "more than once")
    refused(lambda: prepare_table(pd.DataFrame(rows(), columns=["a", "b", "b"])), "'b'", "more than once")
    refused(lambda: prepare_table(pd.DataFrame(rows(d=2), columns=[1, "1"])), "1 is not", "rename")
    for name, words in ((np.nan, "nan"), (pd.NaT, "NaT"), ("", "empty"), (" ", "empty")):
        refused(lambda name=name: prepare_table(pd.DataFrame(rows(d=2), columns=["a", name])), "Column 2 of 2", words)
    for name in ("a\0b", "\udc80"):
        columns = pd.Index(["a", name], dtype=object)
        refused(lambda columns=columns: prepare_table(pd.DataFrame(rows(d=2), columns=columns)), "no text", repr(name))
    for names in ("abc", 3, None, b"abc"):
        if names is not None:
            refused(lambda names=names: prepare_table(rows(), feature_names=names), "feature_names")
            refused(lambda names=names: prepare_table(rows(), row_names=names), "row_names")


# --- cells ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_text_columns_are_named(dtype: str) -> None:
    frame = pd.DataFrame(rows(), columns=["a", "b", "c"])
    frame["species"] = pd.Series(["setosa", "virginica"] * 10, dtype=dtype)
    refused(lambda: prepare_table(frame), "'species'", "--columns", "(a, b, c)")


def test_many_text_columns() -> None:
    frame = pd.DataFrame({f"t{j}": ["u", "v"] for j in range(8)})
    message = refused(lambda: prepare_table(frame), "'t0'", "'t4'", "3 more")
    assert "t5" not in message


def test_text_among_numbers() -> None:
    refused(lambda: prepare_table([[1, 2.0], [3, "many"], [5, 6]]), "'x2'", "'many'", "row 1")
    refused(lambda: prepare_table(np.array([["1", "2"], ["3", "4"]])), "'x1'", "'1'")
    refused(lambda: prepare_table(pd.DataFrame({"a": [1, "x" * 1000, 2]}, index=list("uvw"))), "'a'", "row 'v'")


def test_dates_are_no_numbers() -> None:
    days = pd.date_range("2020-01-01", periods=20)
    refused(lambda: prepare_table(pd.DataFrame({"a": rows(d=1)[:, 0], "day": days})), "'day'", "datetime64")
    refused(lambda: prepare_table(days.to_numpy().reshape(-1, 1)), "'x1'", "datetime64")


def test_numbers_too_large() -> None:
    refused(lambda: prepare_table([[10**400, 1], [1, 2], [2, 5]]), "'x1'", "too large")


def test_objects_are_a_type_error_too() -> None:
    X = rows().astype(object)
    X[0, 0] = {"foo": "bar"}
    with pytest.raises(TypeError, match=r"argument must be .* string.* number"):
        prepare_table(X)
    refused(lambda: prepare_table(X), "'x1'", "dict")


def test_complex_data() -> None:
    refused(lambda: prepare_table(rows() + 1j), "Complex data not supported", "'x1'")
    frame = pd.DataFrame({"a": rows(d=1)[:, 0], "z": rows(d=1)[:, 0] + 1j})
    refused(lambda: prepare_table(frame), "Complex data not supported", "'z'")


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")])
def test_cells_that_are_not_finite(value: float, word: str) -> None:
    X = rows()
    X[7, 1] = X[9, 0] = value
    refused(lambda: prepare_table(X), word, "'x2'", "row 7", "2 of 20 rows")
    named = pd.DataFrame(X, columns=["a", "b", "c"], index=[f"r{i}" for i in range(20)])
    refused(lambda: prepare_table(named), word, "'b'", "row 'r7'")
    refused(lambda: prepare_table(named.astype(object)), word, "'b'")
    weights = np.ones(20)
    weights[[7, 9]] = 0
    refused(lambda: prepare_table(X, sample_weight=weights), word)


def test_none_and_masked_cells_are_missing() -> None:
    refused(lambda: prepare_table([[1.0, 2.0], [None, 4.0], [5.0, 6.0]]), "NaN", "'x1'", "row 1")
    masked = np.ma.array(rows(), mask=np.zeros((20, 3), dtype=bool))
    masked[4, 2] = np.ma.masked
    refused(lambda: prepare_table(masked), "NaN", "'x3'", "row 4")


# --- frames of any library --------------------------------------------------------------------------------------


def frames(columns: dict[str, Any]) -> dict[str, Any]:
    """The same columns as frames of several libraries."""
    arrow = pa.table(columns)
    polars = pl.DataFrame(columns)
    return {
        "pandas": pd.DataFrame(columns), "polars": polars, "lazy polars": polars.lazy(), "Arrow table": arrow,
        "Arrow batch": arrow.to_batches()[0], "narwhals": nw.from_native(polars),
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(frames({"a": [1.0]})))
def test_names_and_order_are_those_of_the_frame(kind: str) -> None:
    a, b, c = rows().T
    table = prepare_table(frames({"x2": a, "x1": b, "x3": c})[kind])
    assert table.feature_names == ("x2", "x1", "x3")
    np.testing.assert_array_equal(table.values, rows())
    assert list(table.row_names) == list(range(20))
    new = frames({"more": ["u", "v"], "x3": [3.0, 6.0], "x1": [2, 5], "x2": [1.0, 4.0]})[kind]
    np.testing.assert_array_equal(check_new_rows(new, table), [[1, 2, 3], [4, 5, 6]])
    refused(lambda: check_new_rows(frames({"x1": [1.0], "x2": [1.0]})[kind], table), "column 'x3'", "x2, x1, x3")


@pytest.mark.parametrize("kind", list(frames({"a": [1.0]})))
def test_faults_in_frames_are_named(kind: str) -> None:
    a = rows()[:, 0]
    refused(lambda: prepare_table(frames({"a": a, "t": ["u"] * 20})[kind]), "'t'", "text ('u' in row 0)")
    refused(lambda: prepare_table(frames({"a": a, "b": [1, None] + [2] * 18})[kind]), "'b'", "NaN", "row 1")
    refused(lambda: prepare_table(frames({"a": a, "b": [[1]] * 20})[kind]), "'b'", "not a number")
    day = datetime(2020, 1, 1)
    refused(lambda: prepare_table(frames({"a": a, "day": [day] * 20})[kind]), "'day'", "datetime64")
    refused(lambda: prepare_table(frames({"a": a, "": a})[kind]), "Column 2 of 2", "empty name")
    table = prepare_table(frames({"a": a, "flag": [True, False] * 10, "price": [Decimal(n) for n in range(20)]})[kind])
    np.testing.assert_array_equal(table.values[3], [a[3], 0.0, 3.0])


def test_arrow_columns_of_one_name() -> None:
    refused(lambda: prepare_table(pa.table([pa.array([1.0, 2.0])] * 2, names=["a", "a"])), "'a'", "rename")


def test_a_lazy_frame_that_cannot_be_computed() -> None:
    lazy = pl.LazyFrame({"a": [1.0]}).select(pl.col("b"))
    refused(lambda: prepare_table(lazy), "lazy", "ColumnNotFoundError")


@pytest.mark.parametrize("kind", [pl.Series, pa.array, lambda w: pd.Series(w, dtype="Int64")])
def test_weights_of_any_library(kind: Any) -> None:
    np.testing.assert_array_equal(prepare_table(rows(), sample_weight=kind(list(range(20)))).weights, np.arange(20))


def test_arrays_do_not_load_narwhals() -> None:
    code = "import sys, numpy as np; from bayesgmm.data.table import prepare_table as p, check_new_rows as c; "
    code += "c([[1.0, 2.0]], p(np.random.default_rng(0).normal(size=(9, 2)))); print('narwhals' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


# --- columns --------------------------------------------------------------------------------------------------


def test_constant_column() -> None:
    X = rows()
    X[:, 1] = 0.1
    refused(lambda: prepare_table(X), "'x2'", "constant", "drop")
    X[3, 1] = 5.0
    prepare_table(X)
    weights = np.ones(20)
    weights[3] = 0
    refused(lambda: prepare_table(X, sample_weight=weights), "'x2'", "constant")


def test_repeated_columns() -> None:
    X = rows()
    refused(lambda: prepare_table(np.column_stack([X, X[:, 1]])), "'x2' and 'x4'", "identical")
    refused(lambda: prepare_table(np.column_stack([X, 32 + 1.8 * X[:, 0]])), "'x1' and 'x4'", "units")
    refused(lambda: prepare_table(np.column_stack([X, -X[:, 2]]), standardize=False), "'x3' and 'x4'", "units")


def test_columns_ruled_by_a_row_far_from_the_others() -> None:
    X = rows()
    X[4, [0, 2]] = 1e12, -3e12
    refused(lambda: prepare_table(X), "'x1' and 'x3'", "rows far from all others", "1e+12 and -3e+12")
    X[:, 2] = 32 + 1.8 * X[:, 0]
    refused(lambda: prepare_table(X), "'x1' and 'x3'", "differ only in their units")
    X[:15, [0, 2]] = 0.0  # most rows on one value
    X[4, [0, 2]] = 1e12, -3e12
    X[15:, 2] = rows()[15:, 2]
    refused(lambda: prepare_table(X), "'x1' and 'x3'", "rows far from all others")


def test_whole_numbers_that_float64_cannot_tell_apart() -> None:
    column = 2**63 - 1 - np.arange(20)
    refused(lambda: prepare_table(pd.DataFrame({"a": column})), "'a'", "less than float64 can tell")
    refused(lambda: prepare_table(pd.DataFrame({"a": column // 8 * 8 + 7})), "'a'", "less than float64 can tell")
    prepare_table(pd.DataFrame({"a": column - column.min()}))


def test_offsets_beside_which_the_spread_is_lost() -> None:
    """At 1e15 float64 goes in steps of an eighth: a mean that is known to a tenth cannot be written down."""
    column = np.random.default_rng(0).normal(size=50)
    prepare_table(pd.DataFrame({"a": column + 1e12}))
    refused(
        lambda: prepare_table(pd.DataFrame({"a": column + 1e15})), "'a'", "steps of 0.125", "subtract their common part"
    )
    prepare_table(pd.DataFrame({"a": 1e3 * column + 1e15}))
    refused(lambda: prepare_table(pd.DataFrame({"a": 1e3 * column - 1e18})), "'a'", "subtract their common part")


@pytest.mark.parametrize("unit", [1e150, 1e-155])
def test_units_beyond_floating_point(unit: float) -> None:
    X = rows()
    X[:, 2] *= unit
    refused(lambda: prepare_table(X), "'x3'", "units")


# --- weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(19), ("(19,)", "(20,)")),
        (np.ones((20, 1)), ("(20, 1)",)),
        (2.0, ("()",)),
        (np.zeros(20), ("zero in every row",)),
        (np.r_[np.ones(19), -1], ("-1", "row 19")),
        (np.r_[np.nan, np.ones(19)], ("nan", "row 0")),
        (np.r_[1, np.inf, np.ones(18)], ("inf", "row 1")),
        (["heavy"] * 20, ("must be a number for each row",)),
        (["1"] * 20, ("must be a number for each row",)),
        (np.full(20, 1j), ("must be a number for each row",)),
        (np.full(20, np.datetime64("2020-01-01")), ("must be a number for each row",)),
        (np.ma.array(np.ones(20), mask=np.arange(20) == 3), ("masked",)),
    ],
)
def test_weights_that_cannot_be_used(weights: Any, words: tuple[str, ...]) -> None:
    refused(lambda: prepare_table(rows(), sample_weight=weights), "sample_weight", *words)


@pytest.mark.parametrize("kind", [list, tuple, pd.Series, np.float32])
def test_weights_of_any_kind(kind: Any) -> None:
    table = prepare_table(rows(), sample_weight=kind(np.arange(20)))
    np.testing.assert_array_equal(table.weights, np.arange(20))
    assert table.weights.dtype == np.float64


# --- new rows -------------------------------------------------------------------------------------------------


@pytest.fixture
def named() -> Table:
    return prepare_table(pd.DataFrame(rows(), columns=["a", "b", "c"]))


def test_new_rows_by_name(named: Table) -> None:
    new = pd.DataFrame({"c": [3.0, 6.0], "label": ["u", "v"], "a": [1, 4], "b": [2.0, 5.0]})
    np.testing.assert_array_equal(check_new_rows(new, named), [[1, 2, 3], [4, 5, 6]])
    refused(lambda: check_new_rows(new[["a", "b"]], named), "column 'c'", "a, b, c")
    refused(lambda: check_new_rows(new[["label"]], named), "columns 'a', 'b', 'c'")


def test_new_rows_by_position(named: Table) -> None:
    np.testing.assert_array_equal(check_new_rows([[1, 2, 3]], named), [[1, 2, 3]])
    message = refused(lambda: check_new_rows(np.ones((5, 2)), named))
    assert re.search(r"X has 2 features, but \w+ is expecting 3 features as input", message)


def test_a_frame_against_a_table_without_names() -> None:
    table = prepare_table(rows())
    new = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "b", "c"])
    np.testing.assert_array_equal(check_new_rows(new, table), [[1, 2, 3]])
    swapped = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["x3", "x2", "x1"])
    np.testing.assert_array_equal(check_new_rows(swapped, table), [[3, 2, 1]])
    refused(lambda: check_new_rows(new[["a", "b"]], table), "X has 2 features")


def test_new_rows_that_cannot_be_used(named: Table) -> None:
    refused(lambda: check_new_rows([[1, np.nan, 3]], named), "'b'", "NaN", "row 0")
    refused(lambda: check_new_rows([[1, 2, np.inf]], named), "'c'", "inf", "row 0")
    refused(lambda: check_new_rows([1, 2, 3], named), "Reshape your data")
    refused(lambda: check_new_rows(np.empty((0, 3)), named), "0 sample(s)")
    refused(lambda: check_new_rows(pd.DataFrame({"a": ["u"], "b": [1], "c": [2]}), named), "'a'", "'u'")


def test_means_and_sds_do_not_depend_on_blocks_of_rows() -> None:
    rng = np.random.default_rng(5)
    rows, weights = rng.normal(3.0, 2.0, (40_000, 3)), rng.uniform(0.1, 2.0, 40_000)
    mean, sd = mean_and_sd(rows, weights)
    expected = np.average(rows, axis=0, weights=weights)
    np.testing.assert_array_equal(mean, expected)
    np.testing.assert_array_equal(sd, np.sqrt(np.average((rows - expected) ** 2, axis=0, weights=weights)))


@pytest.mark.parametrize("standardize", [True, False])
def test_features_are_the_standardized_rows(standardize: bool) -> None:
    table = prepare_table(np.random.default_rng(6).normal(3.0, 2.0, (50, 3)), standardize=standardize)
    out = np.empty((3, 50))
    table.write_features(out)
    np.testing.assert_array_equal(out.T, table.standardized)
    np.testing.assert_array_equal(out.T, (table.values - table.center) / table.scale)


def as_polars(X: NDArray[np.float64]) -> pl.DataFrame:
    return pl.DataFrame({f"c{j}": column for j, column in enumerate(X.T)})


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, as_polars])
def test_a_table_takes_less_than_three_times_the_data(kind: Any) -> None:
    """The copy of the values, the weights, and what the recording steps of one column take."""
    X = kind(np.random.default_rng(7).normal(size=(200_000, 5)))
    prepare_table(X[:100])
    tracemalloc.start()
    prepare_table(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.0 * 8.0 * 1e6
