"""What is needed after sampling, compiled while another process compiles the sampler (`inference.first_use`)."""

from __future__ import annotations

import numpy as np
from pandas import DataFrame

from bayesgmm.clustering.merging import merging
from bayesgmm.data.table import prepare_table
from bayesgmm.model.draws import Draws
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.model_selection.evidence.bridge_sampling import log_evidence
from bayesgmm.model_selection.evidence.occupancy import draw_occupancy
from bayesgmm.posterior.build import build_tree
from bayesgmm.posterior.diagnostics.gate import Judge

__all__ = ["compile_the_rest"]


def compile_the_rest() -> None:
    """Judge, relabel, weigh and merge a few made-up draws."""
    rng = np.random.default_rng(0)
    table, structure = prepare_table(rng.normal(size=(12, 1)), resolution=None), get_structure("full")
    prior, shape, k = MixturePrior(resolution=None).resolve(table), (4, 200), 4
    cholesky = np.exp(0.1 * rng.normal(size=(*shape, k, 1, 1)))
    draws = Draws(
        rng.dirichlet(np.full(k, 9.0), size=shape), rng.normal(size=(*shape, k, 1)), cholesky, np.zeros(shape), {},
        np.zeros(4, dtype=np.int64), DataFrame(), 0.0, False, "",
    )  # fmt: skip
    Judge(table, structure)(draws)
    problem = Problem(table, structure, prior)
    tree = build_tree(draws, problem, inference="gibbs", random_seed=0, standardize=True)
    log_evidence(tree, problem)
    merging(tree)
    draw_occupancy(tree)
