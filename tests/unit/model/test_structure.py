"""Covariance structures: what their pattern says, to Python, to compiled code, to a reader."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.compare_plan import pairs_of
from bayesgmm.errors import InputError
from bayesgmm.model.structure import COVARIANCE_TYPES, STRUCTURES, Kind, get_structure


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
@pytest.mark.parametrize("d", [1, 2, 4])
def test_compiled_code_reads_the_same_pattern(name: str, d: int) -> None:
    structure = get_structure(name)
    own, correlated, first, variance = structure.pattern(d)
    cells = structure.cells(d)
    free = np.array([[first[i] <= j <= i for j in range(d)] for i in range(d)])
    np.testing.assert_array_equal(cells >= 0, free)
    np.testing.assert_array_equal(np.diag(cells)[variance], np.diag(cells))
    assert len(set(variance.tolist())) == structure.n_standard_deviations(d)
    assert correlated == (structure.n_cells(d) > structure.n_standard_deviations(d)) or d == 1
    assert structure.n_matrices(3) == (3 if own else 1)
    assert structure.n_parameters(3, d) == 2 + 3 * d + structure.n_matrices(3) * (cells.max() + 1)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_a_covariance_is_the_likeliest_of_its_pattern(name: str) -> None:
    """Moved along any free cell of its factor, it is less likely; cells that are not free are zero."""
    structure, rng = get_structure(name), np.random.default_rng(1)
    counts, a = np.array([7.0, 12.0]), rng.normal(size=(2, 3, 9))
    scatter = a @ a.mT
    best = structure.project(scatter, counts)

    def log_likelihood(covariances: np.ndarray) -> float:
        inverse = np.linalg.inv(covariances)
        return float((-0.5 * counts * np.linalg.slogdet(covariances)[1]).sum() - 0.5 * (inverse * scatter).sum())

    cells, factors = structure.cells(3), np.linalg.cholesky(best)
    assert np.abs(factors[:, cells < 0]).max(initial=0.0) < 1e-12
    for cell in range(cells.max() + 1):
        for step in (-1e-3, 1e-3):
            for k in range(structure.n_matrices(2)):
                moved = factors.copy()
                moved[slice(None) if structure.n_matrices(2) == 1 else k, cells == cell] += step
                assert log_likelihood(moved @ moved.mT) < log_likelihood(best)


def test_names() -> None:
    assert [get_structure(s.mclust).name for s in STRUCTURES] == list(COVARIANCE_TYPES)
    assert len({s.words for s in STRUCTURES}) == len(STRUCTURES)
    with pytest.raises(InputError, match=r"'EEI', or mclust's VVV, EEE, VVI, VII"):
        get_structure("EVE")


def test_one_component_is_fitted_once_for_structures_that_are_then_the_same() -> None:
    kinds = [Kind(name) for name in ("tied", "full", "EEI", "diag", "spherical")]
    assert [kind.covariance_type for _, kind in pairs_of([1], kinds)] == ["full", "diag", "spherical"]
    assert pairs_of([1, 2], [Kind("EEI")]) == [(1, Kind("EEI")), (2, Kind("EEI"))]
    both = [Kind("full", "t_each"), Kind("full", "t")]
    assert pairs_of([1, 2], both) == [
        (1, both[0]),
        *((2, kind) for kind in both),
    ]  # one component has one number of them
