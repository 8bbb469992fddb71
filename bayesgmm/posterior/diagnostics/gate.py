"""The convergence criteria: label-invariant quantities of the draws, and whether they meet them.

On a sampler's draws it is the judge of what runs again, before they become a DataTree. On a DataTree it gives the same
numbers, to the last digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.table import Table
from bayesgmm.kernels.rows import as_rows
from bayesgmm.model.draws import Draws
from bayesgmm.model.structure import Structure
from bayesgmm.posterior.diagnostics.convergence import ESS_MIN, convergence_table
from bayesgmm.posterior.diagnostics.invariants import DECIDED, NEGLIGIBLE_PROBABILITY, PROBABILITIES, label_invariants
from bayesgmm.posterior.tree import known_of, observed_rows, read_draws, read_sample_stats
from bayesgmm.visible import visible

if TYPE_CHECKING:
    import xarray

__all__ = ["Gate", "Judge", "gate_of_tree"]

Array = NDArray[np.float64]

_DISAGREE = 1.04  # R-hat
_ROUGHLY_AGREE = 1.1
_MARGIN = 1.5


@dataclass(frozen=True, eq=False)
class Gate:
    """Label-invariant quantities of draws, arrays (chains, draws), and their convergence table."""

    values: dict[str, Array]

    @cached_property
    def table(self) -> pd.DataFrame:
        """Table (a); probabilities that hardly vary count as constant.

        A pair of observations that is together, or apart, with a probability below 1 % is decided: R-hat and ESS would
        ask for many visits to a rare event, to know a small probability to a few percent of itself.
        """
        negligible = {name: NEGLIGIBLE_PROBABILITY for name in self.values if name.split("[")[0] in PROBABILITIES}
        for name, x in self.values.items():
            if name.startswith("co_clustering[") and min(x.mean(), 1.0 - x.mean()) < DECIDED:
                negligible[name] = np.inf
        return convergence_table(self.values, negligible=negligible)

    @property
    def ok(self) -> bool:
        """Every quantity passes."""
        return bool(self.table["ok"].all())

    @property
    def rough(self) -> bool:
        """Chains roughly agree, with a tenth of the effective draws: enough for scores, which say their own errors."""
        failed = self.table[~self.table["ok"]]
        ess = failed[["ess_bulk", "ess_tail"]].min(axis=1)
        return bool((failed["r_hat"] < _ROUGHLY_AGREE).all() and (ess > ESS_MIN / 10.0).all())

    @property
    def disagreement(self) -> float:
        """The largest R-hat; infinite where a quantity is not finite."""
        broken = (self.table["note"] == "not finite").any()
        return math.inf if broken else float(self.table["r_hat"].max())

    @property
    def shortfall(self) -> float:
        """Roughly how many times as long a run would pass; infinite where chains disagree."""
        moving = self.table[self.table["r_hat"].notna()]
        if not len(moving):
            return np.inf
        if moving["r_hat"].max() > _DISAGREE:
            return np.inf
        return float(_MARGIN * ESS_MIN / moving[["ess_bulk", "ess_tail"]].min(axis=1).min())


class Judge:
    """The criteria on draws of one table's posterior; those of the draws judged last are kept for who asks again."""

    def __init__(self, table: Table, structure: Structure) -> None:
        self._table, self._structure = table, structure
        self._judged: tuple[Array, Gate] | None = None

    @property
    def ess_min(self) -> float:
        """Bulk and tail effective draws that every quantity needs."""
        return ESS_MIN

    def __call__(self, draws: Draws) -> Gate:
        """The criteria on draws on the model's scale; quantities are in original units, as in the DataTree."""
        if self._judged is None or self._judged[0] is not draws.weights:
            self._judged = draws.weights, self._gate(draws)
        return self._judged[1]

    def _gate(self, draws: Draws) -> Gate:
        table, row_model = self._table, self._structure.moved(-np.log(self._table.scale)).row_model
        log_likelihood = draws.log_likelihood(table, self._structure)
        cholesky = draws.cholesky * table.scale[:, None]
        invariants = label_invariants(
            as_rows(table.values, table.known),
            *_pooled(draws.weights, table.center + table.scale * draws.means, cholesky @ cholesky.mT),
            row_model=row_model, row_weights=table.weights, feature_names=table.feature_names,
            row_names=[visible(name) for name in table.row_names],
        )  # fmt: skip
        return _gate(log_likelihood, log_likelihood + draws.log_prior, invariants)


def gate_of_tree(tree: xarray.DataTree) -> Gate:
    """The criteria on the draws of a fit's ``posterior_``."""
    stats, draws = read_sample_stats(tree), read_draws(tree)
    log_posterior = draws.log_likelihood + stats["log_prior"] if "log_prior" in stats else stats.get("logp")
    rows, row_weights, row_names = observed_rows(tree)
    invariants = label_invariants(
        as_rows(rows, known_of(tree)), *_pooled(draws.heads, draws.means, draws.covariances),
        row_model=draws.structure.row_model, row_weights=row_weights,
        feature_names=draws.feature_names, row_names=row_names,
    )  # fmt: skip
    return _gate(draws.log_likelihood, log_posterior, invariants)


def _pooled(*arrays: Array) -> list[Array]:
    return [a.reshape(-1, *a.shape[2:]) for a in arrays]


def _gate(log_likelihood: Array, log_posterior: Array | None, invariants: dict[str, Array]) -> Gate:
    values = {"log_likelihood": log_likelihood}
    if log_posterior is not None:
        values["log_posterior"] = log_posterior
    return Gate(values | {name: x.reshape(log_likelihood.shape) for name, x in invariants.items()})
