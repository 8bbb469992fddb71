"""Every branch of the verdict on posteriors made for it."""

from __future__ import annotations

import numpy as np
import pytest
from _trees import (
    CENTRES,
    converged,
    independent_draws,
    label_switched,
    make_tree,
    not_identified,
    rows_around,
    two_modes,
    wandering,
)

from bayesgmm.posterior.diagnostics.diagnose import diagnose
from bayesgmm.posterior.diagnostics.gate import Gate
from bayesgmm.posterior.diagnostics.quantities import quantity_in_words


def test_independent_draws_pass():
    result = diagnose(converged())
    assert result.status == "converged"
    assert result.ok
    assert result.verdict == "The chains converged (all R-hat < 1.01, all ESS > 400)."
    assert result.table["ok"].all() and result.components["ok"].all()
    assert result.modes is None
    assert result.advice == ()
    assert np.isnan(result.ambiguous_share)
    assert "4 chains of 500 draws" in str(result)
    assert "0 divergent transitions" in str(result)


def test_the_gate_holds_every_label_invariant_quantity():
    stats = {"logp": np.random.default_rng(0).normal(size=(4, 500))}
    tree = make_tree(rows_around(), independent_draws(np.full(3, 1 / 3), CENTRES), stats=stats)
    kinds = {name.split("[")[0] for name in diagnose(tree).table.index}
    assert kinds == {
        "log_likelihood", "log_posterior", "sorted_weights", "sum_squared_weights", "mixture_mean",
        "mixture_log_det_covariance", "log_density", "log_det_covariance", "classification_entropy", "co_clustering",
    }  # fmt: skip


def test_the_log_prior_makes_the_log_posterior():
    prior = np.random.default_rng(0).normal(size=(4, 500))
    draws = independent_draws(np.full(3, 1 / 3), CENTRES)
    tree = make_tree(rows_around(), draws, stats={"log_prior": prior, "logp": 100.0 * prior})
    expected = tree["posterior"]["log_likelihood_total"].values + prior
    assert diagnose(tree).table.loc["log_posterior", "mean"] == pytest.approx(expected.mean())


def test_label_switching_alone_leaves_the_results_standing():
    result = diagnose(label_switched())
    assert result.status == "label_switching"
    assert result.ok
    assert "Label switching was corrected by relabelling (Stephens 2000)." in result.verdict
    raw = result.components["r_hat_raw"]
    assert raw["means[0, x0]"] > 1.5
    assert result.components["r_hat"].max() < 1.01


def test_raw_r_hat_is_that_of_the_draws_as_sampled():
    from arviz_stats.base import array_stats

    tree = label_switched()
    relabelled = tree["posterior"]["weights"].values
    # In chains 2 and 3 the permutation is [2, 0, 1]: old component 0 is new component 1.
    as_sampled = np.concatenate([relabelled[:2, :, 0], relabelled[2:, :, 1]])
    table = diagnose(tree).components
    assert table.loc["weights[0]", "r_hat_raw"] == pytest.approx(float(array_stats.rhat(as_sampled)))


def test_components_without_identity_are_flagged():
    result = diagnose(not_identified())
    assert result.status == "not_identified"
    assert result.ok and result.table["ok"].all()
    assert not result.components.loc["means[0, x0]", "ok"]
    assert "not identified" in result.verdict
    assert any("co-clustering" in line for line in result.advice)


def test_mostly_ambiguous_labels_are_no_identity():
    ambiguity = np.zeros((4, 500))
    ambiguity[:3] = 0.4
    draws = independent_draws(np.full(3, 1 / 3), CENTRES)
    result = diagnose(make_tree(rows_around(), draws, stats={"relabel_ambiguity": ambiguity}))
    assert result.ambiguous_share == 0.75
    assert result.status == "not_identified"
    some = diagnose(make_tree(rows_around(), draws, stats={"relabel_ambiguity": ambiguity * [[0], [0], [1], [0]]}))
    assert some.status == "converged"
    assert any("25% of draws have ambiguous labels" in line for line in some.advice)


def test_components_that_mix_slowly_need_more_draws():
    """Two components trade places along a direction that the mixture does not see, slowly but surely."""
    weights, means, covariances = independent_draws(np.array([0.5, 0.5]), np.zeros((2, 1)), spread=0.0)
    weights[:] = 0.5
    covariances[:] = 1.0
    rng = np.random.default_rng(8)
    slow = rng.normal(size=(4, 500))
    for t in range(1, 500):
        slow[:, t] = 0.87 * slow[:, t - 1] + np.sqrt(1 - 0.87**2) * slow[:, t]
    # The larger of two equal-weight, opposite means is invisible to the mixture: only the order wanders.
    shift = 0.4 + 0.01 * rng.normal(size=(4, 500))
    sign = np.where(slow > 0, 1.0, -1.0)
    means[..., 0, 0], means[..., 1, 0] = sign * shift, -sign * shift
    result = diagnose(make_tree(rows_around(np.array([[0.4], [-0.4]])), (weights, means, covariances)))
    assert result.table["ok"].all()
    assert result.status == "slow_components"
    assert "Run longer for credible intervals of the components" in result.advice[0]


def test_chains_in_different_modes_are_listed_by_mode():
    result = diagnose(two_modes())
    assert result.status == "several_modes"
    assert not result.ok
    assert "2 different modes (chains 0, 1, 3 | 2)" in result.verdict
    assert result.modes is not None
    assert result.modes["chains"].tolist() == [(0, 1, 3), (2,)]
    assert result.modes["log_likelihood"].is_monotonic_decreasing
    np.testing.assert_allclose(result.modes["weights"][1], [0.66, 0.17, 0.17], atol=0.02)
    assert any("Chain 2: mean log-likelihood" in line for line in result.advice)


def test_wandering_chains_have_not_converged_and_the_worst_quantity_is_named():
    result = diagnose(wandering())
    assert result.status == "not_converged"
    assert not result.ok
    assert result.modes is None
    worst = result.table["r_hat"].idxmax()
    assert f"{quantity_in_words(worst)} has R-hat {result.table.loc[worst, 'r_hat']:.3f}" in result.verdict


@pytest.mark.parametrize(("n_draws", "message"), [(50, "200 in total"), (3, "at least 4"), (1, "at least 4")])
def test_too_few_draws_are_called_that(n_draws, message):
    draws = independent_draws(np.full(3, 1 / 3), CENTRES, n_draws=n_draws)
    result = diagnose(make_tree(rows_around(), draws))
    assert result.status == "too_few_draws"
    assert not result.ok
    assert message in result.verdict
    assert str(result)


def test_enough_draws_with_too_small_an_ess_ask_for_more():
    """Halves of all chains hold the same 45 draws, each six times in a row: R-hat is 1, ESS about 360."""
    few = independent_draws(np.full(3, 1 / 3), CENTRES, n_chains=1, n_draws=45)
    rng = np.random.default_rng(6)
    order = np.array([np.concatenate([rng.permutation(45), rng.permutation(45)]) for _ in range(4)])
    slow = tuple(np.repeat(a[0][order], 6, axis=1) for a in few)
    result = diagnose(make_tree(rows_around(), slow))
    assert result.status == "too_few_draws"
    assert not result.ok
    assert result.table["r_hat"].max() < 1.01
    assert "all R-hat < 1.01, but the smallest ESS" in result.verdict
    assert "times as many" in result.advice[0]


def test_divergences_and_partial_runs_are_stated_and_not_ok():
    diverging = np.zeros((4, 500), dtype=bool)
    diverging[1, :7] = True
    draws = independent_draws(np.full(3, 1 / 3), CENTRES)
    result = diagnose(make_tree(rows_around(), draws, stats={"diverging": diverging}, partial=1))
    assert result.n_divergences == 7
    assert not result.ok
    assert "7 of 2000 draws diverged and the run was ended before it was done" in result.verdict
    assert result.verdict.startswith("Not reliable yet")


def test_tree_depth_and_energy_are_stated():
    rng = np.random.default_rng(0)
    depth = np.zeros((4, 500), dtype=bool)
    depth[:, :25] = True
    stats = {"maxdepth_reached": depth, "energy": np.cumsum(rng.normal(size=(4, 500)), axis=1)}
    draws = independent_draws(np.full(3, 1 / 3), CENTRES)
    advice = " ".join(diagnose(make_tree(rows_around(), draws, stats=stats)).advice)
    assert "5.0% of draws stopped at the maximum tree depth" in advice
    assert "E-BFMI" in advice
    healthy = diagnose(make_tree(rows_around(), draws, stats={"energy": rng.normal(size=(4, 500))}))
    assert healthy.advice == ()


def test_one_chain_passes_but_says_what_it_cannot_show():
    draws = independent_draws(np.full(3, 1 / 3), CENTRES, n_chains=1, n_draws=3000)
    result = diagnose(make_tree(rows_around(), draws))
    assert result.ok
    assert "one chain cannot show" in result.verdict
    assert "1 chain of 3000 draws" in str(result)


def test_an_approximation_is_judged_by_its_pareto_k():
    draws = independent_draws(np.full(3, 1 / 3), CENTRES, n_chains=1, n_draws=2000)
    few, many = {"importance_ess": 30.0}, {"importance_ess": 500.0}
    unknown, bad, thin, good = (
        diagnose(make_tree(rows_around(), draws, inference="advi", **k))
        for k in ({}, {"pareto_k": 0.9, **many}, {"pareto_k": 0.64, **few}, {"pareto_k": 0.64, **many})
    )
    assert [d.ok for d in (unknown, bad, thin, good)] == [False, False, False, True]
    assert "error is not known" in unknown.verdict
    assert "Pareto k 0.90" in bad.verdict
    assert "worth 30 draws (400 at least), so intervals are not trustworthy" in thin.verdict


def test_one_component_passes_with_its_constants_noted():
    draws = independent_draws(np.ones(1), np.zeros((1, 2)))
    result = diagnose(make_tree(rows_around(np.zeros((1, 2))), draws))
    assert result.ok
    assert result.status == "converged"
    assert result.table.loc["sorted_weights[0]", "note"] == "constant"


def test_a_draw_that_is_not_finite_is_named():
    draws = independent_draws(np.full(3, 1 / 3), CENTRES)
    draws[1][2, 10, 0, 0] = np.nan
    result = diagnose(make_tree(rows_around(), draws))
    assert result.status == "not_converged"
    assert "is not finite" in result.verdict


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_component_table_has_one_row_a_free_number(covariance_type):
    draws = independent_draws(np.full(3, 1 / 3), CENTRES, n_draws=100)
    if covariance_type == "tied":
        draws[2][:] = draws[2][:, :, :1]
    elif covariance_type != "full":
        draws[2][:] *= np.eye(2)
    table = diagnose(make_tree(rows_around(), draws, covariance_type=covariance_type)).components
    sds, correlations = {"full": (6, 3), "tied": (2, 1), "diag": (6, 0), "spherical": (6, 0)}[covariance_type]
    kinds = [name.split("[")[0] for name in table.index]
    assert (kinds.count("sd"), kinds.count("corr")) == (sds, correlations)
    assert (kinds.count("weights"), kinds.count("means")) == (3, 6)


def test_a_parameter_unexplored_though_labels_are_certain_has_not_converged() -> None:
    """One sd that each chain keeps where it began, of a component in which no row of the gate is."""
    sure = {"relabel_ambiguity": np.zeros((4, 500))}
    for spread, words in ((1e-5, "has R-hat"), (0.0, "has not moved")):
        weights, means, covariances = independent_draws(np.full(3, 1 / 3), CENTRES)
        noise = np.exp(0.1 * np.random.default_rng(3).normal(size=(4, 500, 3, 2)))
        covariances *= noise[..., None] * noise[..., None, :]
        covariances[:, :, 2, 0, 1] = covariances[:, :, 2, 1, 0] = 0.1 * (noise[..., 2, 0] - 1.0)
        covariances[:, :, 2, 0, 0] = 1.0 + spread * np.arange(4)[:, None]
        result = diagnose(make_tree(rows_around(CENTRES[:2]), (weights, means, covariances), stats=sure))
        assert result.status == "not_converged" and not result.ok
        assert f"sd[2, x0] {words}" in result.verdict and "labels are certain" in result.verdict


def test_a_probability_that_hardly_varies_makes_no_mode() -> None:
    """Entropies of 1e-30, of another size in each chain, are as good as constant: chains are short, not in modes."""
    rng = np.random.default_rng(0)
    entropy = 1e-30 * (1.0 + np.arange(4)[:, None] + 0.01 * rng.normal(size=(4, 60)))
    gate = Gate({"log_likelihood": rng.normal(size=(4, 60)), "classification_entropy": entropy})
    draws = independent_draws(np.full(2, 0.5), CENTRES[:2], n_draws=60)
    assert diagnose(make_tree(rows_around(CENTRES[:2]), draws), gate).status == "too_few_draws"
