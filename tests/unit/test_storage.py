"""A saved fit comes back bit by bit; a file that is not one, is altered or is newer, is refused in one line."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import resource
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.posterior.build import FORMAT_VERSION
from bayesgmm.posterior.diagnostics.diagnose import diagnose
from bayesgmm.visible import visible


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    prior = bg.MixturePrior(sd=bg.priors.LogNormal([-0.5, -0.6], 0.6), lkj_eta=3.0, resolution=[0.0, 0.01])
    frame = bg.datasets.load_faithful().iloc[::2]
    frame.index = [f"eruption {i}" for i in range(len(frame))]
    return bg.BayesianGMM(2, prior=prior, draws=500, tune=300, chains=2, random_seed=4, progressbar=False).fit(frame)


REFERENCE = Path(__file__).parents[1] / "reference" / "saved"
TINY: dict[str, Any] = {
    "draws": 20, "tune": 20, "chains": 2, "n_init": 3, "escalate": False, "random_seed": 1, "progressbar": False
}  # fmt: skip


def two_groups(**frame: Any) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(np.r_[rng.normal(0.0, 1.0, (10, 2)), rng.normal(6.0, 1.0, (10, 2))].round(2), **frame)


def tiny_fit(X: Any, **options: Any) -> bg.BayesianGMM:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.NotConvergedWarning)
        return bg.BayesianGMM(2, **TINY | options).fit(X)


@pytest.fixture(scope="module")
def tiny() -> bg.BayesianGMM:
    return tiny_fit(two_groups(columns=["length", "width"]))


@pytest.fixture(scope="module")
def content(tiny: bg.BayesianGMM, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    tiny.save(path)
    return path.read_bytes()


def refused(path: Path, match: str | None = None) -> str:
    with pytest.raises(bg.InputError, match=match) as error:
        bg.load(path)
    text = str(error.value)
    assert visible(text) == text, "one line"
    return text


def test_round_trip(fit: bg.BayesianGMM, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    fit.save(path)
    back = bg.load(path)
    xr.testing.assert_identical(fit.posterior_["posterior"].to_dataset(), back.posterior_["posterior"].to_dataset())
    for group in fit.posterior_.children:
        for name, values in fit.posterior_[group].data_vars.items():
            np.testing.assert_array_equal(values.values, back.posterior_[group][name].values)
    assert back.posterior_.attrs == fit.posterior_.attrs
    frame = bg.datasets.load_faithful().head(20)
    np.testing.assert_array_equal(fit.predict_proba(frame), back.predict_proba(frame))
    np.testing.assert_array_equal(fit.em_.params.means, back.em_.params.means)
    assert fit.em_.log_likelihood == back.em_.log_likelihood
    np.testing.assert_array_equal(fit.em_.log_likelihood_trace, back.em_.log_likelihood_trace)
    pd.testing.assert_frame_equal(fit.em_.starts, back.em_.starts, check_exact=True)
    pd.testing.assert_frame_equal(fit.modes_, back.modes_, check_exact=True)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(fit, name), getattr(back, name))
    assert fit.get_params() == back.get_params()
    np.testing.assert_array_equal(fit.labels_, back.labels_)
    np.testing.assert_array_equal(fit.feature_names_in_, back.feature_names_in_)
    for values in ("values", "weights", "center", "scale", "resolution"):
        np.testing.assert_array_equal(getattr(fit.table_, values), getattr(back.table_, values))
    assert str(fit.prior_) == str(back.prior_)
    assert str(fit.diagnose()) == str(back.diagnose())
    pd.testing.assert_index_equal(back.table_.row_names, fit.table_.row_names, exact=True)
    pd.testing.assert_frame_equal(fit.summary(), back.summary(), check_exact=True)
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


@pytest.mark.parametrize(
    "X",
    [
        two_groups(columns=["x1", "x2"]),
        two_groups(columns=["a", "x2"]),
        two_groups(),
        two_groups().to_numpy(),
    ],
    ids=["x1, x2", "a, x2", "0, 1", "array"],
)
def test_named_columns_stay_named_and_others_do_not(X: Any, tmp_path: Path) -> None:
    fit = tiny_fit(X)
    fit.save(tmp_path / "fit.nc")
    back = bg.load(tmp_path / "fit.nc")
    assert list(getattr(back, "feature_names_in_", [])) == list(getattr(fit, "feature_names_in_", []))
    assert hasattr(back, "feature_names_in_") == hasattr(fit, "feature_names_in_")
    np.testing.assert_array_equal(fit.predict_proba(X), back.predict_proba(X))


ROW_NAMES: dict[str, pd.Index[Any]] = {
    "range": pd.RangeIndex(20),
    "float": pd.Index(np.r_[np.arange(19) / 7, np.nan], name="x"),
    "str": pd.Index([f"row {i}" for i in range(20)]),
    "datetime": pd.date_range("2020", periods=20, tz="Europe/Paris", name="day"),
    "bool": pd.Index([True, False] * 10),
    "tuple": pd.Index([("a", i) for i in range(20)], tupleize_cols=False),
    "period": pd.period_range("2020-01", periods=20, freq="M"),
    "multi": pd.MultiIndex.from_product([["a", "b"], range(10)], names=["x", None]),
    "categorical": pd.CategoricalIndex(["a", "b"] * 10),
    "timedelta": pd.timedelta_range("1D", periods=20),
    "mixed": pd.Index(["a", None, np.nan, "", 1] * 4, dtype=object),
    "NUL, half a pair, right to left": pd.Index(["\0", "\ud800", "\u202e", "a\nb"] * 5, dtype=object, name="\0"),
}


@pytest.mark.parametrize("kind", ROW_NAMES)
def test_row_names_of_every_kind_come_back(kind: str, tmp_path: Path) -> None:
    index = ROW_NAMES[kind]
    fit = tiny_fit(two_groups(columns=["length", "width"], index=index), draws=5)
    fit.save(tmp_path / "fit.nc")
    back = bg.load(tmp_path / "fit.nc")
    pd.testing.assert_index_equal(back.table_.row_names, index, exact=True)
    pd.testing.assert_index_equal(back.assignment().table.index, fit.assignment().table.index, exact=True)
    for group in ("observed_data", "log_likelihood"):
        assert back.posterior_[group]["obs_id"].equals(fit.posterior_[group]["obs_id"])


def test_names_that_no_file_can_hold_are_refused_in_saving(tiny: bg.BayesianGMM, tmp_path: Path) -> None:
    odd = copy.copy(tiny)
    odd.table_ = dataclasses.replace(tiny.table_, row_names=pd.Index([{1}] * 20))
    with pytest.raises(bg.InputError, match="name the rows by text"):
        odd.save(tmp_path / "fit.nc")
    for name in ("\0", "\ud800"):
        odd.table_ = dataclasses.replace(tiny.table_, feature_names=("length", name))
        with pytest.raises(bg.InputError, match=r"column name '\\.*' cannot be saved: rename"):
            odd.save(tmp_path / "fit.nc")
    assert list(tmp_path.iterdir()) == []


def test_options_changed_after_the_fit_are_refused_in_saving(tiny: bg.BayesianGMM, tmp_path: Path) -> None:
    for changed in ({"n_components": 3}, {"covariance_type": "diag"}):
        odd = copy.copy(tiny).set_params(**changed)
        with pytest.raises(bg.InputError, match="set them back, or fit again"):
            odd.save(tmp_path / "fit.nc")
    odd = copy.copy(tiny).set_params(covariance_type="VVV")  # mclust's name of the same structure
    odd.save(tmp_path / "fit.nc")
    assert bg.load(tmp_path / "fit.nc").covariance_type == "VVV"


def test_a_fit_that_an_older_version_pickled_is_saved_in_this_format(tiny: bg.BayesianGMM, tmp_path: Path) -> None:
    older = copy.copy(tiny)
    older.posterior_ = tiny.posterior_.copy()
    older.posterior_.attrs["format_version"] = 1
    older.save(tmp_path / "fit.nc")
    assert bg.load(tmp_path / "fit.nc").posterior_.attrs["format_version"] == FORMAT_VERSION


def test_other_programs_open_the_file(tiny: bg.BayesianGMM, content: bytes, tmp_path: Path) -> None:
    import arviz as az

    path = tmp_path / "fit.nc"
    path.write_bytes(content)
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        xr.testing.assert_identical(opened["posterior"].to_dataset().load(), tiny.posterior_["posterior"].to_dataset())
    with az.from_netcdf(path, engine="h5netcdf") as opened:
        assert set(tiny.posterior_.children) < set(opened.children)


def test_a_file_of_format_1_loads_with_its_numbers(tmp_path: Path) -> None:
    expected = json.loads((REFERENCE / "format_1.json").read_text())
    fit = bg.load(REFERENCE / "format_1.nc")

    def check(fit: bg.BayesianGMM) -> None:
        for name in ("weights", "means", "covariances"):
            np.testing.assert_allclose(getattr(fit, f"{name}_"), expected[name], rtol=1e-14)  # sums of draws
        np.testing.assert_array_equal(fit.posterior_["posterior"]["means"].values[-1, -1], expected["last_draw"])
        assert fit.em_.log_likelihood == expected["em_log_likelihood"]
        assert fit.labels_.tolist() == expected["labels"]
        assert fit.table_.row_names.tolist() == expected["row_names"]
        assert fit.feature_names_in_.tolist() == expected["feature_names"]
        rows = pd.DataFrame(expected["rows"], columns=expected["feature_names"])
        np.testing.assert_allclose(fit.predict_proba(rows), expected["predict_proba"], rtol=1e-12)
        options = fit.get_params(deep=False)
        assert options.pop("prior") == bg.MixturePrior(sd=bg.priors.LogNormal([-0.5, -0.6], 0.6), lkj_eta=3.0)
        assert {name: options[name] for name in expected["parameters"]} == expected["parameters"]
        assert str(fit.prior_) == expected["prior"]
        assert fit.posterior_.attrs["format_version"] == FORMAT_VERSION

    check(fit)
    fit.save(tmp_path / "fit.nc")
    check(bg.load(tmp_path / "fit.nc"))


def test_every_altered_byte_is_found(content: bytes, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "fit.nc"
    end = np.arange(len(content) - 48, len(content))
    for place in (*rng.integers(len(content), size=200), *range(16), *end):
        damaged = bytearray(content)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        assert "fit again" in refused(path) or place < 8


def test_a_file_cut_short_or_continued_is_refused(content: bytes, tmp_path: Path) -> None:
    path, rng = tmp_path / "fit.nc", np.random.default_rng(0)
    for length in (*range(20), *rng.integers(len(content), size=50), *range(len(content) - 49, len(content), 8)):
        path.write_bytes(content[:length])
        refused(path)
    for more in (b"\0", content):
        path.write_bytes(content + more)
        refused(path)


def test_damage_to_a_file_without_a_checksum_is_one_line(tmp_path: Path) -> None:
    """Whatever HDF5, netCDF and JSON raise; a draw that changed to another possible one cannot be found."""
    content, rng, path = (REFERENCE / "format_1.nc").read_bytes(), np.random.default_rng(0), tmp_path / "fit.nc"
    refusals = 0
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(len(content) if rng.random() < 0.5 else 9000, size=20):
            damaged[place] = int(rng.integers(256))
        path.write_bytes(damaged)
        said = ""
        try:
            bg.load(path)
        except bg.InputError as error:
            said = str(error)
        assert visible(said) == said
        refusals += bool(said)
    assert refusals > 30


Change = Callable[[xr.DataTree], object]


def _option(tree: xr.DataTree, **changed: Any) -> None:
    tree.attrs["bayesgmm_options"] = json.dumps(json.loads(tree.attrs["bayesgmm_options"]) | changed)


def _attr(name: str, value: Any) -> Change:
    return lambda tree: tree.attrs.__setitem__(name, value)


def _values(group: str, name: str, change: Callable[[Any], Any]) -> Change:
    def act(tree: xr.DataTree) -> None:
        values = tree[group][name]
        tree[group] = xr.DataTree(tree[group].to_dataset().assign({name: values.copy(data=change(values.values))}))

    return act


def _without(group: str, name: str) -> Change:
    return lambda tree: tree.__setitem__(group, xr.DataTree(tree[group].to_dataset().drop_vars(name)))


def _first(value: float) -> Callable[[Any], Any]:
    return lambda values: np.r_[value, values.ravel()[1:]].reshape(values.shape)


CHANGES: dict[str, tuple[Change, str]] = {
    "K of the options": (lambda tree: _option(tree, n_components=3), "the options say 3"),
    "K as text": (lambda tree: _option(tree, n_components="2"), "the options say '2'"),
    "structure of the options": (lambda tree: _option(tree, covariance_type="diag"), "the options say 2"),
    "no structure": (lambda tree: _option(tree, covariance_type="x"), "covariance_type"),
    "unknown option": (lambda tree: _option(tree, colour="red"), "'colour' is unknown"),
    "unknown prior": (lambda tree: _option(tree, prior={"sd": {"family": "__doc__"}}), "unknown"),
    "bad prior": (lambda tree: _option(tree, prior={"sd": None, "x": 1}), "damaged"),
    "bad JSON": (_attr("bayesgmm_options", "{"), "damaged"),
    "options a list": (_attr("bayesgmm_options", "[]"), "damaged"),
    "no options": (lambda tree: tree.attrs.pop("bayesgmm_options"), "not a file that bayesgmm saved"),
    "modes": (_attr("modes", "["), "damaged"),
    "K of the draws": (_attr("n_components", 3), "said to be of"),
    "K of the draws, as text": (_attr("n_components", "2"), "said to be of"),
    "both structures": (
        lambda tree: (_option(tree, covariance_type="diag"), _attr("covariance_type", "diag")(tree)), "structure 'diag'"
    ),
    "both structures, tied": (
        lambda tree: (_option(tree, covariance_type="tied"), _attr("covariance_type", "tied")(tree)), "structure 'tied'"
    ),
    "no version": (lambda tree: tree.attrs.pop("format_version"), "not a file that bayesgmm saved"),
    "version abc": (_attr("format_version", "abc"), "no format abc"),
    "version 0": (_attr("format_version", 0), "no format 0"),
    "version -1": (_attr("format_version", -1), "no format -1"),
    "version 1.5": (_attr("format_version", 1.5), "no format"),
    "version 2": (_attr("format_version", 2), "checksum is missing"),
    "newer": (_attr("format_version", 99), "newer than format .* upgrade bayesgmm"),
    "no attribute": (lambda tree: tree.attrs.pop("method"), "'method' of the draws is missing"),
    "no draws": (lambda tree: tree.__delitem__("posterior"), "'posterior' is missing"),
    "no statistics": (lambda tree: tree.__delitem__("sample_stats"), "'sample_stats' is missing"),
    "no EM": (lambda tree: tree.__delitem__("bayesgmm_em"), "damaged"),
    "no log-likelihood": (lambda tree: tree.__delitem__("log_likelihood"), "'log_likelihood' is missing"),
    "no means": (_without("posterior", "means"), "posterior/means is missing"),
    "NaN": (_values("posterior", "means", _first(np.nan)), "posterior/means holds what is not a finite number"),
    "weights": (_values("posterior", "weights", _first(0.9)), "weights are not those"),
    "a negative variance": (_values("posterior", "covariances", lambda v: -v), "covariances are not those"),
    "scale 0": (_values("constant_data", "scale", _first(0.0)), "scale are not those"),
    "an infinite cell": (_values("observed_data", "obs", _first(np.inf)), "observed_data/obs holds"),
    "text for weights": (_values("constant_data", "row_weight", lambda v: v.astype(str)), "constant_data/row_weight"),
    "fewer rows": (
        lambda tree: tree.__setitem__("log_likelihood", tree["log_likelihood"].isel(obs_id=slice(9))), "has the shape"
    ),
    "fewer draws": (
        lambda tree: tree.__setitem__("sample_stats", tree["sample_stats"].isel(draw=slice(9))), "has the shape"
    ),
    "one EM component": (
        lambda tree: tree.__setitem__("bayesgmm_em", tree["bayesgmm_em"].isel(k=slice(1))), "weights"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def old_tree() -> xr.DataTree:
    with xr.open_datatree(REFERENCE / "format_1.nc", engine="h5netcdf") as opened:
        return opened.load()


@pytest.mark.parametrize("change", CHANGES)
def test_what_no_fit_can_be_is_refused_without_a_checksum(
    change: str, old_tree: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (act, match), tree = CHANGES[change], old_tree.copy(deep=True)
    act(tree)
    monkeypatch.setattr(xr, "open_datatree", lambda *_, **__: tree)
    refused(REFERENCE / "format_1.nc", match)


def test_the_same_of_a_file(old_tree: xr.DataTree, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    old_tree.to_netcdf(path, engine="h5netcdf")
    assert bg.load(path).n_components == 2
    newer = old_tree.copy(deep=True)
    newer.attrs["format_version"] = 99
    newer.to_netcdf(path, engine="h5netcdf")
    assert "fit again" not in refused(path, "newer than format .* upgrade bayesgmm")
    unnamed = old_tree.copy(deep=True)
    del unnamed["posterior"]
    unnamed.to_netcdf(path, engine="h5netcdf")
    refused(path, "'posterior' is missing")


def test_a_saved_file_altered_by_another_program_is_refused(content: bytes, tmp_path: Path) -> None:
    path, means = tmp_path / "fit.nc", "posterior/means"
    path.write_bytes(content)
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "r+") as file:
        file[means][...] = 2.0 * file[means][...]
    refused(path, "altered")


def test_other_files_are_refused(tiny: bg.BayesianGMM, tmp_path: Path) -> None:
    refused(tmp_path / "absent.nc", "no such file")
    refused(tmp_path, "is a folder")
    path = tmp_path / "fit.nc"
    for other in (b"not a netCDF file", pickle.dumps(tiny.table_.values), b"CDF\x01" + bytes(99), b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(other)
        refused(path, "not a file that bayesgmm saved")
    path.write_bytes(b"")
    refused(path, "is empty")
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="h5netcdf")
    refused(path, "not a file that bayesgmm saved")
    tiny.posterior_.to_netcdf(path, engine="h5netcdf")
    refused(path, "not a file that bayesgmm saved")


def test_a_full_disk_keeps_the_earlier_file(tiny: bg.BayesianGMM, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    path.write_text("earlier result")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(bg.InputError, match=r"cannot be written .*; make room"):
            tiny.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "earlier result"
    assert list(tmp_path.iterdir()) == [path]
    tiny.save(path)
    assert bg.load(path).n_components == 2
