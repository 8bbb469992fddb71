"""Columns given others, unusual rows, missing cells, by functions of `posterior`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_probability
from bayesgmm.data.batches import as_batches
from bayesgmm.data.write_parquet import named_columns, write_parquet
from bayesgmm.fitted_base import FittedBase
from bayesgmm.posterior.thinned import thinned

if TYPE_CHECKING:
    from bayesgmm.posterior.predict import PredictiveDistribution


__all__ = ["FittedDistributions"]

Array = NDArray[np.float64]

_DRAWS_OF_MANY = 200  # that rows in batches are scored by


class FittedDistributions(FittedBase):
    """Distributions of rows and cells, of a fit."""

    def conditional(
        self, given: Mapping[str, float], *, features: Sequence[str] | str | None = None
    ) -> PredictiveDistribution:
        """Distribution of some columns of a new row, given the values of others.

        Parameters
        ----------
        given : mapping from column to float
            The values that are known.
        features : str or sequence of str, optional
            The columns asked for; None takes all that are not given.

        Returns
        -------
        PredictiveDistribution
            A mixture over draws and components, with mean, sd, quantiles, density and draws. ``effective_draws`` says
            on how many draws it rests: few for values far from all rows.

        Raises
        ------
        InputError
            If a column is unknown, or a value too far from all rows.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.conditional({"eruptions": 2.0}).mean.round(0)
        waiting    54.0
        Name: mean, dtype: float64
        """
        from bayesgmm.posterior.predict import conditional

        self._check_fitted()
        return self._judged(conditional(self.posterior_, given, features=features))

    def marginal(self, features: Sequence[str] | str | None = None) -> PredictiveDistribution:
        """Posterior predictive distribution of some columns of a new row.

        Parameters
        ----------
        features : str or sequence of str, optional
            None takes all columns.

        Returns
        -------
        PredictiveDistribution

        Raises
        ------
        InputError
            If a column is unknown.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.marginal("waiting").mean.round(0)
        waiting    71.0
        Name: mean, dtype: float64
        """
        from bayesgmm.posterior.predict import marginal

        self._check_fitted()
        return self._judged(marginal(self.posterior_, features))

    def outlier_score(self, X: Any = None, *, ci_prob: float = 0.95, to: Any = None) -> Any:
        """How unusual each row is: minus log predictive density, rank, tail probability, interval.

        Parameters
        ----------
        X : table (n, D) or None
            None takes the rows of the fit; other rows keep their names.
        ci_prob : float
            Probability of the interval of the log density over the draws.
        to : path, optional
            Of a Parquet file that is written, a batch of rows at a time; nothing is returned then.

        Returns
        -------
        DataFrame
            ``score``, ``rank`` among the rows of the fit (1 is the most unusual), ``tail_probability``,
            ``log_density``, ``lower``, ``upper``; with a noise component also ``noise_probability``.

        Raises
        ------
        InputError
            If `X` lacks columns of the fit.

        See Also
        --------
        bayesgmm.posterior.outliers.outlier_score : the function behind it, with the definitions.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.outlier_score()["rank"].nsmallest(2).tolist()
        [1, 2]
        """
        from bayesgmm.posterior.outliers import outlier_score

        if as_batches(X) is not None:
            self._check_fitted()
            tree = thinned(self.posterior_, _DRAWS_OF_MANY)
            return self._of_rows(X, to, partial(outlier_score, tree, ci_prob=ci_prob), [])
        rows, names = self._named_rows(X)

        def compute() -> pd.DataFrame:
            return outlier_score(self.posterior_, rows, ci_prob=ci_prob, row_names=names)

        if to is None:
            return compute()
        write_parquet(to, (named_columns(f(), []) for f in [compute]))
        return None

    def impute(self, draws: int = 20, *, random_seed: int | None = 0) -> Array:
        """Completed tables: the missing cells drawn from the posterior (multiple imputation; Rubin 1987).

        Parameters
        ----------
        draws : int
            Number of tables.
        random_seed : int or None

        Returns
        -------
        array (draws, N, D)
            Observed cells are as they were.

        Raises
        ------
        InputError
            If no cell is missing, or `draws` is not a count.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful().mask(lambda t: t > 95.0)  # two long waits are lost
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.impute(draws=3).shape
        (3, 272, 2)
        """
        from bayesgmm.posterior.impute import impute

        self._check_fitted()
        return impute(self.posterior_, draws, random_seed=random_seed)

    def missing_cells(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Mean, sd and interval of every missing cell.

        Parameters
        ----------
        ci_prob : float
            Probability of the equal-tailed interval.

        Returns
        -------
        DataFrame
            A row a missing cell, by row and column: ``mean``, ``sd``, ``lower``, ``upper``.

        Raises
        ------
        InputError
            If `ci_prob` is not between 0 and 1.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful().mask(lambda t: t > 95.0)
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.missing_cells().columns.tolist()
        ['mean', 'sd', 'lower', 'upper']
        """
        from bayesgmm.posterior.impute import missing_cells

        self._check_fitted()
        check_probability(ci_prob)
        return missing_cells(self.posterior_, ci_prob)
