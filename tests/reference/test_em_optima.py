"""EM reaches the best optimum that mclust and scikit-learn found from many starts, and not by a spike."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import bayesgmm as bg

FOLDER = Path(__file__).parent / "em"
CELLS = json.loads((FOLDER / "best_optima.json").read_text())
SOME = [pytest.param(cell, marks=pytest.mark.slow if i % 3 else ()) for i, cell in enumerate(CELLS)]


@pytest.mark.parametrize("cell", SOME, ids=lambda c: f"{c['dataset']}-{c['covariance_type']}-{c['K']}")
def test_best_optimum(cell: dict) -> None:
    rows = pd.read_csv(FOLDER / f"{cell['dataset']}.csv")
    em = bg.fit_em(rows, cell["K"], covariance_type=cell["covariance_type"], random_seed=1)
    assert em.log_likelihood >= cell["loglik"] - 1e-3
    assert em.converged
    # A spike would be far narrower than any component of the reference.
    assert em.min_sd_relative > 0.5 * cell["min_component_sd_relative"] or em.min_sd_relative > 0.03
    assert (em.log_likelihood_trace[1:] >= em.log_likelihood_trace[:-1] - 1e-9 * abs(em.log_likelihood)).all()
    assert int(em.starts["reached_best"].sum()) == em.n_reached_best >= 1
