"""Scores of left-out rows by short chains: against NUTS refits without the row, and what is said when they fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.inference.gibbs import left_out
from bayesgmm.inference.gibbs.left_out import bridge_repair
from bayesgmm.inference.modes import find_modes
from bayesgmm.inference.nuts.sample import sample_nuts
from bayesgmm.kernels.row_model import RowModel
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.model.background import structure_for
from bayesgmm.model.draws import Draws
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import MixturePrior, ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import Structure, get_structure
from bayesgmm.model_selection.loo.kfold import held_out_scores
from bayesgmm.posterior.tree import equal_draws

Array = NDArray[np.float64]


def problem(covariance_type: str, fractions: bool) -> tuple[Table, ResolvedPrior, MixtureParams]:
    """Two clusters of 25 rows in two columns, one of them rounded, with row weights."""
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(25, 2)) * [1.0, 3.0]
    rows[13:, 0] += 7.0
    weights = rng.choice([0.5, 1.0, 1.5] if fractions else [1.0, 2.0], size=25)
    table = prepare_table(rows, sample_weight=weights, resolution=[0.4, 0.0])
    means = (np.array([[0.0, 0.0], [7.0, 0.0]]) - table.center) / table.scale
    covariances = np.stack([np.eye(2) if covariance_type == "spherical" else np.diag([0.1, 0.9])] * 2)
    start = MixtureParams(np.array([0.5, 0.5]), means, covariances, covariance_type)
    return table, MixturePrior(resolution=[0.4, 0.0]).resolve(table), start


def nuts(
    table: Table, prior: ResolvedPrior, start: MixtureParams, seed: int, structure: Structure | None = None
) -> Draws:
    given = Problem(table, structure or get_structure(start.covariance_type), prior)
    return sample_nuts(given, find_modes(given, [start]), draws=2000, random_seed=seed, progressbar=False)


@pytest.mark.parametrize(
    ("covariance_type", "fractions", "component", "noise"),
    [
        ("full", True, "normal", False), ("tied", False, "normal", False), ("diag", False, "normal", False),
        ("spherical", True, "normal", False), ("diag", False, "t", False), ("tied", False, "t_each", True),
        ("full", True, "normal", True),
    ],
)  # fmt: skip
def test_scores_are_those_of_refits_by_another_sampler(
    covariance_type: str, fractions: bool, component: str, noise: bool
) -> None:
    table, prior, start = problem(covariance_type, fractions)
    structure, head = structure_for(table, covariance_type, component, noise), start.weights
    if not structure.is_normal:
        head = np.concatenate([head * (1.0 - 0.1 * noise), [0.1] * noise, [5.0] * structure.n_df(2)])
    start = MixtureParams.of_head(head, start.means, start.covariances, structure)
    posterior = nuts(table, prior, start, 1, structure)
    rows = np.array([0, 20])
    scores, errors = bridge_repair(Problem(table, structure, prior), posterior, random_seed=2)(rows, np.zeros(2))
    for row, score, error in zip(rows, scores, errors, strict=True):
        weights = table.weights.copy()
        weights[row] -= min(weights[row], 1.0)  # one copy
        found = held_out_scores(
            table, structure, nuts(replace(table, weights=weights), prior, start, 3, structure), np.array([row])
        )
        assert found.converged_i[0] and abs(score - found.elpd_i[0]) < 4.0 * np.hypot(error, found.mcse_i[0])
        assert error < 0.1


def test_rows_beyond_the_work_allowed_have_no_error_and_others_are_the_same() -> None:
    table, prior, start = problem("diag", False)
    posterior = nuts(table, prior, start, 1)
    rows = np.arange(6)
    all_scores, all_errors = bridge_repair(Problem(table, get_structure("diag"), prior), posterior, random_seed=2)(
        rows, np.zeros(6)
    )
    least = left_out.SWEEPS_A_ROW
    some, errors = bridge_repair(
        Problem(table, get_structure("diag"), prior), posterior, max_sweeps=2.5 * least, cores=1, random_seed=2
    )(rows, np.zeros(6))
    done = np.isfinite(errors)
    assert done.sum() == 2 and np.isfinite(all_errors).all() and (some[~done] == 0.0).all()
    np.testing.assert_array_equal(some[done], all_scores[done])
    assert np.isfinite(bridge_repair(Problem(table, get_structure("diag"), prior), posterior, max_sweeps=0.0)(
        rows, np.zeros(6))[1]).sum() == 1  # fmt: skip


def test_chains_that_have_not_forgotten_where_they_began_show_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps that leave a row's density falling by a nat from one window to the next, or leave it where it is."""
    table, prior, start = problem("diag", False)
    posterior = nuts(table, prior, start, 1)
    lasts = []

    weights, means, scaling = posterior.flat()
    density = pointwise_log_density(table.standardized[:1], weights, means, scaling, row_model=RowModel(diagonal=True))
    centre = (density.mean() - np.log(table.scale).sum()) * table.weights[0]

    def slow(starts: object, row: int, index: Array, n_sweeps: int, rng: np.random.Generator) -> Array:
        lasts.append((len(index), n_sweeps))
        return centre + 0.1 * rng.standard_normal(lasts[-1]) - falls * np.linspace(0.0, 3.0, n_sweeps)

    monkeypatch.setattr(left_out, "_sweep_without", slow)
    repair = bridge_repair(Problem(table, get_structure("diag"), prior), posterior, random_seed=2)
    falls = 1.0
    _, errors = repair(np.array([0]), np.zeros(1))
    assert errors[0] > 0.15 and lasts == [(200 * t, 12 * t) for t in (1, 2, 4)]
    falls = 0.0
    _, errors = repair(np.array([0]), np.zeros(1))
    assert errors[0] < 0.1 and lasts[3:] == [(200, 12)]


def test_draws_of_an_approximation_are_resampled_by_their_weights() -> None:
    fit = bg.BayesianGMM(2, inference="laplace", draws=500, random_seed=1, progressbar=False)
    tree = fit.fit(bg.datasets.load_faithful()).posterior_
    stats = tree["sample_stats"].to_dataset()
    ratio = stats["log_p"].values - stats["log_q"].values
    w = np.exp(ratio - ratio.max())
    means = tree["posterior"].to_dataset()["weights"].values[..., 0]
    weighted = float((w * means).sum() / w.sum())
    found = equal_draws(tree).weights[..., 0]
    assert abs(found.mean() - weighted) < 0.05 * means.std()
    assert len(np.unique(found)) < means.size


def test_an_interrupted_run_gives_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    table, prior, start = problem("diag", False)
    posterior = nuts(table, prior, start, 1)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(left_out, "_score", interrupted)
    with pytest.raises(KeyboardInterrupt, match="the fit itself is complete"):
        bridge_repair(Problem(table, get_structure("diag"), prior), posterior)(np.array([0]), np.zeros(1))
