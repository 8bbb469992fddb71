"""Missing cells from the posterior, against conditional normals computed a draw at a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.posterior.impute import expected_rows

OPTIONS = {"random_seed": 1, "progressbar": False, "draws": 500, "chains": 2}


@cache
def gapped() -> pd.DataFrame:
    X = bg.datasets.load_faithful()
    X = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    X.iloc[3] = np.nan
    return X


@cache
def fit() -> bg.BayesianGMM:
    return bg.BayesianGMM(2, **OPTIONS).fit(gapped())


def by_hand(row: np.ndarray, j: int) -> tuple[float, float]:
    """Mean and sd of cell j of a row of two columns, from every draw."""
    posterior, other = fit().posterior_["posterior"].to_dataset(), 1 - j
    w, m, c = (posterior[n].values.reshape(1000, *posterior[n].shape[2:]) for n in ("weights", "means", "covariances"))
    r, mean, variance = w.copy(), m[:, :, j].copy(), c[:, :, j, j].copy()
    if not np.isnan(row[other]):
        off, v = row[other] - m[:, :, other], c[:, :, other, other]
        r *= np.exp(-0.5 * off**2 / v) / np.sqrt(v)
        mean += c[:, :, j, other] / v * off
        variance -= c[:, :, j, other] ** 2 / v
    r /= r.sum(axis=1, keepdims=True)
    expected = (r * mean).sum(axis=1).mean()
    return expected, np.sqrt((r * (variance + mean**2)).sum(axis=1).mean() - expected**2)


def test_mean_and_sd_of_every_cell() -> None:
    X, table = gapped().to_numpy(), fit().missing_cells()
    assert len(table) == np.isnan(X).sum()
    assert table.index.names == ["row", "column"]
    for (row, column), cell in table.iterrows():
        expected = by_hand(X[row], list(gapped().columns).index(column))
        np.testing.assert_allclose(cell[["mean", "sd"]], expected, rtol=1e-8)
        assert cell["lower"] < cell["mean"] < cell["upper"]


def test_completed_tables_agree_with_the_table_of_cells() -> None:
    X, table = gapped().to_numpy(), fit().missing_cells()
    completed, gaps = fit().impute(draws=1000), np.isnan(X)
    assert completed.shape == (1000, *X.shape)
    assert (completed[:, ~gaps] == X[~gaps]).all()
    z = (completed[:, gaps].mean(axis=0) - table["mean"]) / (table["sd"] / np.sqrt(1000))
    assert np.abs(z).max() < 4.5
    inside = (completed[:, gaps] >= table["lower"].to_numpy()) & (completed[:, gaps] <= table["upper"].to_numpy())
    assert inside.mean() == pytest.approx(0.95, abs=0.01)
    np.testing.assert_array_equal(fit().impute(draws=3, random_seed=5), fit().impute(draws=3, random_seed=5))
    np.testing.assert_array_equal(expected_rows(fit().posterior_)[gaps], table["mean"])


def test_a_table_without_gaps_has_nothing_to_fill_in() -> None:
    X = bg.datasets.load_faithful()[::4]
    complete = bg.BayesianGMM(1, **OPTIONS).fit(X)
    assert complete.missing_cells().empty
    assert (complete.impute(draws=2) == X.to_numpy()).all()


def test_saved_and_loaded(tmp_path: Path) -> None:
    fit().save(tmp_path / "gaps.nc")
    loaded = bg.load(tmp_path / "gaps.nc")
    np.testing.assert_array_equal(loaded.impute(draws=3), fit().impute(draws=3))
    pd.testing.assert_frame_equal(loaded.summary(), fit().summary())


def test_new_rows_may_lack_cells() -> None:
    rows = pd.DataFrame({"waiting": [55.0, np.nan, np.nan], "eruptions": [np.nan, 4.5, np.nan]})
    np.testing.assert_allclose(fit().predict_proba(rows)[2], fit().weights_, rtol=1e-10)
    assert fit().predict(rows)[:2].tolist() == [0, 1]
    one = fit().marginal("waiting").log_density(np.array([[55.0]]))
    np.testing.assert_allclose(fit().score_samples(rows), [one[0], fit().score_samples(rows)[1], 0.0], atol=1e-12)


def test_a_row_without_cells_is_as_usual_as_can_be() -> None:
    table = fit().outlier_score()
    assert table["tail_probability"][3] == 1.0
    assert table["score"][3] == pytest.approx(0.0, abs=1e-12)
    assert table["rank"][3] == table["rank"].max()


def test_gaps_can_be_refused() -> None:
    with pytest.raises(bg.InputError, match="holds NaN"):
        bg.BayesianGMM(2, missing="error").fit(gapped())
    strict = bg.BayesianGMM(1, missing="error", **OPTIONS).fit(bg.datasets.load_faithful()[::4])
    with pytest.raises(bg.InputError, match="holds NaN"):
        strict.predict(pd.DataFrame({"eruptions": [np.nan], "waiting": [50.0]}))


@pytest.mark.slow
@pytest.mark.parametrize("at_random", [False, True])
def test_intervals_of_cells_cover(at_random: bool) -> None:
    """90 % intervals of cells that are missing completely at random, and at random: by the value beside them."""
    rng, hits, cells = np.random.default_rng(1), 0, 0
    for seed in range(40):
        z = rng.random(150) < 0.4
        noise = rng.multivariate_normal([0.0, 0.0, 0.0], [[1.0, 0.7, 0.0], [0.7, 1.0, 0.3], [0.0, 0.3, 1.0]], 150)
        X = noise + np.where(z[:, None], [4.0, 0.0, 2.0], 0.0)
        gaps = rng.random(X.shape) < 0.2
        if at_random:  # the second column is observed throughout; where it is large the others often lack
            gaps[:, 1] = False
            gaps[:, [0, 2]] = rng.random((150, 2)) < np.where(X[:, 1:2] > 0.5, 0.5, 0.05)
        found = bg.BayesianGMM(2, inference="auto", random_seed=seed, progressbar=False).fit(np.where(gaps, np.nan, X))
        table = found.missing_cells(ci_prob=0.9)
        truth = X[gaps]
        hits += int(((table["lower"] <= truth) & (truth <= table["upper"])).sum())
        cells += len(truth)
    assert cells > 1500
    assert hits / cells == pytest.approx(0.9, abs=0.02)
