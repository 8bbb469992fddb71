"""Every tree that a fit makes passes; the cases that do not are in `test_storage`, where a file brings them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.model.structure import COVARIANCE_TYPES
from bayesgmm.posterior.check import check_tree

CASES: list[tuple[str, dict[str, object]]] = [
    *((structure, {"inference": "laplace"}) for structure in COVARIANCE_TYPES),
    *((structure, {"standardize": False, "log_likelihood": False}) for structure in COVARIANCE_TYPES),
    ("full", {"inference": "advi"}),
]


@pytest.mark.parametrize(("structure", "options"), CASES, ids=str)
def test_trees_of_all_structures_and_methods_pass(structure: str, options: dict[str, object]) -> None:
    rng = np.random.default_rng(1)
    rows = np.r_[rng.normal(0.0, 1.0, (20, 2)), rng.normal(6.0, 2.0, (20, 2))] * [1.0, 1e-3]
    fit = bg.BayesianGMM(
        2, covariance_type=structure, draws=50, tune=50, chains=2, n_init=2, escalate=False, random_seed=1,
        progressbar=False, **options,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit.fit(rows, sample_weight=np.r_[0.0, np.ones(39)])
    check_tree(fit.posterior_)
