"""Fits with different numbers of components side by side, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_choice
from bayesgmm.data.weighting import survey_in_words
from bayesgmm.model_selection.averaging import WEIGHTINGS, ModelAverage, model_average
from bayesgmm.model_selection.candidate import Candidate
from bayesgmm.model_selection.ranking import Label, scale_table
from bayesgmm.model_selection.recommend import Recommendation, recommend
from bayesgmm.model_selection.scores import comparison_details, comparison_table
from bayesgmm.record import Record
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr

    from bayesgmm.model_selection.fit import Fit

__all__ = ["ComparedFits"]


@dataclass(frozen=True, eq=False, repr=False)
class ComparedFits(Record):
    """Fits with different numbers of components (and structures) to one table.

    The keys of `fits`, `trees` and `candidates` and the index of `table` and `details` are the numbers of components;
    with several structures they are ``"3 full"``, ``"3 diag"``.

    Attributes
    ----------
    fits : dict of BayesianGMM
    candidates : dict of Candidate
        The scores of each, with their records (`LooResult`, `Evidence`, `Merging`).
    unfinished : tuple of str
        What was left undone, in sentences: numbers of components that time or an interruption left out.
    """

    fits: dict[Label, Fit]
    candidates: dict[Label, Candidate]
    unfinished: tuple[str, ...] = ()

    @cached_property
    def details(self) -> pd.DataFrame:
        """All scores, a row a fit; see `model_selection.scores.comparison_details`."""
        return comparison_details(self.candidates)

    @cached_property
    def table(self) -> pd.DataFrame:
        """What the choice of K rests on, rounded to be read; see `model_selection.scores.comparison_table`."""
        return comparison_table(self.details)

    @cached_property
    def recommendation(self) -> Recommendation:
        """The three answers; ``str()`` reads as sentences."""
        found = recommend(self.candidates, self.unfinished)
        survey = next((words for fit in self.fits.values() if (words := survey_in_words(fit.table_))), "")
        return replace(found, sentences=(*found.sentences, *filter(None, [survey, self._batches_in_words()])))

    def _batches_in_words(self) -> str:
        """What scores of a table in batches are of, and which there are none of."""
        read = {label: fit for label, fit in self.fits.items() if "rows_in_batches" in fit.posterior_.attrs}
        if not read:
            return ""
        n, n_all = ({f(fit) for fit in read.values()} for f in (
            lambda fit: fit.table_.n_rows, lambda fit: int(fit.posterior_.attrs["rows_in_batches"])
        ))  # fmt: skip
        errors = [c.loo.sampling_se for c in self.candidates.values() if c.loo is not None]
        largest = f" (standard error {max(errors):.1g} or less)" if errors else ""
        return (
            f"The {max(n_all):,} observations were read in batches: elpd is estimated from a random sample of "
            f"{max(n):,}{largest}, and labels are those of the sample. There is no WAIC and no Bayes factor from empty "
            "components: compare a sample of the observations in memory for these."
        )

    @property
    def trees(self) -> dict[Label, xr.DataTree]:
        """``posterior_`` of each fit, for ``az.compare(cmp.trees)``: ArviZ's numbers, by PSIS without repairs."""
        return {label: fit.posterior_ for label, fit in self.fits.items()}

    @property
    def best(self) -> Fit:
        """The fit that is recommended."""
        return self.fits[self.recommendation.label]

    @property
    def labels_(self) -> NDArray[np.int64]:
        """(N,) cluster of each row that the headline stands for: components of the fit that is recommended, those that
        describe one cluster together; -1 is noise."""
        chosen = self.candidates[self.recommendation.label]
        labels = self.best.labels_
        return np.where(labels < 0, -1, chosen.merging.merge[labels])

    def average(self, by: str | None = None) -> ModelAverage:
        """The fits averaged by p(K | y) or by stacking weights, so that none has to be picked.

        Parameters
        ----------
        by : {"probability", "stacking"}, optional
            None takes p(K | y) where every ranked fit has one, else stacking; `ModelAverage.by` says which.
        """
        if by is not None:
            check_choice(by, "by", WEIGHTINGS)
        return model_average(self.fits, self.candidates, self.details, by)

    @property
    def sensitivity(self) -> pd.DataFrame:
        """p(K | y) with the prior scale of the means halved, as it is, and doubled."""
        return scale_table(self.candidates)

    @property
    def occupied(self) -> pd.DataFrame:
        """Posterior probability of each number of occupied components, a row a fit."""
        series = {label: c.occupied for label, c in self.candidates.items()}
        return pd.DataFrame(series).T.sort_index(axis=1).fillna(0.0)

    @property
    def clusters(self) -> pd.DataFrame:
        """Posterior probability of each number of clusters after merging components, a row a fit."""
        series = {label: c.merging.n_clusters for label, c in self.candidates.items()}
        return pd.DataFrame(series).T.sort_index(axis=1).fillna(0.0)

    @property
    def stages(self) -> pd.DataFrame:
        """Seconds of each stage, a row a fit."""
        return pd.DataFrame({label: c.stages for label, c in self.candidates.items()}).T.fillna(0.0)

    def __repr__(self) -> str:
        n = len(self.fits)
        return f"Comparison of {n} {plural(n, 'fit')}: {self.recommendation.headline}"

    def __str__(self) -> str:
        return str(self.recommendation)
