"""Warnings are told of the line that called the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg

rows = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])


def small() -> bg.BayesianGMM:
    return bg.BayesianGMM(1, inference="laplace", draws=50, chains=1, random_seed=1, progressbar=False)


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    with pytest.warns(bg.NotConvergedWarning):
        return small().fit(rows)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "assignment"])
def test_of_prediction(fit: bg.BayesianGMM, method: str) -> None:
    with pytest.warns(UserWarning, match="feature names") as caught:
        getattr(fit, method)(rows.to_numpy())
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("call", [lambda: small().fit(rows), lambda: small().fit_predict(rows)])
def test_of_fits(call: Callable[[], Any]) -> None:
    with pytest.warns(bg.NotConvergedWarning) as caught:
        call()
    assert [w.filename for w in caught] == [__file__]
