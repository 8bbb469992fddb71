"""Weights that are not numbers of copies: of a survey, in a column of a file, fractions, and very large ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.clustering.label_counts import copies_of, count_labels
from bayesgmm.clustering.partition.cells import Units
from bayesgmm.clustering.silhouette import mean_silhouette

OPTIONS = dict(inference="laplace", draws=600, chains=2, random_seed=1, progressbar=False)
QUICK = ["--inference", "laplace", "--draws", "600", "--chains", "2"]


def rows(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(n, 2)) + 5.0 * (np.arange(n) % 2)[:, None], columns=["a", "b"])


@pytest.fixture(scope="module")
def survey() -> bg.BayesianGMM:
    weights = np.random.default_rng(1).uniform(10.0, 500.0, 60)
    return bg.BayesianGMM(2, weight_type="survey", **OPTIONS).fit(rows(), sample_weight=weights)


# --- survey weights


def test_survey_weights_sum_to_the_effective_sample_size(survey: bg.BayesianGMM) -> None:
    given = np.random.default_rng(1).uniform(10.0, 500.0, 60)
    weights = survey.table_.weights
    assert weights.sum() == pytest.approx(given.sum() ** 2 / (given**2).sum()) and weights.sum() < 60.0
    np.testing.assert_allclose(weights / weights[0], given / given[0])
    again = bg.prepare_table(rows(), sample_weight=1e6 * given, weight_type="survey")
    np.testing.assert_allclose(again.weights, weights)
    assert bg.prepare_table(rows(), weight_type="survey").weights.tolist() == [1.0] * 60


def test_that_intervals_are_approximate_is_said(survey: bg.BayesianGMM, tmp_path: Path) -> None:
    said = f"the 60 observations count as {survey.table_.weights.sum():,.1f} (Kish's effective sample size)"
    assert said in survey.diagnose().verdict and "intervals are approximate" in survey.diagnose().verdict
    page = bg.report(survey, tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("intervals are approximate") >= 2
    plain = bg.BayesianGMM(1, **OPTIONS).fit(rows())
    assert "Survey" not in plain.diagnose().verdict
    comparison = bg.compare_components(
        rows(), 1, sample_weight=np.linspace(1.0, 9.0, 60), weight_type="survey", **OPTIONS
    )
    assert "intervals are approximate" in str(comparison)


def test_the_type_of_weights_is_saved(survey: bg.BayesianGMM, tmp_path: Path) -> None:
    survey.save(tmp_path / "fit.nc")
    loaded = bg.load(tmp_path / "fit.nc")
    assert loaded.table_.weight_type == loaded.weight_type == "survey"
    assert loaded.diagnose().verdict == survey.diagnose().verdict


# --- the command line


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    from bayesgmm.cli import main

    monkeypatch.setattr(sys, "argv", ["bayesgmm", *arguments])
    code = 0
    try:
        main()
    except SystemExit as error:
        code = int(error.code or 0)
    return code, *capsys.readouterr()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    table = rows()
    table["n"] = np.arange(60) % 4
    table["kind"] = np.where(np.arange(60) % 2, "x", "y")
    table.to_csv(tmp_path / "data.csv", index=False)
    return tmp_path / "data.csv"


def test_a_column_of_weights_is_not_fitted(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(file)
    table.loc[table.index.repeat(table["n"])].drop(columns="n").to_csv(tmp_path / "copies.csv", index=False)
    saved = tmp_path / "fit.nc"
    code, out, err = run(
        monkeypatch, capsys, "fit", str(file), "-k", "2", "--weights", "n", "--label", "kind", "--save", str(saved),
        "--assignments", str(tmp_path / "who.csv"), "--json", *QUICK,
    )  # fmt: skip
    assert code in (0, 3) and "column 'n' holds the weights of the rows and is not fitted" in err
    record = json.loads(out)
    assert record["features"] == ["a", "b"]
    fit = bg.load(saved)
    assert fit.table_.weights.tolist() == table["n"].tolist()
    assert pd.read_csv(tmp_path / "who.csv")["weight"].tolist() == table["n"].tolist()
    _, out, _ = run(
        monkeypatch, capsys, "fit", str(tmp_path / "copies.csv"), "-k", "2", "--label", "kind", "--json", *QUICK
    )
    copied = json.loads(out)
    assert record["agreement"] == copied["agreement"]
    assert record["em"]["bic"] == pytest.approx(copied["em"]["bic"], abs=1e-2)


def test_compare_takes_survey_weights(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, err = run(
        monkeypatch, capsys, "compare", str(file), "-k", "1", "--columns", "a,b", "--survey-weights", "n", *QUICK
    )
    assert "Survey weights: the 45 observations count as 38.6" in out and "is not fitted" in err
    assert "Observations are weighted" in out


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (["--weights", "n"], {"n": -1}, "column 'n' hold a negative number ('-1' on line 7)"),
        (["--weights", "n"], {"n": ""}, "column 'n' hold no value ('' on line 7)"),
        (["--weights", "kind"], {}, "column 'kind' hold text ('y' on line 2)"),
        (["--weights", "nothing"], {}, "no column 'nothing'"),
        (["--weights", "n", "--survey-weights", "n"], {}, "both given"),
    ],
)
def test_bad_weights_are_one_line(
    file: Path, options: list[str], change: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    table = pd.read_csv(file).astype(object)
    for name, value in change.items():
        table.loc[5, name] = value
    table.to_csv(file, index=False)
    code, out, err = run(monkeypatch, capsys, "fit", str(file), "-k", "2", *options)
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1 and message in err


# --- labels of copies


def test_copies_have_labels_of_their_own() -> None:
    """Numbers of copies are multinomial for few copies and many, and the fraction counts for itself."""
    weights, p = np.array([3.0, 2.5, 400.0, 0.25]), np.array([0.2, 0.5, 0.3])
    r = np.broadcast_to(p, (4000, 4, 3)).copy()
    counted = count_labels(r, *copies_of(weights), np.random.default_rng(0))
    np.testing.assert_allclose(counted.sum(axis=2), np.broadcast_to(weights, (4000, 4)))
    squares = np.array([3.0, 2.25, 400.0, 0.0625])  # sums of squared copies
    for i in range(4):
        variance = squares[i] * p * (1.0 - p)
        np.testing.assert_array_less(
            np.abs(counted[:, i].mean(axis=0) - weights[i] * p), 4.5 * np.sqrt(variance / 4000)
        )
        np.testing.assert_allclose(counted[:, i].var(axis=0), variance, rtol=0.15)


def test_a_row_without_weight_has_no_score_to_repair() -> None:
    fit = bg.BayesianGMM(1, **OPTIONS).fit(rows(), sample_weight=np.arange(60) % 4)
    loo, without = fit.loo(), np.arange(60) % 4 == 0
    for values in (loo.elpd_i, loo.mcse_i, loo.p_i, loo.pareto_k):
        assert (values[without] == 0.0).all() and (values[~without] != 0.0).all()
    assert (loo.method_i[without] == "PSIS").all() and loo.ok


def test_units_keep_proportions() -> None:
    for weights in (np.array([0.3, 1.0, 2.7]), np.array([1e9, 3e9, 5.0]), np.array([1.0, 2.0, 4.0])):
        units = Units.of(weights)
        size = (units.copies * units.each + units.fraction) * units.unit
        np.testing.assert_allclose(size, weights, rtol=1e-3, atol=1e-6 * weights.sum())
        assert (units.copies * units.each + units.fraction).sum() < 2**22


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning")
@pytest.mark.parametrize("scale", [0.37, 1e7])
def test_a_partition_of_fractional_and_of_large_weights(scale: float) -> None:
    """Of rows that are certain it does not depend on the scale of the weights; a row of weight 0 has a cluster, too."""
    weights = scale * (1.0 + np.arange(60) % 3)
    weights[4] = 0.0
    X = rows() * 1.0
    X += 7.0 * (np.arange(60) % 2)[:, None]
    fit = bg.BayesianGMM(2, **OPTIONS).fit(X, sample_weight=weights)
    partition = fit.partition()
    assert partition.n_clusters == 2 and partition.expected_loss < 1e-6
    assert partition.sizes.sum() == pytest.approx(weights.sum())
    assert partition.labels.iloc[4] == partition.labels.iloc[0] != partition.labels.iloc[1]
    assert partition.agreement(np.arange(60) % 2).loc["ari", "estimate"] == pytest.approx(1.0)
    sizes = fit.assignment().components["size"]
    assert sizes.sum() == pytest.approx(weights.sum())


def test_silhouettes_are_those_of_copies() -> None:
    from sklearn.metrics import silhouette_score

    X, labels, copies = rows(30).to_numpy(), np.arange(30) % 3, np.arange(30) % 4
    expected = silhouette_score(np.repeat(X, copies, axis=0), np.repeat(labels, copies))
    assert mean_silhouette(X, labels, copies.astype(float)) == pytest.approx(expected)
    alone = np.r_[np.zeros(29, dtype=int), 1]  # a cluster of one row has silhouette 0
    assert mean_silhouette(X, alone, np.ones(30)) == pytest.approx(silhouette_score(X, alone))
    assert np.isnan(mean_silhouette(X, np.zeros(30), np.ones(30)))


def test_weights_without_a_copy_are_shares_however_small() -> None:
    for scale in (1e-300, 1e-12, 0.1):
        units = Units.of(scale * np.array([1.0, 3.0]))
        assert units.fraction[1] == pytest.approx(3 * units.fraction[0], rel=1e-5)
        assert (units.copies == 0).all()
        np.testing.assert_allclose(units.fraction * units.unit, scale * np.array([1.0, 3.0]), rtol=1e-5)
