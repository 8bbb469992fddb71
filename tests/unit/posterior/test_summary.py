"""The table of estimates: matching, intervals and visible failure."""

from __future__ import annotations

import numpy as np
import pytest
from _trees import CENTRES, converged, independent_draws, make_tree, not_identified, rows_around, wandering

from bayesgmm.errors import InputError
from bayesgmm.model.params import MixtureParams
from bayesgmm.posterior.summary import summary

CORRELATED = np.array([[[1.0, 0.5], [0.5, 1.0]], [[4.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 9.0]]])


def test_maximum_likelihood_components_are_matched_whatever_their_order():
    params = MixtureParams(np.array([0.3, 0.33, 0.37]), CENTRES, CORRELATED)
    table = summary(converged(), params)
    for order in ([2, 0, 1], [1, 0, 2]):
        np.testing.assert_array_equal(summary(converged(), params.permute(order))["mle"], table["mle"])
    assert table.loc["means[2, x0]", "mle"] == 3.0
    assert table.loc["weights[1]", "mle"] == 0.33
    assert table.loc["corr[0, x0, x1]", "mle"] == 0.5
    assert table.loc["sd[2, x1]", "mle"] == 3.0


def test_estimates_and_intervals_are_those_of_the_draws():
    tree = converged()
    table = summary(tree, ci_prob=0.9)
    x = tree["posterior"]["means"].values[:, :, 1, 0].ravel()
    row = table.loc["means[1, x0]"]
    assert row["mean"] == pytest.approx(x.mean())
    assert row["sd"] == pytest.approx(x.std(ddof=1))
    assert row["ci_5%"] == pytest.approx(np.quantile(x, 0.05))
    assert row["ci_95%"] == pytest.approx(np.quantile(x, 0.95))
    # Independent draws: the Monte Carlo error is sd / sqrt(2000), up to the error of the ESS.
    assert row["mcse_mean"] == pytest.approx(x.std() / np.sqrt(2000), rel=0.15)
    assert table["mle"].isna().all()
    assert list(table.columns) == [
        "mle", "mean", "sd", "ci_5%", "ci_95%", "ess_bulk", "ess_tail", "r_hat", "mcse_mean", "ok",
    ]  # fmt: skip


def test_default_columns_name_the_interval():
    columns = summary(converged()).columns
    assert {"ci_2.5%", "ci_97.5%"} <= set(columns)


def test_failure_is_visible():
    good, bad, unidentified = (summary(tree) for tree in (converged(), wandering(), not_identified()))
    assert good["ok"].all()
    assert good.attrs["verdict"].startswith("The chains converged")
    assert not bad["ok"].any()
    assert bad.attrs["verdict"].startswith("Not converged")
    assert not unidentified.loc["means[0, x0]", "ok"]
    ambiguous = make_tree(
        rows_around(),
        independent_draws(np.full(3, 1 / 3), CENTRES),
        stats={"relabel_ambiguity": np.ones((4, 500))},
    )
    assert not summary(ambiguous)["ok"].any()


def test_few_draws_give_estimates_without_diagnostics():
    tree = make_tree(rows_around(), independent_draws(np.full(3, 1 / 3), CENTRES, n_draws=3))
    table = summary(tree)
    assert table["mean"].notna().all()
    assert table["r_hat"].isna().all() and not table["ok"].any()


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="ci_prob"):
        summary(converged(), ci_prob=95)
    two = MixtureParams(np.array([0.5, 0.5]), CENTRES[:2], CORRELATED[:2])
    with pytest.raises(InputError, match="2 components"):
        summary(converged(), two)
