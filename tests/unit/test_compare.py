"""The comparison of fits: its columns against their definitions and ArviZ, its checkpoint, its failures."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
import warnings
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm import progress
from bayesgmm.checkpoint import Checkpoint, fingerprint
from bayesgmm.cli import parse_components
from bayesgmm.comparison import Comparison
from bayesgmm.data.table import prepare_table
from bayesgmm.errors import InputError
from bayesgmm.model.structure import Kind
from bayesgmm.model_selection.candidate import score_candidate
from bayesgmm.model_selection.evidence.occupancy import draw_occupancy, scale_sensitivity
from bayesgmm.model_selection.evidence.prior_sensitivity import evidence_sensitivity
from bayesgmm.model_selection.scores import comparison_details
from bayesgmm.model_selection.secondary import cross_validated_log_likelihood, secondary_scores
from bayesgmm.reporting.text import comparison_record, comparison_text

OPTIONS = {"draws": 300, "tune": 200, "random_seed": 1, "progressbar": False}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return bg.datasets.load_faithful().iloc[::2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoint")


@pytest.fixture(scope="module")
def comparison(rows: pd.DataFrame, folder: Path) -> Comparison:
    return bg.compare_components(rows, [1, 2], checkpoint=folder, **OPTIONS)


def test_fits_know_the_names_of_their_columns(comparison: Comparison, rows: pd.DataFrame) -> None:
    fit = comparison.fits[2]
    assert list(fit.feature_names_in_) == list(rows.columns)
    with pytest.raises(ValueError, match="feature names"):
        fit.predict(rows.rename(columns={rows.columns[0]: "other"}))


def without_time(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="seconds")


def test_loo_columns_are_arviz(comparison: Comparison) -> None:
    import arviz as az

    unrepaired = {k: replace(c, loo=comparison.fits[k].loo(repair=False)) for k, c in comparison.candidates.items()}
    # ArviZ takes the relative efficiency from the parameters, we take it from each row's likelihood: the smoothing
    # differs by little.
    theirs = az.compare({str(k): tree for k, tree in comparison.trees.items()}, round_to="none")
    theirs.index = theirs.index.astype(int)
    theirs = theirs.loc[comparison.table.index]
    ours = comparison_details(unrepaired)
    np.testing.assert_allclose(ours["elpd_loo"], theirs["elpd"], atol=0.05)
    np.testing.assert_allclose(ours["se"], theirs["se"], atol=0.05)
    np.testing.assert_allclose(ours["elpd_diff"], theirs["elpd_diff"], atol=0.05)
    np.testing.assert_allclose(ours["diff_se"], theirs["dse"].fillna(0.0), atol=0.05)
    np.testing.assert_allclose(ours["p_loo"], theirs["p"], atol=0.05)
    np.testing.assert_allclose(ours["stacking_weight"], theirs["weight"], atol=0.02)


def test_columns_are_their_definitions(comparison: Comparison, rows: pd.DataFrame) -> None:
    table, n = comparison.details, len(rows)
    for k, p in ((1, 5), (2, 11)):
        ll = table.at[k, "log_likelihood"]
        assert table.at[k, "bic"] == pytest.approx(p * np.log(n) - 2 * ll)
        assert table.at[k, "aicc"] == pytest.approx(2 * p - 2 * ll + 2 * p * (p + 1) / (n - p - 1))
    evidence = table["log_evidence"].to_numpy()
    odds = np.exp(evidence - evidence.max())
    np.testing.assert_allclose(table["probability"], odds / odds.sum(), atol=1e-12)
    assert table.at[2, "log_bf_smaller"] == pytest.approx(evidence[0] - evidence[1])
    assert comparison.occupied.loc[2].to_dict() == {1: 0.0, 2: 1.0}
    assert comparison.clusters.loc[2].to_dict() == {1: 0.0, 2: 1.0}
    assert comparison.best is comparison.fits[2]
    assert comparison.recommendation.headline == "2 Gaussian components (full) that describe 2 clusters."


def test_the_table_is_read_from_a_screen(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight columns of 80 characters, the numbers those of the details."""
    table, details = comparison.table, comparison.details
    assert list(table) == ["elpd_diff", "diff_se", "log_ev", "prob", "bic", "clusters", "entropy", "status"]
    assert table.index.equals(details.index)
    np.testing.assert_allclose(table["log_ev"], details["log_evidence"], atol=0.0501)
    assert details.at[2, "probability"] > 0.995 and table["prob"].tolist() == ["< 0.01", "> 0.99"]
    np.testing.assert_allclose(table["bic"], details["bic"], atol=0.501)
    wide = replace(
        comparison, candidates={
            f"{k} full": replace(c, bic=-123456.7, converged=False, kind=kind)
            for (k, c), kind in zip(comparison.candidates.items(), (Kind("full"), Kind("diag")), strict=True)
        },
    )  # fmt: skip
    assert list(wide.table) == [name for name in table if name != "entropy"]
    monkeypatch.setenv("COLUMNS", "80")
    for printed in (repr(table), repr(wide.table)):
        assert "..." not in printed and "\\" not in printed
        assert len(printed.splitlines()) == 3 and max(map(len, printed.splitlines())) <= 80


def test_modes_have_densities_in_the_units_of_the_evidence(comparison: Comparison) -> None:
    """One normal component of 136 rows is nearly its Laplace approximation; the columns' scales are 1.1 and 14."""
    modes, evidence = comparison.fits[1].modes_, comparison.candidates[1].evidence
    assert evidence is not None
    assert modes.at[0, "laplace_log_evidence"] == pytest.approx(evidence.value, abs=0.3)


def test_classes_are_those_of_the_labels(comparison: Comparison) -> None:
    """tidyLPA's columns, from the labels and the responsibilities of the fit."""
    fit, details = comparison.fits[2], comparison.details.loc[2]
    p = fit.predict_proba(pd.DataFrame(fit.table_.values, columns=fit.table_.feature_names))
    sizes = np.bincount(fit.labels_)
    assert (details["n_min"], details["n_max"]) == (sizes.min(), sizes.max())
    assert (details["share_min"], details["share_max"]) == pytest.approx((sizes.min() / len(p), sizes.max() / len(p)))
    own = [p[fit.labels_ == k, k].mean() for k in (0, 1)]
    assert (details["prob_min"], details["prob_max"]) == pytest.approx((min(own), max(own)))
    assert details["entropy"] == pytest.approx(1.0 + (p * np.log(p)).sum() / (len(p) * np.log(2.0)))
    assert comparison.details.loc[1, ["n_min", "prob_min", "entropy"]].tolist() == [len(p), 1.0, 1.0]


@pytest.mark.slow
def test_same_seed_same_table_in_processes(comparison: Comparison, rows: pd.DataFrame) -> None:
    again = bg.compare_components(rows, [2, 1], n_jobs=2, **OPTIONS)
    pd.testing.assert_frame_equal(without_time(again.details), without_time(comparison.details), check_exact=True)


def test_checkpoint_is_read_not_fitted(
    comparison: Comparison, rows: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(bg.BayesianGMM, "fit", refuse)
    monkeypatch.setattr("bayesgmm.model_selection.loo.loo.loo", refuse)
    monkeypatch.setattr("bayesgmm.model_selection.evidence.bridge_sampling.log_evidence", refuse)
    again = bg.compare_components(rows, [1, 2], checkpoint=folder, **OPTIONS)
    pd.testing.assert_frame_equal(again.details, comparison.details, check_exact=True)


def test_stale_checkpoint_is_refused(rows: pd.DataFrame, comparison: Comparison, folder: Path) -> None:
    with pytest.raises(InputError, match="other data or options"):
        bg.compare_components(rows, [1], checkpoint=folder, **OPTIONS | {"random_seed": 2})
    changed = rows.copy()
    changed.iloc[0, 0] += 0.1
    with pytest.raises(InputError, match="other data or options"):
        bg.compare_components(changed, [1], checkpoint=folder, **OPTIONS)


def test_a_file_that_is_no_fit_is_refused(rows: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "full-1.nc").write_text("half a file")
    with pytest.raises(InputError, match="not a file that bayesgmm saved"):
        bg.compare_components(rows, [1], checkpoint=tmp_path, **OPTIONS)


def test_a_killed_run_continues(comparison: Comparison, rows: pd.DataFrame, tmp_path: Path) -> None:
    """A process is killed as soon as its first fit is on disk; what it left is used, and the table is the same."""
    source = tmp_path / "rows.csv"
    rows.to_csv(source, index=True)
    target = tmp_path / "finished"
    code = (
        "import bayesgmm as bg, pandas as pd; "
        f"rows = pd.read_csv({str(source)!r}, index_col=0); "
        f"bg.compare_components(rows, [1, 2], checkpoint={str(target)!r}, **{OPTIONS!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    first, second = target / "full-1.nc", target / "full-2.nc"
    deadline = time.monotonic() + 300.0
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert first.exists() and not second.exists()
    written = first.stat().st_mtime_ns
    again = bg.compare_components(rows, [1, 2], checkpoint=target, **OPTIONS)
    assert first.stat().st_mtime_ns == written and second.exists()
    # Sums over rows may differ in the last digit from one process to another.
    pd.testing.assert_frame_equal(without_time(again.details), without_time(comparison.details), rtol=1e-12)


def test_a_comparison_pickles(comparison: Comparison) -> None:
    again = pickle.loads(pickle.dumps(comparison))
    pd.testing.assert_frame_equal(again.details, comparison.details)
    assert str(again) == str(comparison)


def test_failed_fit_stays_in_the_table_and_out_of_the_ranking(comparison: Comparison) -> None:
    candidates = dict(comparison.candidates)
    candidates[2] = replace(candidates[2], converged=False, verdict="Chains disagree.")
    table = comparison_details(candidates)
    assert list(table.index) == [1, 2]
    assert not table.at[2, "ranked"] and np.isfinite(table.at[2, "elpd_loo"])
    assert np.isnan(table.at[2, "probability"]) and np.isnan(table.at[2, "stacking_weight"])
    assert table.at[1, "probability"] == 1.0 and table.at[1, "elpd_diff"] == 0.0
    assert table.at[2, "elpd_diff"] > 0.0  # it is better, and not to be believed
    assert "K = 2 is not ranked. Chains disagree." in str(Comparison(comparison.fits, candidates))


@pytest.mark.parametrize("ok", [True, False])
def test_only_a_fit_that_takes_part_is_repaired(comparison: Comparison, ok: bool) -> None:
    fit, asked = copy(comparison.fits[2]), []
    fit.diagnose = lambda: SimpleNamespace(ok=ok, verdict="Chains disagree.")
    fit.loo = lambda *, repair: asked.append(repair) or comparison.fits[2].loo(repair=repair)
    assert score_candidate(fit, seconds=0.0).converged is ok
    assert asked == [ok]


def test_several_structures(rows: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = bg.compare_components(rows, 1, covariance_type=["full", "diag"], **OPTIONS)
    assert list(found.fits) == ["1 full", "1 diag"]
    assert found.best is found.fits["1 full"]
    assert "K = 1 (full)" in str(found)


def test_prior_scale_without_empty_components(comparison: Comparison) -> None:
    """Where no component can be empty, plain reweighting of the draws is right too."""
    for k, fit in comparison.fits.items():
        plain = evidence_sensitivity(fit.log_evidence())
        found = scale_sensitivity(fit.log_evidence(), fit.posterior_, fit.prior_, draw_occupancy(fit.posterior_))
        assert plain["log_evidence"].notna().all(), k
        np.testing.assert_allclose(found["log_evidence"], plain["log_evidence"], atol=4.0 * plain["mcse"].max())
        assert found.at[2.0, "log_evidence"] < found.at[1.0, "log_evidence"] - 0.5


@pytest.mark.slow
def test_prior_scale_against_a_fit_with_that_prior(rows: pd.DataFrame) -> None:
    """Three components where two do: one is often nearly empty, and plain reweighting has no number."""
    few = rows.iloc[:40]
    options = OPTIONS | {"draws": 1500, "inference": "gibbs"}
    fit = bg.BayesianGMM(3, **options).fit(few)
    found = scale_sensitivity(fit.log_evidence(), fit.posterior_, fit.prior_, draw_occupancy(fit.posterior_))
    for scale in (0.5, 2.0):
        prior = bg.MixturePrior(mean_scale=scale * fit.prior_.mean_scale)
        other = bg.BayesianGMM(3, prior=prior, **options).fit(few).log_evidence()
        error = np.hypot(found.at[scale, "mcse"], other.mcse)
        assert abs(found.at[scale, "log_evidence"] - other.value) < 4.0 * error + 0.01


def test_secondary_scores_standardise_by_row_weights(rows: pd.DataFrame) -> None:
    """A row of weight 3 is three copies: with one cluster the sum of squares is that of standardised columns, 2 n."""
    weights = np.random.default_rng(1).integers(1, 4, len(rows)).astype(float)
    table = bg.prepare_table(rows, sample_weight=weights)
    scores = secondary_scores(table, 1, Kind("full"), np.zeros(len(rows), dtype=int))
    assert scores["within_ss"] == pytest.approx(2.0 * weights.sum())


def test_secondary_scores(rows: pd.DataFrame) -> None:
    table = prepare_table(rows)
    labels = bg.fit_em(rows, 2, random_seed=1).params.means.argmax(axis=0)  # any two labels
    scores = secondary_scores(table, 1, Kind("full"), np.zeros(len(rows), dtype=int))
    assert scores["within_ss"] == pytest.approx(2 * len(rows))  # standardised columns
    assert np.isnan(scores["silhouette"]) and labels.shape == (2,)
    mean, cov = rows.mean(), np.cov(rows.T, bias=True)
    from scipy.stats import multivariate_normal

    inside = multivariate_normal(mean, cov).logpdf(rows).sum()
    held_out = cross_validated_log_likelihood(table, 1)
    assert inside - 12.0 < held_out < inside  # about two nats a parameter, five parameters


@pytest.mark.parametrize("bad", [0, [], [1, 0], [1.5], "2", True])
def test_bad_numbers_of_components(bad: object) -> None:
    with pytest.raises(InputError, match="n_components"):
        bg.compare_components([[1.0], [2.0], [4.0]], bad)  # type: ignore[arg-type]


def test_more_components_than_rows() -> None:
    with pytest.raises(InputError, match="components"):
        bg.compare_components([[1.0], [2.0], [4.0]], [1, 9])


def test_parse_components() -> None:
    assert parse_components("1:6") == [1, 2, 3, 4, 5, 6]
    assert parse_components("5,2") == [2, 5]
    for bad in ("", "a", "3:1", "0:2", "1:9999", "1-3"):
        with pytest.raises(InputError, match="--components"):
            parse_components(bad)


def test_text_and_json(comparison: Comparison, rows: pd.DataFrame) -> None:
    import json

    text = comparison_text(comparison, "rows.csv", rows)
    assert "2 Gaussian components (full) that describe 2 clusters." in text and "p(K|y)" in text
    record = json.loads(json.dumps(comparison_record(comparison, "rows.csv"), allow_nan=False))
    assert record["n_clusters"] == 2 and len(record["table"]) == 2


def test_command_line(
    tmp_path: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bayesgmm.cli import main

    source, page = tmp_path / "rows.csv", tmp_path / "page.html"
    rows.iloc[:60].to_csv(source, index=False)
    arguments = ["compare", str(source), "--components", "1:2", "--draws", "300", "--tune", "200", "--out", str(page)]
    monkeypatch.setattr("sys.argv", ["bayesgmm", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert "Gaussian component" in capsys.readouterr().out
    assert "Number of components" in page.read_text()


def test_fingerprint_and_folder(tmp_path: Path) -> None:
    table = prepare_table([[1.0], [2.0], [4.0]])
    same = fingerprint(table, {"a": 1, "b": 2}), fingerprint(table, {"b": 2, "a": 1})
    assert same[0] == same[1]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no folder"):
        Checkpoint.open(tmp_path / "file", same[0])


def test_an_interruption_gives_the_answer_so_far(
    comparison: Comparison, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = bg.BayesianGMM.fit

    def stopped(self: bg.BayesianGMM, *args: object, **options: object) -> bg.BayesianGMM:
        if self.n_components == 2:
            raise KeyboardInterrupt
        return fit(self, *args, **options)

    monkeypatch.setattr(bg.BayesianGMM, "fit", stopped)
    found = bg.compare_components(rows, [1, 2, 3], **OPTIONS)
    assert list(found.fits) == [1]
    assert "The comparison was interrupted: K = 2, 3 not fitted, so this is the best answer so far." in str(found)
    with pytest.raises(KeyboardInterrupt):
        bg.compare_components(rows, [2, 3], **OPTIONS)


def test_when_the_time_is_up_the_answer_says_what_it_lacks(rows: pd.DataFrame) -> None:
    found = bg.compare_components(rows, [1, 2, 3], max_seconds=1e-3, **OPTIONS)
    assert list(found.fits) == [1] and found.table.at[1, "status"] == "converged"
    assert "The 0.001 seconds allowed were over: K = 2, 3 not fitted" in str(found)
    for bad in (0, -1.0, "soon"):
        with pytest.raises(InputError, match="max_seconds="):
            bg.compare_components(rows, [1], max_seconds=bad, **OPTIONS)  # type: ignore[arg-type]


def test_effort(rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit is kept short at first; what is recommended is sampled again, longer, while it is rough, each
    once: with its better scores another may be."""
    options = OPTIONS | {"inference": "gibbs"}
    with pytest.raises(InputError, match="effort='more'"):
        bg.compare_components(rows, [1], effort="more", **options)
    limits: list[float] = []
    monkeypatch.setattr(
        "bayesgmm.inference.escalation.work_allowed",
        lambda most: limits.append(progress.work_allowed(most)) or limits[-1],
    )
    asked: list[list[str]] = []
    named = ["2 full", "1 full", "1 full"]
    monkeypatch.setattr(
        "bayesgmm.compare.predict_as_well", lambda found: asked.append(list(found)) or named[: len(asked)][-1:]
    )
    monkeypatch.setattr(
        "bayesgmm.compare_fits.score_candidate",
        lambda fit, **options: replace(score_candidate(fit, **options), rough=True),
    )
    found = bg.compare_components(rows, [1, 2], checkpoint=tmp_path, **options)
    assert asked == [["1 full", "2 full"]] * 3 and [limit / 2.2e10 for limit in limits] == pytest.approx(
        [1.0, 1.0, 1e11 / 2.2e10, 1e11 / 2.2e10]
    )
    assert found.table["status"].tolist() == ["converged", "converged"] and found.stages.loc[2, "draws"] > 0.0
    limits.clear()
    bg.compare_components(rows, [1, 2], effort="full", **options)
    assert min(limits) > 1e11 and len(asked) == 3


def test_a_fit_that_was_kept_short_is_rough_if_its_chains_agree(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = copy(comparison.fits[2])
    fit.posterior_, fit._cache = fit.posterior_.copy(), {}
    fit.posterior_.attrs = fit.posterior_.attrs | {"kept_short": 1}
    fit.diagnose = lambda: SimpleNamespace(ok=False, verdict="Too short.")
    found = score_candidate(fit, seconds=0.0)
    by_chain = [fit.posterior_.isel(chain=[c])["log_likelihood"]["obs"].values for c in range(4)]
    each = [np.log(np.exp(x).mean(axis=(0, 1))).sum() for x in by_chain]
    error = np.hypot(np.std(each, ddof=1) / 2, np.linalg.norm(fit.loo().mcse_i))
    assert found.status == "rough" and found.elpd_mcse == pytest.approx(error)
    # Of draws that all occupy two components, agreement of chains says nothing where one is most probable.
    fit.posterior_.attrs = fit.posterior_.attrs | {"likely_occupied": 1}
    elsewhere = score_candidate(fit, seconds=0.0)
    assert elsewhere.status == "not converged" and "hardly been where 1 component is occupied" in str(
        elsewhere.problems
    )
    fit.posterior_.attrs = fit.posterior_.attrs | {"likely_occupied": 2}
    assert score_candidate(fit, seconds=0.0).status == "rough"
    monkeypatch.setattr("bayesgmm.model_selection.candidate.MOST_ROUGH", 0.5 * np.std(each, ddof=1) / 2)
    assert score_candidate(fit, seconds=0.0).status == "not converged"


def test_a_fit_that_was_cut_short_is_not_read_as_finished(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second fit: its draws are part of the answer, and made anew by the next call."""
    fit = bg.BayesianGMM.fit

    def stopped(self: bg.BayesianGMM, *args: object, **options: object) -> bg.BayesianGMM:
        fit(self, *args, **options)
        self.posterior_.attrs["partial"] = int(self.n_components == 2)
        return self

    monkeypatch.setattr(bg.BayesianGMM, "fit", stopped)
    found = bg.compare_components(rows, [1, 2, 3], checkpoint=tmp_path, **OPTIONS)
    assert list(found.fits) == [1, 2] and "K = 3 not fitted" in str(found)
    assert [path.name for path in tmp_path.iterdir()] == ["full-1.nc"]


def test_auto_says_that_it_ended_at_its_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    import bayesgmm.compare as module

    monkeypatch.setattr(module, "CEILING", 2)
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.normal(m, 0.3, (40, 1)) for m in (0.0, 4.0, 9.0)])
    found = bg.compare_components(
        rows, "auto", inference="laplace", draws=250, n_init=5, random_seed=1, progressbar=False
    )
    assert list(found.fits) == [1, 2]
    assert "Every added component still improved the fit at K = 2, where the search ends (full)" in str(found)


def test_auto_and_nothing_else_in_words() -> None:
    with pytest.raises(InputError, match=r'such as range.1, 7., or "auto"'):
        bg.compare_components([[1.0], [2.0]], "many")
