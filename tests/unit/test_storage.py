"""A saved fit comes back whole; a file that is not one, or is newer, is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.posterior.diagnostics.diagnose import diagnose


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    prior = bg.MixturePrior(sd=bg.priors.LogNormal([-0.5, -0.6], 0.6), lkj_eta=3.0, resolution=[0.0, 0.01])
    frame = bg.datasets.load_faithful().iloc[::2]
    frame.index = [f"eruption {i}" for i in range(len(frame))]
    return bg.BayesianGMM(2, prior=prior, draws=500, tune=300, chains=2, random_seed=4, progressbar=False).fit(frame)


def test_round_trip(fit: bg.BayesianGMM, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    fit.save(path)
    back = bg.load(path)
    xr.testing.assert_identical(fit.posterior_["posterior"].to_dataset(), back.posterior_["posterior"].to_dataset())
    for group in fit.posterior_.children:
        for name, values in fit.posterior_[group].data_vars.items():
            np.testing.assert_array_equal(values.values, back.posterior_[group][name].values)
    assert {k: v for k, v in back.posterior_.attrs.items()} == fit.posterior_.attrs
    frame = bg.datasets.load_faithful().head(20)
    np.testing.assert_array_equal(fit.predict_proba(frame), back.predict_proba(frame))
    np.testing.assert_array_equal(fit.em_.params.means, back.em_.params.means)
    assert fit.em_.log_likelihood == back.em_.log_likelihood
    pd.testing.assert_frame_equal(fit.em_.starts, back.em_.starts, check_dtype=False)
    assert str(fit.prior_) == str(back.prior_)
    assert str(fit.diagnose()) == str(back.diagnose())
    assert list(back.table_.row_names) == list(fit.table_.row_names)
    pd.testing.assert_frame_equal(fit.summary(), back.summary())
    assert repr(fit) == repr(back)
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


@pytest.mark.parametrize(("escalate", "log_likelihood"), [(True, True), (False, True), (True, False)])
def test_a_fit_its_tree_and_its_file_give_one_diagnosis(tmp_path: Path, escalate: bool, log_likelihood: bool) -> None:
    """To the last digit, though the fit takes over what the sampler's judge found before labels were put in order."""
    rows, _ = bg.datasets.load_iris()
    fit = bg.BayesianGMM(
        2, draws=500, tune=300, random_seed=1, escalate=escalate, log_likelihood=log_likelihood, progressbar=False
    ).fit(rows, sample_weight=np.r_[np.full(75, 0.7), np.ones(75)])
    fit.save(tmp_path / "fit.nc")
    again = bg.load(tmp_path / "fit.nc").diagnose()
    for other in (again, diagnose(fit.posterior_)):
        pd.testing.assert_frame_equal(fit.diagnose().table, other.table, check_exact=True)
        pd.testing.assert_frame_equal(fit.diagnose().components, other.components, check_exact=True)
        assert str(fit.diagnose()) == str(other)


def test_newer_format_is_refused(fit: bg.BayesianGMM, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    fit.save(path)
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    tree.attrs["format_version"] = 99
    tree.to_netcdf(tmp_path / "newer.nc", engine="h5netcdf")
    with pytest.raises(bg.InputError, match="newer than format"):
        bg.load(tmp_path / "newer.nc")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(bg.InputError, match="no such file"):
        bg.load(tmp_path / "absent.nc")
    text = tmp_path / "text.nc"
    text.write_text("not a netCDF file")
    with pytest.raises(bg.InputError, match="not a file that bayesgmm saved"):
        bg.load(text)
    other = tmp_path / "other.nc"
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(other, engine="h5netcdf")
    with pytest.raises(bg.InputError, match="not a file that bayesgmm saved"):
        bg.load(other)


def test_failed_save_keeps_the_earlier_file(
    fit: bg.BayesianGMM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fit.nc"
    path.write_text("earlier result")

    def fail(self: xr.DataTree, target: str, **_: object) -> None:
        Path(target).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", fail)
    with pytest.raises(bg.InputError, match="disk full"):
        fit.save(path)
    assert path.read_text() == "earlier result"
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]
