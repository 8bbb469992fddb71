"""Rows whose class is known: as labels are read, in EM against the moments of the classes, in fits and predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

import bayesgmm as bg
from bayesgmm.data.known_labels import known_components
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.reporting.text import fit_text

IRIS, SPECIES = bg.datasets.load_iris()
OPTIONS = {"random_seed": 1, "progressbar": False, "draws": 500}


@pytest.mark.parametrize(
    ("y", "k", "expected", "classes"),
    [
        ([0, -1, 2, 1], 3, [0, -1, 2, 1], (0, 1, 2)),
        ([2, -1, -1], 3, [2, -1, -1], (0, 1, 2)),  # the third component, whatever the others are
        ([np.nan, 1.0, 0.0], 2, [-1, 1, 0], (0, 1)),
        ([7, 9, -1, 7], 2, [0, 1, -1, 0], (7, 9)),
        (["b", None, "a", np.nan], 2, [1, -1, 0, -1], ("a", "b")),
        (pd.Series(["u", pd.NA, "v"], dtype="string"), 4, [0, -1, 1], ("u", "v")),
        (pd.Categorical(["x", "y", None]), 2, [0, 1, -1], ("x", "y")),
    ],
)
def test_labels_as_they_are_given(y, k, expected, classes) -> None:
    known, found = known_components(y, len(y), k)
    assert known is not None
    assert known.tolist() == expected
    assert found == classes


def test_no_labels() -> None:
    assert known_components(None, 3, 2) == (None, ())
    assert known_components([-1, None, np.nan], 3, 2) == (None, ())


@pytest.mark.parametrize(
    ("y", "match"),
    [([0, 1], "2 labels for 3 rows"), ([0, 1, 2, -1], "3 classes, and n_components=2"), ([0.5, 1.0, 0.0], "fractions"),
     (5, "a label for each row"), ([[0], [1], [0]], "one label a row")],
)  # fmt: skip
def test_labels_that_cannot_be_used(y, match: str) -> None:
    with pytest.raises(bg.InputError, match=match):
        known_components(y, 4 if isinstance(y, list) and len(y) == 4 else 3, 2)


def test_labels_known_throughout_are_the_moments_of_the_classes() -> None:
    table = bg.prepare_table(IRIS, y=SPECIES, n_components=3)
    em, _ = fit_em_candidates(table, 3, structure="full", n_init=3, random_seed=1)
    for k, name in enumerate(sorted(set(SPECIES))):
        rows = IRIS[np.asarray(SPECIES) == name].to_numpy()
        np.testing.assert_allclose(em.params.means[k], rows.mean(axis=0), rtol=1e-8)
        np.testing.assert_allclose(em.params.covariances[k], np.cov(rows.T, bias=True), rtol=1e-6)
        assert em.params.weights[k] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("structure", "other"), [("tied", LinearDiscriminantAnalysis()), ("full", QuadraticDiscriminantAnalysis())]
)
def test_discriminant_analysis(structure: str, other) -> None:
    train = np.arange(150) % 3 > 0
    fit = bg.BayesianGMM(3, covariance_type=structure, **OPTIONS).fit(IRIS[train], np.asarray(SPECIES)[train])
    assert fit.diagnose().ok
    assert fit.table_.classes == ("setosa", "versicolor", "virginica")
    ours = np.array(fit.table_.classes)[fit.predict(IRIS[~train])]
    theirs = other.fit(IRIS[train].to_numpy(), np.asarray(SPECIES)[train]).predict(IRIS[~train].to_numpy())
    assert (ours == theirs).mean() >= 0.96


def test_known_rows_keep_their_component_everywhere(tmp_path: Path) -> None:
    rows = IRIS[50:].reset_index(drop=True)
    truth = np.repeat([1, 0], 50)
    y = np.where(np.arange(100) % 4 == 0, truth, -1)
    fit = bg.BayesianGMM(2, **OPTIONS).fit(rows, y)
    told = y >= 0
    assert (fit.labels_[told] == y[told]).all()
    found = fit.assignment()
    assert (found.probabilities.to_numpy()[told, y[told]] == 1.0).all()
    together = fit.coclustering()
    assert together[np.ix_(told, told)] == pytest.approx((y[told, None] == y[told]).astype(float), abs=1e-12)
    assert (fit.labels_ == truth).mean() > 0.9
    fit.save(tmp_path / "known.nc")
    again = bg.load(tmp_path / "known.nc")
    np.testing.assert_array_equal(again.table_.known, y)
    np.testing.assert_array_equal(again.labels_, fit.labels_)
    assert again.table_.classes == (0, 1)
    with pytest.raises(bg.InputError, match="Evidence counts all ways"):
        fit.log_evidence()
    # The density of a known row is that of the row and its class: predictions of new rows know no class.
    assert (
        fit.loo(force=True, repair=False).elpd
        < bg.BayesianGMM(2, **OPTIONS).fit(rows).loo(force=True, repair=False).elpd
    )


def test_a_class_may_have_more_components_beside_it() -> None:
    y = np.where(np.asarray(SPECIES) == "setosa", "setosa", None)
    em, _ = fit_em_candidates(bg.prepare_table(IRIS, y=y, n_components=3), 3, structure="full", random_seed=1)
    assert em.params.means[0, 2] < 2.0  # setosa is the first component, by its petals
    assert (em.params.means[1:, 2] > 3.0).all()
    assert (np.diff(em.log_likelihood_trace) >= 0.0).all()


def test_more_classes_than_components() -> None:
    some = np.where(np.arange(150) % 2 == 0, np.asarray(SPECIES, dtype=object), None)
    with pytest.raises(bg.InputError, match="3 classes, and n_components=2"):
        bg.BayesianGMM(2).fit(IRIS, some)
    with pytest.warns(UserWarning, match="3 classes, more than n_components=2, and so is not used"):
        assert bg.prepare_table(IRIS, y=SPECIES, n_components=2).known is None
    table = bg.prepare_table(IRIS, y=SPECIES)
    for call in (lambda: bg.BayesianGMM(2).fit(table), lambda: bg.fit_em(table, 2)):
        with pytest.raises(bg.InputError, match="3 classes, and n_components=2"):
            call()


def test_cells_may_be_missing_beside_known_labels() -> None:
    rows = IRIS.mask(np.random.default_rng(0).random(IRIS.shape) < 0.1)
    em, _ = fit_em_candidates(bg.prepare_table(rows, y=SPECIES, n_components=3), 3, structure="full", random_seed=1)
    for k, name in enumerate(sorted(set(SPECIES))):
        one = bg.fit_em(rows[np.asarray(SPECIES) == name], 1)
        np.testing.assert_allclose(em.params.means[k], one.params.means[0], rtol=1e-4)
        np.testing.assert_allclose(em.params.covariances[k], one.params.covariances[0], rtol=1e-2, atol=1e-4)


def test_gaps_of_known_rows_are_filled_from_their_component() -> None:
    """A bird between two classes in the cell that it has; its class tells the other."""
    rng = np.random.default_rng(0)
    z = np.repeat([0, 1], 60)
    X = np.column_stack([rng.normal(size=120), rng.normal(size=120) * 0.3 + 6.0 * z])
    X[[3, 63], 1] = np.nan
    fit = bg.BayesianGMM(2, **OPTIONS).fit(X, np.where(np.arange(120) % 3 == 0, z, -1))
    cells = fit.missing_cells()
    assert cells["mean"].to_numpy() == pytest.approx([0.0, 6.0], abs=0.3)
    assert (cells["sd"] < 0.5).all()
    tables = fit.impute(draws=100)
    assert tables[:, 3, 1].max() < 3.0 < tables[:, 63, 1].min()
    text = fit_text(fit, "birds.csv", None)
    assert (
        "The class of 40 of 120 observations is known: component 0 is 0 (20 observations), component 1 is 1 (20 obs"
        in text
    )


def test_what_takes_no_known_labels_says_so() -> None:
    for call in (
        lambda: bg.BayesianGMM(3, sampler="pymc").fit(IRIS, SPECIES),
        lambda: bg.build_model(bg.prepare_table(IRIS, y=SPECIES), 3),
        lambda: bg.compare_components(bg.prepare_table(IRIS, y=SPECIES), [3]),
        lambda: bg.prepare_table(IRIS, y=np.zeros(150)),
    ):
        with pytest.raises(bg.InputError, match=r"known labels|give n_components"):
            call()
