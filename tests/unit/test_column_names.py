"""A column that is not there is asked back, wherever one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.arguments import lacking, like, no_column

NAMES = ["Car ID", "Weight (lb)", "Power (hp)", "Origin"]
TABLE = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["Weight (lb)", "Power (hp)"])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("weight", ["Weight (lb)"]), ("Weight (lbs)", ["Weight (lb)"]), ("Orgin", ["Origin"]), ("ORIGIN", ["Origin"]),
        ("origin_of_car", ["Origin"]), ("price", []), ("", []), ("o", []),
    ],
)  # fmt: skip
def test_what_may_be_meant(given: str, meant: list[str]) -> None:
    assert like(given, NAMES) == meant


def test_of_many_columns_some_are_listed() -> None:
    said = no_column(["v7x"], [f"v{j}" for j in range(200)])
    assert "did you mean v7 or" in said and said.endswith("v29 and 170 more.")


def test_columns_that_lack_and_what_they_may_be_called() -> None:
    assert lacking(["a"], ["a", "b"], ["b", 3]) == "the column 'a': give the columns a, b."
    assert "'weight' is one of them, rename it" in lacking(["Power (hp)", "Weight (lb)"], NAMES[1:3], ["weight"])


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    options: dict[str, Any] = {"inference": "laplace", "draws": 100, "random_seed": 1, "progressbar": False}
    with pytest.warns(bg.NotConvergedWarning):
        return bg.BayesianGMM(1, **options).fit(TABLE)


@pytest.mark.parametrize(
    "call",
    [
        lambda fit, path: bg.read_csv(path, columns=["weight"]),
        lambda fit, path: bg.read_csv(path, label="weight"),
        lambda fit, path: bg.read_csv(path, exclude=["weight"]),
        lambda fit, path: bg.read_csv(path, missing=["weight=-9"]),
        lambda fit, path: fit.conditional({"weight": 1.0}),
        lambda fit, path: fit.conditional({"Power (hp)": 1.0}, features=["weight"]),
        lambda fit, path: bg.plot_clusters(fit, features=["weight"]),
        lambda fit, path: bg.fit_em(bg.Batches(path, columns=["weight"]), 1),
        lambda fit, path: bg.fit_em(bg.Batches(path, weights="weight"), 1),
        lambda fit, path: bg.BayesianGMM(1, prior=bg.MixturePrior(resolution={"weight": 1.0})).fit(TABLE),
    ],
)
def test_everywhere(call: Callable[[bg.BayesianGMM, Path], Any], fit: bg.BayesianGMM, tmp_path: Path) -> None:
    path = tmp_path / "cars.csv"
    TABLE.to_csv(path, index=False)
    with pytest.raises(bg.InputError, match=r"no column 'weight' \(did you mean 'Weight \(lb\)'\?\); the columns are"):
        call(fit, path)


def test_new_rows_whose_column_is_called_otherwise(fit: bg.BayesianGMM) -> None:
    with pytest.raises(bg.InputError, match=r"lack the column 'Power .hp.': .*; if 'power' is one of them, rename it"):
        fit.predict(TABLE.rename(columns={"Power (hp)": "power"}))


def test_a_cell_that_holds_an_equals_sign_may_stand_for_no_value(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n2,x=9\n3,4\n5,7\n6,1\n")
    frame, _ = bg.read_csv(path, missing=["x=9"])
    assert frame["b"].isna().tolist() == [False, True, False, False, False]
