"""The number of components of a table in batches: as in memory, where that can be had; and said where it cannot."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.data import read_batches as reading
from bayesgmm.model_selection.loo.of_sample import loo_of_sample

OPTIONS = {"inference": "laplace", "random_seed": 1, "n_init": 3, "draws": 500, "progressbar": False}
CENTRES = np.array([[0.0, 0.0], [3.0, 1.5], [-2.0, 4.0]])


def rows(n: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return CENTRES[rng.choice(3, size=n, p=[0.5, 0.3, 0.2])] * [1.0, 10.0] + rng.normal(size=(n, 2)) * [1.0, 10.0]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(rows(3000), columns=["a", "b"])


@pytest.fixture(scope="module")
def in_memory(frame):
    return bg.compare_components(frame, [2, 3], **OPTIONS)


@pytest.fixture(scope="module")
def sampled(frame):
    """Half of the rows kept: what is estimated from them has an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_SAMPLE", 1500)
        return bg.compare_components(bg.Batches(frame, batch_size=777), [2, 3, 4], **OPTIONS)


def test_scores_are_those_of_memory_within_their_errors(sampled, in_memory) -> None:
    for k in (2, 3):
        a, b = sampled.candidates[k], in_memory.candidates[k]
        np.testing.assert_allclose([a.log_likelihood, a.bic, a.icl, a.aicc], [b.log_likelihood, b.bic, b.icl, b.aicc],
                                   rtol=1e-6)  # fmt: skip
        assert abs(a.evidence.value - b.evidence.value) < 3.0 * np.hypot(a.evidence.mcse, b.evidence.mcse) < 0.2
        assert abs(a.loo.elpd - b.loo.elpd) < 3.0 * np.hypot(a.loo.sampling_se, 0.1) < 2.0
        assert abs(a.loo.p - b.loo.p) < 3.0
        assert a.loo.n_rows == 3000 and len(a.loo.elpd_i) == 1500 and a.loo.ok
        np.testing.assert_allclose(a.loo.elpd_i.sum(), a.loo.elpd)
        np.testing.assert_allclose(a.loo.se, b.loo.se, rtol=0.1)
        np.testing.assert_allclose(a.sensitivity["log_evidence"], b.sensitivity["log_evidence"], atol=0.2)
        np.testing.assert_array_equal(a.merging.merge, b.merging.merge)
        assert dict(a.occupied) == dict(b.occupied) == {k: 1.0}
    difference, se = (in_memory.details.loc[2, name] for name in ("elpd_diff", "diff_se"))
    assert abs(sampled.details.loc[2, "elpd_diff"] - difference) < 0.02 * abs(difference) + 3.0 * se / np.sqrt(2.0)
    np.testing.assert_allclose(sampled.details.loc[2, "diff_se"], se, rtol=0.1)


def test_the_answer_is_that_of_memory_and_says_what_it_is_of(sampled, in_memory, frame) -> None:
    a, b = sampled.recommendation, in_memory.recommendation
    assert (a.label, a.n_clusters, a.most_probable) == (b.label, b.n_clusters, b.most_probable) == (3, 3, 3)
    said = str(sampled)
    assert "3,000 observations were read in batches: elpd is estimated from a random sample of 1,500" in said
    assert "no WAIC" in said
    assert sampled.labels_.shape == (1500,) and set(sampled.labels_) == {0, 1, 2}
    stacking = sampled.details["stacking_weight"]
    np.testing.assert_allclose(stacking.sum(), 1.0)
    assert stacking[3] > 0.9
    average = sampled.average()
    np.testing.assert_allclose(average.score_samples(frame[:5]), sampled.fits[3].score_samples(frame[:5]), atol=0.01)
    assert bg.plot_comparison(sampled) is not None


def test_surplus_components_are_not_ranked(sampled) -> None:
    surplus = sampled.candidates[4]
    assert surplus.status == "not converged" and surplus.loo is None and surplus.evidence is None
    assert np.isfinite(surplus.bic) and sampled.details["bic"].idxmin() == 3
    assert "K = 4 is not ranked" in str(sampled) and "compare BIC" in str(sampled)
    assert "compare larger ones" not in str(sampled)


def test_the_error_of_a_sample_is_the_one_that_is_said(sampled) -> None:
    """Of thirty random samples of the rows that a fit keeps, as if they were all."""
    tree = sampled.fits[3].posterior_
    n, m = tree["observed_data"].sizes["obs_id"], 150
    whole = loo_of_sample(tree, n)
    rng, found = np.random.default_rng(0), []
    for _ in range(30):
        some = np.sort(rng.choice(n, m, replace=False))
        part = tree.copy()
        for group in ("observed_data", "constant_data"):
            part[group] = xr.DataTree(tree[group].to_dataset().isel(obs_id=some, missing_dims="ignore"))
        part["constant_data"]["row_weight"] = part["constant_data"]["row_weight"] * (n / m)
        one = loo_of_sample(part, n)
        found.append((one.elpd, one.sampling_se))
    elpd, se = np.array(found).T
    # The draws are the same, and so is their error.
    se = np.sqrt(se**2 - whole.sampling_se**2)
    assert abs(elpd.mean() - whole.elpd) < 3.5 * elpd.std() / np.sqrt(len(elpd))
    assert 0.6 < elpd.std(ddof=1) / np.sqrt((se**2).mean()) < 1.5  # chi-square of 29: 0.1 % at 0.6 and 1.4
    assert (
        np.ptp(elpd) < 0.2 * whole.se
    )  # where plain sums over the samples would have four times whole.se for an error


def test_a_long_table_in_memory_is_scored_like_its_batches(frame, in_memory, monkeypatch) -> None:
    """Evidence by importance weights, elpd from some draws, of all rows: the numbers of bridge sampling and PSIS."""
    monkeypatch.setattr("bayesgmm.data.table._LONG", 3000)
    found = bg.compare_components(frame, [2, 3], **OPTIONS)
    for k in (2, 3):
        long, short = found.candidates[k], in_memory.candidates[k]
        assert long.evidence.method.startswith("Laplace") and short.evidence.method.startswith("bridge")
        error = np.hypot(long.evidence.mcse, short.evidence.mcse)
        assert abs(long.evidence.value - short.evidence.value) < 3.5 * error < 0.2
        assert abs(long.loo.elpd - short.loo.elpd) < 3.5 * np.hypot(long.loo.sampling_se, short.loo.mcse) < 1.0
        assert long.loo.ok and long.loo.n_rows is None and len(long.loo.elpd_i) == len(found.fits[k].labels_) == 3000
        np.testing.assert_allclose(long.loo.elpd_i, short.loo.elpd_i, atol=0.02)
        assert long.waic is None and long.empty_ratio is None and long.occupied.to_dict() == {k: 1.0}
    assert found.recommendation.label == 3 and found.fits[3].waic().elpd < 0.0


def test_a_comparison_of_a_long_table_does_not_wait_for_nuts(frame, monkeypatch) -> None:
    """Laplace's approximation stands in for it, which is said, and judged as of any fit; effort="full" takes NUTS."""
    monkeypatch.setattr("bayesgmm.data.table._LONG", 3000)
    for module in ("compare", "compare_fits"):
        monkeypatch.setattr(f"bayesgmm.{module}.SHORT_WORK", 1e8)
    options = {name: value for name, value in OPTIONS.items() if name != "inference"}
    found = bg.compare_components(frame, [3, 4], **options)
    assert found.fits[3].posterior_.attrs["inference"] == "laplace" and found.table.loc[3, "status"] == "converged"
    assert "Of K = 3 and K = 4 Laplace's approximation, checked by importance weights, was made in place of NUTS" in (
        str(found)
    )
    surplus = found.candidates[4]
    assert surplus.status == "not converged" and surplus.loo is None and surplus.evidence is None
    assert "K = 4 is not ranked" in str(found) and found.recommendation.label == 3
    assert "in place of NUTS" not in str(bg.compare_components(frame, [2], **options, inference="auto"))
    whole = bg.compare_components(frame, [2], **options, tune=200, effort="full")
    assert whole.fits[2].posterior_.attrs["inference"] == "nuts" and "in place of NUTS" not in str(whole)


def test_a_row_of_a_long_table_that_importance_sampling_fails_for_is_repaired(monkeypatch) -> None:
    """One row far out: with 250 to 1000 draws its score is off, and repaired it is as of any table."""
    X = np.append(np.random.default_rng(2).normal(size=60), 5.0)[:, None]
    options = {"random_seed": 1, "progressbar": False}
    exact = bg.BayesianGMM(2, **options).fit(X).loo()
    monkeypatch.setattr("bayesgmm.data.table._LONG", 10)
    fit = bg.BayesianGMM(2, **options).fit(X)
    assert not fit.loo(repair=False).ok
    assert fit.loo().ok and fit.loo().n_repaired >= 1
    assert abs(fit.loo().elpd - exact.elpd) < 3.5 * np.hypot(fit.loo().mcse, exact.mcse) < 1.0


def test_the_error_of_chains_that_move_slowly_is_not_that_of_independent_draws() -> None:
    """Every draw sixteen times in a row says no more than once."""
    X = bg.datasets.load_faithful()
    fit = bg.BayesianGMM(2, draws=500, random_seed=1, progressbar=False).fit(X)
    assert fit.posterior_.attrs["inference"] == "nuts"

    def of_draws(index: np.ndarray) -> float:
        tree = fit.posterior_.copy()
        for group in ("posterior", "sample_stats"):
            part = tree[group].to_dataset().isel(draw=index)
            tree[group] = xr.DataTree(part.assign_coords(draw=np.arange(len(index))))
        return loo_of_sample(tree, len(X)).sampling_se

    once, slowly = of_draws(np.arange(0, 500, 5)), of_draws(np.repeat(np.arange(0, 500, 5), 16))
    assert 0.8 < slowly / once < 1.25, (slowly, once)  # as if all were independent: 0.5


def test_every_pass_reads_blocks_and_no_fit_reads_anew(frame) -> None:
    passes, largest = [], []

    def pieces():
        passes.append(None)
        for start in range(0, len(frame), 500):
            largest.append(500)
            yield frame[start : start + 500]

    bg.compare_components(bg.Batches(pieces, batch_size=500), [1, 2], **OPTIONS)
    assert len(passes) < 80 and set(largest) == {500}


@pytest.mark.slow
def test_auto_goes_up_until_nothing_is_gained(frame) -> None:
    found = bg.compare_components(bg.Batches(frame), "auto", **OPTIONS)
    assert list(found.fits) == [1, 2, 3, 4, 5] and found.recommendation.n_components == 3


@pytest.fixture(scope="module")
def of_some(frame):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesgmm.fit_in_batches._ROWS", 400)
        options = OPTIONS | {"inference": "auto", "draws": 250}
        return bg.compare_components(bg.Batches(frame), [3, 4], **options)


def test_where_laplace_cannot_be_trusted_auto_gives_the_posterior_of_a_sample(of_some, tmp_path) -> None:
    fit, candidate = of_some.fits[4], of_some.candidates[4]
    assert fit.table_.n_rows == 400 and fit.posterior_.attrs["inference"] != "laplace"
    verdict = fit.diagnose().verdict
    assert "random sample of 400 of 3,000 observations" in verdict and "component" in verdict
    assert candidate.status == of_some.table.loc[4, "status"] == "sample"
    assert candidate.loo is None and candidate.bic == fit.em_.bic and of_some.recommendation.label == 3
    assert of_some.candidates[3].status == "converged" and fit.em_.log_likelihood < -5e3  # of all rows
    # Its intervals are those of 400 rows.
    wide, narrow = (f.posterior_["posterior"]["weights"].std(("chain", "draw")).max() for f in (fit, of_some.fits[3]))
    assert wide > 2.0 * narrow
    fit.save(tmp_path / "fit.nc")
    assert bg.load(tmp_path / "fit.nc").diagnose().verdict == verdict


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"inference": "nuts"}, "inference='laplace'"),
        ({"inference": "advi"}, "thousands of passes"),
        ({"component": ["normal", "t"]}, "normal components"),
        ({"sample_weight": [1.0]}, "weights="),
        ({"secondary": True}, "secondary"),
        ({"checkpoint": "nowhere", "random_seed": None}, "random_seed"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(options, says, frame) -> None:
    def pieces():
        raise AssertionError("read")

    with pytest.raises(bg.InputError, match=says) as refused:
        bg.compare_components(bg.Batches(pieces), [1, 2], **OPTIONS | options)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_goes_on(frame, tmp_path) -> None:
    options = OPTIONS | {"checkpoint": tmp_path}
    first = bg.compare_components(bg.Batches(frame), [2, 3], **options)
    again = bg.compare_components(bg.Batches(frame), [2, 3], **options)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert again.details["seconds"].tolist() == first.details["seconds"].tolist()


def test_a_folder_and_the_command_line(frame, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "table"
    folder.mkdir()
    frame[:1200].to_parquet(folder / "1.parquet")
    frame[1200:].to_parquet(folder / "2.parquet")
    found = bg.compare_components(str(folder), [2, 3], **OPTIONS)
    command = [sys.executable, "-m", "bayesgmm", "compare", str(folder), "-k", "2:3", "--draws", "300", "--json",
               "--out", str(tmp_path / "r.html"), "--assignments", str(tmp_path / "p.parquet")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["n_components"] == found.recommendation.n_components == 3
    np.testing.assert_allclose([row["bic"] for row in record["table"]], found.details["bic"], rtol=1e-6)
    assert pd.read_parquet(tmp_path / "p.parquet").shape == (3000, 3)
    assert "3,000 observations" in (tmp_path / "r.html").read_text()
