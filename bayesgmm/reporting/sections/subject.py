"""What a report is about: a fit, alone or as the one that a comparison recommends, and what else was told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.model_selection.fit import Fit, kind_of
from bayesgmm.posterior.changed_prior import PriorChange, changed_prior
from bayesgmm.posterior.diagnostics.diagnose import Diagnosis
from bayesgmm.posterior.predictive_check import PredictiveCheck
from bayesgmm.reporting.plots.predictive_check import check_of
from bayesgmm.reporting.plots.scene import Scene, row_probabilities
from bayesgmm.reporting.plots.style import ALARM, verdict_note

if TYPE_CHECKING:
    from bayesgmm.model_selection.comparison import ComparedFits

__all__ = ["Subject", "Told"]


@dataclass(frozen=True)
class Told:
    """What a fit does not know of itself.

    Attributes
    ----------
    source : str or None
        The name of the file, or of what else the table comes from.
    labels : Series (N,) or None
        Known classes, which are compared with the clusters.
    command : str or None
        The command line that made the fit.
    loading : str or None
        Python that makes ``data``, where it is not a file.
    reading : dict
        Options of `read_csv`.
    weights : str or None
        The column of row weights.
    """

    source: str | None = None
    labels: pd.Series[Any] | None = None
    command: str | None = None
    loading: str | None = None
    reading: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """The fit of a report, and what sections share, found once."""

    fit: Fit
    compared: ComparedFits | None
    ci_prob: float
    told: Told

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, R) probability of each class of each fitted row."""
        return row_probabilities(self.fit)

    @cached_property
    def scene(self) -> Scene:
        """What figures show."""
        return Scene.of(self.fit, self.probabilities)

    @cached_property
    def check(self) -> PredictiveCheck:
        """The posterior predictive check."""
        return check_of(self.fit, ci_prob=self.ci_prob)

    @cached_property
    def prior_change(self) -> PriorChange:
        """Parameters under changed priors."""
        return changed_prior(self.fit.posterior_, self.fit.prior_, ci_prob=self.ci_prob)

    @property
    def diagnosis(self) -> Diagnosis:
        return self.scene.diagnosis

    @property
    def alarm(self) -> bool:
        """The fit has not converged."""
        note = verdict_note(self.diagnosis)
        return note is not None and note[1] == ALARM

    @property
    def caution(self) -> bool:
        """It has, and single components are not identified."""
        return verdict_note(self.diagnosis) is not None and not self.alarm

    @property
    def classes(self) -> list[int]:
        """Numbers of the components, and -1 if there is noise."""
        return self.scene.classes

    @property
    def fits(self) -> dict[Any, Fit]:
        """The fits of the comparison, or the only one."""
        return {self.fit.n_components: self.fit} if self.compared is None else dict(self.compared.fits)

    @property
    def title(self) -> str:
        return f"Mixture of {kind_of(self.fit).counted(self.fit.n_components)}"
