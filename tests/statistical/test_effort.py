"""Effort saved does not change the answer: twelve tables, compared with default effort and with full effort."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import bayesgmm as bg

DATA = Path(__file__).parents[2] / "benchmarks" / "data"


def labelled(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"{name}.csv").iloc[:, 1:]


def blobs(means: list[list[float]], sd: float, n: int, p: list[float] | None = None) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.array(means)[rng.choice(len(means), n, p=p)] + sd * rng.standard_normal((n, len(means[0])))


def components(rows: np.ndarray, n: int) -> np.ndarray:
    return PCA(n, random_state=0).fit_transform(StandardScaler().fit_transform(rows))


TABLES: dict[str, Callable[[], object]] = {
    "faithful": bg.datasets.load_faithful,
    "galaxies": bg.datasets.load_galaxies,
    "iris": lambda: bg.datasets.load_iris()[0],
    "penguins": lambda: labelled("penguins"),
    "thyroid": lambda: labelled("thyroid"),
    "diabetes": lambda: labelled("diabetes"),
    "wdbc3": lambda: labelled("wdbc3"),
    "wine, 3 PCs": lambda: components(load_wine().data, 3),
    "breast cancer, 2 PCs": lambda: components(load_breast_cancer().data, 2),
    "one cluster": lambda: blobs([[0.0, 0.0]], 1.0, 200),
    "two of 95 and 5 %": lambda: blobs([[0.0, 0.0], [4.0, 4.0]], 1.0, 300, [0.95, 0.05]),
    "three that overlap": lambda: blobs([[-1.5, 0.0], [1.5, 0.0], [0.0, 2.0]], 1.0, 300),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TABLES))
def test_default_and_full_effort_recommend_the_same(name: str) -> None:
    rows = TABLES[name]()
    found = {
        effort: bg.compare_components(rows, range(1, 6), effort=effort, random_seed=1, progressbar=False)
        for effort in ("default", "full")
    }
    saved, full = found["default"], found["full"]
    assert saved.recommendation.label == full.recommendation.label, (str(saved), str(full))
    assert saved.recommendation.n_clusters == full.recommendation.n_clusters, (str(saved), str(full))
    for k, candidate in saved.candidates.items():
        other = full.candidates[k]
        if candidate.rough and other.converged and candidate.loo is not None and other.loo is not None:
            # An error from four chains has three degrees of freedom: 12.9 is a t quantile, 0.9995.
            error = np.hypot(candidate.elpd_mcse, other.elpd_mcse)
            assert abs(candidate.loo.elpd - other.loo.elpd) < 12.9 * error, (k, candidate.loo.elpd, other.loo.elpd)
