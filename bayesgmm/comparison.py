"""`Comparison`: what `compare_components` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesgmm.model_selection.comparison import ComparedFits

if TYPE_CHECKING:
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.model_selection.ranking import Label

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(ComparedFits):
    __doc__ = ComparedFits.__doc__

    fits: dict[Label, BayesianGMM]  # type: ignore[assignment]

    def plot(self) -> Any:
        """elpd, evidence, occupied components and criteria side by side; see `bayesgmm.plot_comparison`."""
        from bayesgmm.reporting.plots import plot_comparison

        return plot_comparison(self)
