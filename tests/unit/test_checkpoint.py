"""A finished fit in a folder is read as what it is, or refused in one line; `test_compare` has whole comparisons."""

from __future__ import annotations

import json
import resource
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.checkpoint import Checkpoint
from bayesgmm.errors import InputError
from bayesgmm.model.structure import Kind
from bayesgmm.storage import write_fit
from bayesgmm.visible import visible

OPTIONS = {
    "draws": 20, "tune": 20, "chains": 2, "n_init": 3, "escalate": False, "random_seed": 1, "progressbar": False
}  # fmt: skip
FULL = Kind("full")
SECONDARY = {"silhouette": 0.1 + 0.2}


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.NotConvergedWarning)
        return bg.BayesianGMM(2, **OPTIONS).fit(np.r_[rng.normal(0.0, 1.0, (10, 2)), rng.normal(6.0, 1.0, (10, 2))])


@pytest.fixture
def saved(fit: bg.BayesianGMM, tmp_path: Path) -> Checkpoint:
    checkpoint = Checkpoint.open(tmp_path / "made" / "for it", "print")
    checkpoint.write(fit, 1 / 3, SECONDARY)
    return checkpoint


def refused(checkpoint: Checkpoint, match: str, k: int = 2, structure: str = "full") -> None:
    with pytest.raises(InputError, match=match) as error:
        checkpoint.read(k, Kind(structure))
    assert visible(error.value) == str(error.value)


def test_a_fit_comes_back_with_its_scores(fit: bg.BayesianGMM, saved: Checkpoint) -> None:
    found = saved.read(2, FULL)
    assert found is not None
    back, seconds, secondary = found
    assert (seconds, secondary) == (1 / 3, SECONDARY)
    np.testing.assert_array_equal(back.means_, fit.means_)
    assert back.posterior_.attrs == fit.posterior_.attrs
    assert saved.read(3, FULL) is None
    assert [path.name for path in saved.folder.iterdir()] == ["full-2.nc"]


def test_a_fit_under_the_name_of_another_is_refused(saved: Checkpoint) -> None:
    for k, structure in ((3, "full"), (2, "diag")):
        shutil.copy(saved.path(2, FULL), saved.path(k, Kind(structure)))
        refused(saved, r"holds the fit of 2 components \(full\); give it back its name", k, structure)


def test_other_data_are_refused(saved: Checkpoint) -> None:
    refused(Checkpoint(saved.folder, "another"), "other data or options")


def test_a_saved_fit_that_is_no_checkpoint_is_refused(fit: bg.BayesianGMM, saved: Checkpoint) -> None:
    fit.save(saved.path(2, FULL))
    refused(saved, "other data or options")


@pytest.mark.parametrize("extra", ["{", "[]", json.dumps({"fingerprint": "print"}),
                                   json.dumps({"fingerprint": "print", "seconds": "x", "secondary": 1})])  # fmt: skip
def test_damaged_scores_are_refused(extra: str, saved: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    import bayesgmm.storage as storage

    def altered(parts: storage.Saved, path: Path) -> None:
        parts.tree.attrs["bayesgmm_comparison"] = extra
        write_fit(parts, path)

    found = saved.read(2, FULL)
    assert found is not None
    monkeypatch.setattr(storage, "write_fit", altered)
    found[0].save(saved.path(2, FULL))
    refused(saved, "its scores are damaged; delete it")


def test_damage_is_one_line(saved: Checkpoint) -> None:
    path = saved.path(2, FULL)
    content = path.read_bytes()
    for damaged in (b"", content[:-1], content[:5000], bytes([*content[:5000], content[5000] ^ 1, *content[5001:]])):
        path.write_bytes(damaged)
        refused(saved, "full-2.nc")
    path.unlink()
    path.symlink_to(saved.folder / "nowhere")
    refused(saved, "no such file")


def test_a_full_disk_keeps_what_is_there(fit: bg.BayesianGMM, saved: Checkpoint) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(InputError, match="make room"):
            saved.write(fit, 2.0, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    found = saved.read(2, FULL)
    assert found is not None and found[1] == 1 / 3
    assert [path.name for path in saved.folder.iterdir()] == ["full-2.nc"]


@pytest.mark.parametrize("folder", ["", None, 3, "a\0b", "\ud800", "/proc/none", "n" * 300], ids=ascii)
def test_no_folder_is_one_line(folder: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        Checkpoint.open(folder, "print")
    assert visible(error.value) == str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_found_before_any_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("fitted")

    monkeypatch.setattr(bg.BayesianGMM, "fit", never)
    rows = np.random.default_rng(1).normal(size=(20, 2))
    with pytest.raises(InputError, match=r"/sys/fit\.nc: cannot be written"):
        bg.compare_components(rows, [1], checkpoint="/sys", progressbar=False)
