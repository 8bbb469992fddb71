"""What a fitted mixture answers: convergence, summaries, prediction, assignment, partition, evidence.

Each method delegates to one function of `posterior`, `clustering` or `model_selection` with the fit's own draws;
`BayesianGMM` inherits them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_probability
from bayesgmm.data.far_values import far_values
from bayesgmm.data.weighting import survey_in_words
from bayesgmm.fitted_box import FittedBox
from bayesgmm.fitted_clusters import FittedClusters
from bayesgmm.fitted_distributions import FittedDistributions
from bayesgmm.fitted_predictions import FittedPredictions
from bayesgmm.fitted_scores import FittedScores
from bayesgmm.model_selection.evidence.mode_shares import weigh_modes
from bayesgmm.posterior.diagnostics.approximation import sample_in_words
from bayesgmm.posterior.diagnostics.diagnose import Diagnosis, diagnose, with_reservation
from bayesgmm.posterior.summary import summary

if TYPE_CHECKING:
    from bayesgmm.posterior.diagnostics.gate import Gate


__all__ = ["FittedMixture"]


class FittedMixture(FittedBox, FittedClusters, FittedPredictions, FittedDistributions, FittedScores):
    """The methods of a fit."""

    @property
    def labels_(self) -> NDArray[np.int64]:
        """(N,) most probable component of each row; -1 is noise."""
        return self._once("labels", lambda: self._label(self._own_responsibilities))

    def diagnose(self) -> Diagnosis:
        """Whether the draws can be believed: convergence in two tables and in words.

        Returns
        -------
        Diagnosis
            ``ok``, the verdict as one truth value; ``verdict`` and ``advice``, sentences; ``table``, R-hat and ESS of
            quantities that do not depend on labels; ``components``, those of the relabelled parameters.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.diagnose().ok
        True
        """
        return self._once("diagnosis", self._diagnose)

    def _diagnose(self, gate: Gate | None = None) -> Diagnosis:
        """Also what the chains cannot show: shares of modes that they do not leave, and values far outside."""
        found = weigh_modes(diagnose(self.posterior_, gate), self.posterior_, self._problem)
        far = far_values(self.table_)
        named = [f"{x.sentence[0].upper()}{x.sentence[1:]}" for x in far if not x.lost]
        found = replace(found, advice=(*found.advice, *named))
        found = with_reservation(found, [x.sentence for x in far if x.lost])
        besides = (survey_in_words(self.table_), sample_in_words(self.posterior_.attrs))
        return replace(found, verdict=" ".join(filter(None, [found.verdict, *besides])))

    def summary(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Estimates, intervals and diagnostics of every parameter, in the units of the table.

        Parameters
        ----------
        ci_prob : float
            Probability of the intervals.

        Returns
        -------
        DataFrame
            A row a parameter; columns ``mle`` (maximum likelihood), ``mean``, ``sd``, the interval, ``ess_bulk``,
            ``ess_tail``, ``r_hat``, ``mcse_mean`` and ``ok``, False where the interval is not to be relied on.

        Raises
        ------
        InputError
            If `ci_prob` is not between 0 and 1.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.summary().loc["means[0, waiting]", ["mle", "mean"]].astype(float).round(0).tolist()
        [54.0, 54.0]
        """
        check_probability(ci_prob)
        diagnosis = self.diagnose()
        return summary(self.posterior_, self.em_.params, ci_prob=ci_prob, diagnosis=diagnosis)
