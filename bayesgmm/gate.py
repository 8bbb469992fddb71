"""The convergence gate on a sampler's draws, before they become a DataTree: the judge of what runs again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.convergence import ESS_MIN, convergence_table
from bayesgmm.data import Table
from bayesgmm.draws import Draws
from bayesgmm.invariants import DECIDED, NEGLIGIBLE_PROBABILITY, PROBABILITIES, label_invariants
from bayesgmm.streaming import total_log_likelihood
from bayesgmm.structure import Structure

__all__ = ["Gate", "judge_draws"]

Array = NDArray[np.float64]

_DISAGREE = 1.04  # R-hat
_MARGIN = 1.5


@dataclass(frozen=True, eq=False)
class Gate:
    """Label-invariant quantities of draws, arrays (chains, draws), and their convergence table."""

    values: dict[str, Array]
    table: pd.DataFrame

    @property
    def ok(self) -> bool:
        """Every quantity passes."""
        return bool(self.table["ok"].all())

    @property
    def shortfall(self) -> float:
        """Roughly how many times as long a run would pass; infinite where chains disagree."""
        moving = self.table[self.table["r_hat"].notna()]
        if not len(moving):
            return np.inf
        if moving["r_hat"].max() > _DISAGREE:
            return np.inf
        return float(_MARGIN * ESS_MIN / moving[["ess_bulk", "ess_tail"]].min(axis=1).min())


def judge_draws(draws: Draws, table: Table, structure: Structure) -> Gate:
    """The gate on draws on the model's scale; quantities are in original units, as in the DataTree."""
    weights, means, scaling = draws.flat()
    cholesky = draws.cholesky.reshape(-1, *draws.cholesky.shape[2:]) * table.scale[:, None]
    log_likelihood = total_log_likelihood(
        table.standardized, table.weights, weights, means, scaling, diagonal=structure.diagonal
    )
    log_likelihood -= float(np.log(table.scale).sum()) * table.weights.sum()
    values = {
        "log_likelihood": log_likelihood,
        "log_posterior": log_likelihood + draws.log_prior.ravel(),
        **label_invariants(
            table.values, weights, table.center + table.scale * means, cholesky @ cholesky.mT,
            diagonal=structure.diagonal, row_weights=table.weights, feature_names=table.feature_names,
            row_names=[str(name) for name in table.row_names],
        ),
    }  # fmt: skip
    shaped = {name: value.reshape(draws.shape[:2]) for name, value in values.items()}
    return Gate(shaped, gate_table(shaped))


def gate_table(values: dict[str, Array]) -> pd.DataFrame:
    """Table (a) of label-invariant quantities; probabilities that hardly vary count as constant.

    A pair of rows that is together, or apart, with a probability below 1 % is decided: R-hat and ESS would ask for many
    visits to a rare event, to know a small probability to a few percent of itself.
    """
    negligible = {name: NEGLIGIBLE_PROBABILITY for name in values if name.split("[")[0] in PROBABILITIES}
    for name, x in values.items():
        if name.startswith("co_clustering[") and min(x.mean(), 1.0 - x.mean()) < DECIDED:
            negligible[name] = np.inf
    return convergence_table(values, negligible=negligible)
