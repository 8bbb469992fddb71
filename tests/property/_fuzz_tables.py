"""Tables of every sort for the fuzz tests: what is odd about them, what holds them, and how their rows are weighted.

A `TableRecipe` is a few plain values that hypothesis draws and shrinks; the same recipe gives the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st

__all__ = ["CONTAINERS", "DTYPES", "KINDS", "WEIGHTS", "TableRecipe", "make_table", "make_weights", "mostly", "tables"]

Array = np.ndarray
Rng = np.random.Generator


@dataclass(frozen=True)
class TableRecipe:
    """What a table is made from.

    Attributes
    ----------
    kinds : tuple of str
        Of `KINDS`, applied one after the other.
    n_rows, n_columns : int
    container, dtype : str
        Of `CONTAINERS` and `DTYPES`.
    typed : {"all", "last"}
        The columns that get the dtype; the others are float64.
    weights : str
        Of `WEIGHTS`.
    seed : int
    """

    kinds: tuple[str, ...]
    n_rows: int
    n_columns: int
    container: str
    dtype: str
    typed: str
    weights: str
    seed: int


def _copied_rows(rows: Array, rng: Rng) -> Array:
    return rows[rng.integers(0, max(1, len(rows) // int(rng.integers(2, 6))), len(rows))]


def _few_distinct(rows: Array, rng: Rng) -> Array:
    return rows[rng.integers(0, min(len(rows), int(rng.integers(2, 7))), len(rows))]


def _rounded(rows: Array, rng: Rng) -> Array:
    step = rng.choice([1.0, 0.5, 0.1, 0.01])
    return np.round(rows / step) * step


def _counts(rows: Array, rng: Rng) -> Array:
    return rng.poisson(rng.choice([0.3, 2.0, 30.0]), rows.shape).astype(float)


def _two_values(rows: Array, rng: Rng) -> Array:
    rows[:, 0] = rows[:, 0] > np.quantile(rows[:, 0], rng.choice([0.1, 0.5, 0.95]))
    return rows


def _constant(rows: Array, rng: Rng) -> Array:
    rows[:, -1] = rng.choice([0.0, 1.0, -1e-300, 1e15, 0.1])
    return rows


def _spike(rows: Array, rng: Rng) -> Array:
    rows[rng.random(len(rows)) < rng.choice([0.1, 0.3, 0.7, 0.95]), 0] = rng.choice([0.0, -999.0, 1e6])
    return rows


def _far(rows: Array, rng: Rng) -> Array:
    rows[int(rng.integers(len(rows))), 0] = rng.choice([-1.0, 1.0]) * 10.0 ** rng.choice([2, 4, 6, 9, 20, 100, 200])
    return rows


def _collinear(rows: Array, rng: Rng) -> Array:
    rows[:, -1] = rows[:, :-1] @ rng.choice([1.0, -2.0, 1e-3], rows.shape[1] - 1) if rows.shape[1] > 1 else 1.0
    return rows


def _nearly_collinear(rows: Array, rng: Rng) -> Array:
    return _collinear(rows, rng) + 10.0 ** rng.integers(-14, -1) * rng.normal(size=rows.shape)


def _offset(rows: Array, rng: Rng) -> Array:
    return rows + 10.0 ** rng.choice([2, 5, 8, 12, 14, 15, 16, 18], rows.shape[1])


def _scaled(rows: Array, rng: Rng) -> Array:
    powers = [-300, -160, -139, -100, -30, -8, 8, 30, 100, 139, 160, 300]
    return rows * 10.0 ** rng.choice(powers, rows.shape[1] if rng.random() < 0.5 else 1)


def _missing(rows: Array, rng: Rng) -> Array:
    rows.flat[rng.integers(0, rows.size, int(rng.integers(1, 4)))] = rng.choice([np.nan, np.inf, -np.inf])
    return rows


def _heavy_tails(rows: Array, rng: Rng) -> Array:
    rows[:, 0] = rng.standard_cauchy(len(rows)) if rng.random() < 0.5 else np.exp(3.0 * rng.normal(size=len(rows)))
    return rows


def _regular(rows: Array, rng: Rng) -> Array:
    rows[:, 0] = np.arange(len(rows)) if rng.random() < 0.5 else 1.5 ** np.arange(len(rows))
    return rows


KINDS: dict[str, Callable[[Array, Rng], Array]] = {
    "normal clusters": lambda rows, rng: rows,
    "heavy tails": _heavy_tails,
    "rounded values": _rounded,
    "counts": _counts,
    "a column of two values": _two_values,
    "copied rows": _copied_rows,
    "few distinct rows": _few_distinct,
    "one value in many rows": _spike,
    "one far value": _far,
    "arithmetic or geometric sequence": _regular,
    "nearly collinear columns": _nearly_collinear,
    "large offset": _offset,
    "constant column": _constant,
    "collinear columns": _collinear,
    "extreme units": _scaled,
    "missing or infinite cells": _missing,
}

CONTAINERS = "numpy", "list", "pandas", "polars", "polars lazy", "arrow"
NUMBERS = (
    "float64", "float32", "float16", "int8", "int16", "int32", "int64", "uint8", "uint64", "bool", "object", "Decimal",
    "Fraction", "nullable",
)  # fmt: skip
NO_NUMBERS = "datetime", "text", "digits as text", "category", "complex"
DTYPES = *NUMBERS, *NO_NUMBERS

WEIGHTS: dict[str, Callable[[int, Rng], Any]] = {
    "none": lambda n, rng: None,
    "whole numbers": lambda n, rng: rng.integers(1, 4, n),
    "some zero": lambda n, rng: rng.integers(0, 3, n),
    "most zero": lambda n, rng: (rng.random(n) < 0.15).astype(float),
    "fractions": lambda n, rng: rng.random(n),
    "of very different size": lambda n, rng: 10.0 ** rng.uniform(-12, 6, n),
    "tiny": lambda n, rng: np.full(n, 10.0 ** rng.choice([-300, -20, -6])),
    "huge": lambda n, rng: np.full(n, 10.0 ** rng.choice([4, 9, 20, 300])),
    "all zero": lambda n, rng: np.zeros(n),
    "one negative": lambda n, rng: np.append(np.ones(n), -1.0)[1:],
    "one missing": lambda n, rng: np.append(np.ones(n), np.nan)[1:],
    "wrong length": lambda n, rng: np.ones(n + 1),
    "text": lambda n, rng: ["1"] * n,
}


def mostly[T](usual: st.SearchStrategy[T], rare: st.SearchStrategy[T], percent: int) -> st.SearchStrategy[T]:
    """The rare strategy with about so many percent; `st.one_of` gives both the same share, however often named."""
    return st.integers(1, 100).flatmap(lambda i: rare if i > 100 - percent else usual)


def tables() -> st.SearchStrategy[TableRecipe]:
    """Recipes: mostly one oddity and plain numbers, so that not everything is refused for the same reason."""
    kinds = mostly(st.sampled_from(tuple(KINDS)[:-4]), st.sampled_from(tuple(KINDS)), 45)
    return st.builds(
        TableRecipe,
        kinds=mostly(st.tuples(kinds), st.tuples(kinds, kinds), 25),
        n_rows=mostly(st.integers(12, 60), st.integers(0, 12), 10),
        n_columns=st.integers(1, 5),
        container=st.sampled_from(CONTAINERS),
        dtype=mostly(st.just("float64"), mostly(st.sampled_from(NUMBERS), st.sampled_from(NO_NUMBERS), 15), 40),
        typed=st.sampled_from(("all", "last")),
        weights=mostly(st.just("none"), st.sampled_from(tuple(WEIGHTS)), 25),
        seed=st.integers(0, 2**31 - 1),
    )


def make_table(recipe: TableRecipe) -> Any:
    """The table of a recipe, in its container."""
    rng = np.random.default_rng(recipe.seed)
    n, d = recipe.n_rows, recipe.n_columns
    rows = rng.normal(size=(n, d)) * rng.choice([1.0, 0.3], d) + 5.0 * rng.integers(0, 3, (n, 1))
    if n:
        with np.errstate(all="ignore"):
            for kind in recipe.kinds:
                rows = KINDS[kind](np.array(rows), rng)
    typed = range(d) if recipe.typed == "all" else [d - 1]
    columns = [_typed(rows[:, j], recipe.dtype if j in typed else "float64") for j in range(d)]
    try:
        return _contained(columns, recipe.container)
    except Exception:  # what polars or Arrow has no type for
        return _contained(columns, "pandas")


def make_weights(recipe: TableRecipe) -> Any:
    """The row weights of a recipe."""
    return WEIGHTS[recipe.weights](recipe.n_rows, np.random.default_rng(recipe.seed + 1))


def _typed(column: Array, dtype: str) -> Any:
    """A column (N,) of another type, as near to its values as that type can be."""
    if dtype in ("float64", "float32", "float16", "complex"):
        with np.errstate(all="ignore"):
            return column.astype(dtype)
    if dtype == "bool":
        return column > 1.0
    if dtype.startswith(("int", "uint")):
        limits = np.iinfo(dtype)
        whole = [0 if np.isnan(x) else int(np.clip(np.rint(x), -1e30, 1e30)) for x in column]
        return np.array([min(max(x, limits.min), limits.max) for x in whole], dtype=dtype)
    if dtype == "datetime":
        return np.datetime64("2020-01-01") + np.nan_to_num(np.clip(column, -1e4, 1e4)).astype("timedelta64[D]")
    if dtype == "nullable":
        return pd.array([None if np.isnan(x) else float(x) for x in column], dtype="Float64")
    if dtype == "category":
        return pd.Categorical(["low" if x < 1.0 else "high" for x in column])
    exact = {
        "object": float, "text": lambda x: "low" if x < 1.0 else "high", "digits as text": repr, "Decimal": Decimal,
        "Fraction": lambda x: Fraction(x) if np.isfinite(x) else x,
    }[dtype]  # fmt: skip
    out = np.empty(len(column), dtype=object)
    out[:] = [exact(float(x)) for x in column]
    return out


def _contained(columns: list[Any], container: str) -> Any:
    named = {f"c{j}": column for j, column in enumerate(columns)}
    if container in ("numpy", "list"):
        plain = [np.asarray(column) for column in columns]
        array = plain[0][:, None] if len(plain) == 1 else np.stack(plain, axis=1) if _alike(plain) else _objects(plain)
        return array.tolist() if container == "list" else array
    if container == "pandas":
        return pd.DataFrame(named, index=pd.Index([f"row {i}" for i in range(len(columns[0]))]))
    plain_columns = {name: column if isinstance(column, np.ndarray) and column.dtype != object else list(column)
                     for name, column in named.items()}  # fmt: skip
    if container == "arrow":
        return pa.table(plain_columns)
    frame = pl.DataFrame(plain_columns)
    return frame.lazy() if container == "polars lazy" else frame


def _alike(columns: list[Array]) -> bool:
    return len({column.dtype for column in columns}) == 1


def _objects(columns: list[Array]) -> Array:
    out = np.empty((len(columns[0]), len(columns)), dtype=object)
    for j, column in enumerate(columns):
        out[:, j] = column.tolist()
    return out
