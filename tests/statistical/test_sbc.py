"""Simulation-based calibration: ranks of prior draws among draws of their fits are uniform, and faults show.

The simulations, ranks and p-values are those of `benchmarks/calibration.py`, whose table of all cells is
`docs/calibration.md`. Here are one cell of NUTS, one of Laplace, and every mutant.
"""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.ecdf_utils import get_pointwise_confidence_band, simulate_confidence_bands
from calibration import MUTANT_CELLS, cells, run
from calibration_model import MUTANTS, RANKS, Cell, draw_prior, draw_rows, quantities
from calibration_page import counted
from calibration_ranks import bands, cell_p_value, holm, p_values

import bayesgmm as bg
from bayesgmm.kernels.streaming import total_log_likelihood
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import MixtureParams, inverse_cholesky
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure


def ranks_of(cell: Cell, n: int) -> np.ndarray:
    return counted(cell, run(cell, 0, n))


def test_uniform_ranks_have_uniform_p_values() -> None:
    p = p_values(np.random.default_rng(1).integers(0, RANKS, (100, 2000)), RANKS)
    for level in (0.01, 0.1, 0.5):  # they are discrete, and never too small
        assert (p <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 2000) + 0.1 * level)


def test_bands_are_those_of_arviz() -> None:
    n, probability = 300, 0.95
    grid = np.arange(1, RANKS) / RANKS
    lower, upper = bands(n, RANKS, probability)
    level = simulate_confidence_bands(n, 1, grid, probability, 5000, np.random.default_rng(1))
    theirs = get_pointwise_confidence_band(level, n, grid)
    # ArviZ rounds both limits up, and its level has a Monte Carlo error: one or two of n ranks.
    for ours, other in zip((lower, upper), theirs, strict=True):
        assert np.abs(ours - other).max() <= 2.01 / n


def test_holm_steps_down() -> None:
    assert holm(np.array([0.04, 0.01, 0.03])) == pytest.approx([0.06, 0.03, 0.06])


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_what_is_ranked_is_the_model_of_the_package(cell: Cell) -> None:
    """Log-likelihood and log prior of prior draws differ from the package's by constants alone."""
    rng = np.random.default_rng(1)
    x = draw_prior(cell, 5, rng)
    rows = draw_rows(cell, x, rng)
    table, structure = bg.prepare_table(rows, standardize=False), get_structure(cell.structure)
    problem = Problem(table, structure, cell.prior().resolve(table))
    covariances = x.latent + np.diag(problem.prior.rounding(structure))
    scaling = inverse_cholesky(np.linalg.cholesky(covariances))
    log_likelihood = total_log_likelihood(
        rows, table.weights, x.weights, x.means, scaling, row_model=structure.row_model
    )  # fmt: skip
    reference = MixtureParams(x.weights[0], x.means[0], covariances[0], structure.name)
    latent = np.linalg.cholesky(x.latent)
    log_prior = Density.build(problem, reference).log_prior(x.weights, x.means, latent)
    if structure.correlated:  # the package's density is that of the cells of the correlations' Cholesky factors
        diagonal = np.diagonal(latent, axis1=2, axis2=3) / np.sqrt(np.diagonal(x.latent, axis1=2, axis2=3))
        powers = np.arange(cell.n_features)[::-1]
        log_prior -= (powers * np.log(diagonal[:, : structure.n_matrices(cell.n_components)])).sum(axis=(1, 2))
    ours = quantities(cell, x, rows)[:, :2]
    assert np.ptp(ours[:, 0] - log_likelihood) < 1e-8
    assert np.ptp(ours[:, 1] - ours[:, 0] - log_prior) < 1e-8


@pytest.mark.slow
def test_ranks_are_uniform() -> None:
    assert cell_p_value(ranks_of(Cell("full", 2, 2), 300), RANKS) > 0.01


@pytest.mark.slow
def test_ranks_of_laplace_are_uniform_where_pareto_k_is_small() -> None:
    ranks = ranks_of(Cell("diag", 2, 2, "laplace"), 100)
    assert len(ranks) > 50
    assert cell_p_value(ranks, RANKS) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_caught(mutant: str) -> None:
    cell = next(cell for cell in MUTANT_CELLS if cell.mutant == mutant)
    assert cell_p_value(ranks_of(cell, 200 if mutant == "jacobian" else 100), RANKS) < 1e-3
