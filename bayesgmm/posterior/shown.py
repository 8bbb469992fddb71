"""What results of `bayesgmm.posterior` show of themselves."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayesgmm.posterior.diagnostics.diagnose import Diagnosis
from bayesgmm.posterior.highest_density import HighestDensityRegion
from bayesgmm.posterior.predict import PredictiveDistribution
from bayesgmm.record import attributes, numbers, reliable, tables


@numbers.register
def _(diagnosis: Diagnosis) -> dict[str, Any]:
    least = float(diagnosis.table[["ess_bulk", "ess_tail"]].min().min())
    largest = float(diagnosis.table["r_hat"].max())
    return {"ok": diagnosis.ok, "status": diagnosis.status, "r_hat": largest, "ess": least}


@reliable.register
def _(diagnosis: Diagnosis) -> tuple[str, bool]:
    return diagnosis.verdict, diagnosis.ok


@tables.register
def _(diagnosis: Diagnosis) -> dict[str, pd.DataFrame]:
    worst = diagnosis.table.sort_values("r_hat", ascending=False, kind="stable")
    out = {"Quantities that do not depend on labels, largest R-hat first": worst}
    return out if diagnosis.modes is None else {"Modes": diagnosis.modes, **out}


numbers.register(PredictiveDistribution, attributes("features", "given", "effective_draws"))


@tables.register
def _(distribution: PredictiveDistribution) -> dict[str, pd.DataFrame]:
    return {"Predictive distribution of each column": distribution.summary()}


@numbers.register
def _(region: HighestDensityRegion) -> dict[str, Any]:
    pieces = {} if region.intervals is None else {"n_intervals": len(region.intervals)}
    return {"ci_prob": region.ci_prob, "features": region.distribution.features, **pieces}


@tables.register
def _(region: HighestDensityRegion) -> dict[str, pd.DataFrame]:
    return {} if region.intervals is None else {"Intervals": pd.DataFrame(region.intervals, columns=["from", "to"])}
