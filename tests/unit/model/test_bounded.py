"""Where copies of a value leave no posterior to summarise, and where they do: against the integral itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import bayesgmm as bg
from bayesgmm.errors import InputError
from bayesgmm.model.bounded import check_bounded
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure

NO_STEP = {"x": 0.0}


def check(values: np.ndarray, k: int = 2, structure: str = "full", **prior: object) -> None:
    table = bg.prepare_table(values, feature_names=["x", "y"][: values.shape[1]])
    resolved = bg.MixturePrior(**prior).resolve(table)  # type: ignore[arg-type]
    check_bounded(Problem(table, get_structure(structure), resolved), k)


def with_copies(copies: int, n: int = 200, d: int = 1) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(n, d))
    rows[:copies, 0] = np.sqrt(2.0)
    return rows


def test_half_zeros_are_refused_in_one_line_with_the_ways_out() -> None:
    with pytest.raises(InputError) as error:
        check(with_copies(100, d=2))
    said = str(error.value)
    assert said.startswith("column 'x' has the value 1.41421 in 100 of 200 rows, at full precision")
    for way in ("resolution={'x': 0.01}", "--resolution 'x=0.01'", "covariance_type='tied'", "InverseGamma"):
        assert way in said
    assert "\n" not in said


def test_few_distinct_rows_are_counted() -> None:
    """Ten rows, twenty times each, as of a table joined to another one."""
    copies = np.repeat(np.random.default_rng(2).normal(size=(10, 2)), 20, axis=0)
    for k in (2, 5, 10):
        with pytest.raises(InputError, match="only 10 of 200 rows are distinct; column 'x' has the value"):
            check(copies, k=k)


def test_ways_out_and_what_needs_none() -> None:
    rows = with_copies(100, d=2)
    check(rows, k=1)
    check(rows, structure="tied")
    check(rows, structure="spherical")
    check(rows, resolution={"x": 0.01})
    check(rows, sd=bg.priors.InverseGamma(3.0, 1.0))
    check(np.round(rows, 2))  # a step is seen
    check(with_copies(4))  # a few copies, as of a bootstrap
    with pytest.raises(InputError, match="120 of 200 rows are copies of one"):
        check(np.where(np.arange(200)[:, None] < 120, np.pi, np.random.default_rng(1).normal(size=(200, 2))),
              structure="spherical")  # fmt: skip


def test_shared_covariances_shrink_only_where_each_value_can_have_a_component() -> None:
    three = np.random.default_rng(0).choice(np.sqrt([2.0, 3.0, 5.0]), size=(60, 1))
    check(three, k=2, structure="tied", resolution=None)
    with pytest.raises(InputError, match="full precision"):
        check(three, k=3, structure="tied", resolution=None)


def test_a_prior_positive_at_zero_is_improper_from_the_first_tie_on() -> None:
    half_normal = {"sd": bg.priors.HalfNormal(1.0), "resolution": None}
    check(with_copies(0), **half_normal)
    check(with_copies(2), k=1, **half_normal)
    with pytest.raises(InputError, match="the posterior is improper"):
        check(with_copies(2), **half_normal)


@pytest.mark.parametrize("copies", [5, 9, 14, 20])
def test_the_limit_is_where_the_sd_of_the_copies_leaves_the_prior(copies: int) -> None:
    """Mean of log s given m copies, by quadrature: a lognormal prior lets it fall by (m - 1) sigma^2."""
    log_s = np.linspace(-40.0, 3.0, 4001)
    log_density = stats.norm.logpdf(log_s, np.log(0.5), 0.7) - (copies - 1) * log_s
    p = np.exp(log_density - log_density.max())
    fallen = integrate.trapezoid(p * log_s, log_s) / integrate.trapezoid(p, log_s) - np.log(0.5)
    refused = False
    try:
        check(with_copies(copies))
    except InputError:
        refused = True
    assert refused == (fallen < np.log(0.005))


def test_compare_refuses_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bg.BayesianGMM, "fit", lambda *_: pytest.fail("a fit was begun"))
    with pytest.raises(InputError, match="full precision"):
        bg.compare_components(with_copies(100), [1, 2], progressbar=False)
