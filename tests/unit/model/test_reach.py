"""Priors so far from the table that floating-point numbers cannot bring the two together are refused, in one line."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.model.problem import Problem
from bayesgmm.model.reach import check_reach
from bayesgmm.model.structure import get_structure

ROWS = np.random.default_rng(0).normal(size=(60, 2))


def check(k: int = 2, structure: str = "full", **prior: object) -> None:
    table = bg.prepare_table(ROWS)
    check_reach(Problem(table, get_structure(structure), bg.MixturePrior(**prior).resolve(table)), k)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prior", "named"),
    [
        ({"concentration": 1e300}, "concentration=1e+300"), ({"lkj_eta": 1e300}, "lkj_eta=1e+300"),
        ({"mean_loc": 1e100}, "mean_loc=1e+100"), ({"mean_scale": 1e-200}, "mean_scale=1e-200"),
        ({"sd": bg.priors.InverseGamma(1e300, 1.0)}, "sd="), ({"sd": bg.priors.Exponential(1e300)}, "sd="),
        ({"resolution": 1e6}, "resolution=1e+06"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inference", ["nuts", "laplace"])
def test_what_is_out_of_reach_is_named(prior: dict[str, object], named: str, inference: str) -> None:
    fit = bg.BayesianGMM(2, prior=bg.MixturePrior(**prior), inference=inference, progressbar=False)  # type: ignore[arg-type]
    with pytest.raises(bg.InputError) as error:
        fit.fit(ROWS)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_priors_as_they_are_used_are_within_reach() -> None:
    check()
    p = bg.priors
    for sd in (p.HalfNormal(1.0), p.HalfCauchy(0.5), p.Exponential(2.0), p.LogNormal(-3.0, 1.0), p.InverseGamma(3, 1)):
        check(sd=sd)
    check(mean_loc=0.0, mean_scale=100.0, lkj_eta=1.0, concentration=0.01)
    check(lkj_eta=1e300, structure="diag")  # it has no correlations


def test_dozens_of_components_with_hardly_a_row_each_are_refused() -> None:
    check(30)
    with pytest.raises(
        bg.InputError, match=r"n_components=31 for 60 rows is fewer than 2 rows a component.*at most 30"
    ):
        check(31)
    fit = bg.BayesianGMM(60, progressbar=False)
    with pytest.raises(bg.InputError, match="fewer than 2 rows a component"):
        fit.fit(ROWS)
