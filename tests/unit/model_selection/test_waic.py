"""WAIC against R loo's numbers and its definition."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayesgmm.errors import InputError
from bayesgmm.model_selection.loo.waic import waic

REFERENCE = Path(__file__).parents[2] / "reference" / "loo"
TRUTH = json.loads((REFERENCE / "loo_waic.json").read_text())


def matrix() -> np.ndarray:
    with gzip.open(REFERENCE / "log_lik_1000x40.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",")


def tree(values: np.ndarray) -> xr.DataTree:
    """A tree of a log-likelihood (C, S, N) only."""
    return xr.DataTree.from_dict({"log_likelihood": xr.Dataset({"obs": (("chain", "draw", "obs_id"), values)})})


def test_equals_r_loo() -> None:
    result = waic(tree(matrix().reshape(4, 250, 40)))
    # The stored numbers have twelve decimals.
    assert result.elpd == pytest.approx(TRUTH["elpd_waic"], abs=1e-10)
    assert result.se == pytest.approx(TRUTH["se_waic"], abs=1e-10)
    assert result.p == pytest.approx(TRUTH["p_waic"], abs=1e-10)
    np.testing.assert_allclose(result.elpd_i, TRUTH["waic_i"], atol=1e-10)
    np.testing.assert_allclose(result.p_i, TRUTH["p_waic_i"], atol=1e-10)
    assert result.n_unstable == (np.array(TRUTH["p_waic_i"]) > 0.4).sum() == 2
    assert not result.ok and "2 observations have p_waic above 0.4" in str(result)


def test_blocks_of_rows_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = waic(tree(matrix()[None]))
    monkeypatch.setattr("bayesgmm.model_selection.loo.pointwise._BLOCK_BYTES", 3 * 8 * 1000)
    np.testing.assert_allclose(waic(tree(matrix()[None])).elpd_i, whole.elpd_i, rtol=1e-13)


def test_a_constant_log_likelihood_has_no_penalty() -> None:
    result = waic(tree(np.full((2, 50, 3), -1.5)))
    assert result.ok and result.p == 0.0 and result.elpd == pytest.approx(-4.5)
    assert str(result) == "elpd_waic -4.5 (SE 0.0; legacy), p_waic 0.0."


def test_one_draw_is_refused() -> None:
    with pytest.raises(InputError, match="at least two draws"):
        waic(tree(np.zeros((1, 1, 3))))
