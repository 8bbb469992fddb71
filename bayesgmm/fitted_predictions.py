"""Rows, by the names of scikit-learn: components, probabilities, densities, simulated rows, averaged over the draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.arguments import MOST_SAMPLES, check_count, check_seed
from bayesgmm.fitted_base import FittedBase
from bayesgmm.kernels.rows import as_rows
from bayesgmm.kernels.streaming import mean_responsibilities, predictive_log_density
from bayesgmm.model.background import table_box
from bayesgmm.posterior.replicate import rows_of_draws
from bayesgmm.posterior.tree import PosteriorArrays

__all__ = ["FittedPredictions"]

Array = NDArray[np.float64]


class FittedPredictions(FittedBase):
    """Components and densities of rows, of a fit."""

    def predict_proba(self, X: Any, *, to: Any = None) -> Array:
        """Probability of each component for each row, averaged over the draws.

        Parameters
        ----------
        X : table (N, D)
            Array or frame of any library, or `Batches`; a frame is read by the names of its columns. NaN stands for a
            missing cell, unless the fit has ``missing="error"``.
        to : path, optional
            Of a Parquet file that is written, a batch of rows at a time; nothing is returned then.

        Returns
        -------
        array (N, K)
            Rows sum to one; with a noise component (N, K + 1), noise last.

        Raises
        ------
        InputError
            If `X` lacks columns of the fit, or has values that cannot be used.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.predict_proba(X[:2]).round(2)
        array([[0., 1.],
               [1., 0.]])
        """
        self._check_fitted()
        names = [f"probability_{'noise' if k == -1 else k}" for k in self._arrays.class_labels]
        return self._of_rows(X, to, self._given_draws(X, _probabilities), names)

    def predict(self, X: Any, *, to: Any = None) -> NDArray[np.int64]:
        """Most probable component of each row.

        Parameters
        ----------
        X : table (N, D)
            Array or frame of any library, or `Batches`; a frame is read by the names of its columns. NaN stands for a
            missing cell, unless the fit has ``missing="error"``.
        to : path, optional
            Of a Parquet file that is written, a batch of rows at a time; nothing is returned then.

        Returns
        -------
        int array (N,)
            From 0; -1 is noise.

        Raises
        ------
        InputError
            If `X` lacks columns of the fit, or has values that cannot be used.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.predict(X[:2])
        array([1, 0])
        """
        self._check_fitted()
        return self._of_rows(X, to, self._given_draws(X, _labels), ["label"])

    def score_samples(self, X: Any, *, to: Any = None) -> Array:
        """Log posterior predictive density of each row.

        Parameters
        ----------
        X : table (N, D)
            Array or frame of any library, or `Batches`; a frame is read by the names of its columns. NaN stands for a
            missing cell, unless the fit has ``missing="error"``.
        to : path, optional
            Of a Parquet file that is written, a batch of rows at a time; nothing is returned then.

        Returns
        -------
        array (N,)
            In nats, per original unit; of the observed cells where some are missing.

        Raises
        ------
        InputError
            If `X` lacks columns of the fit, or has values that cannot be used.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.score_samples(X[:2]).round(1)
        array([-4.6, -3.7])
        """
        self._check_fitted()
        return self._of_rows(X, to, self._given_draws(X, _log_density), ["log_density"])

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log posterior predictive density of the rows, as scikit-learn's density estimators have it.

        Parameters
        ----------
        X : table (N, D)
            Array or frame of any library; a frame is read by the names of its columns. NaN stands for a missing cell,
            unless the fit has ``missing="error"``.
        y : ignored

        Returns
        -------
        float

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> round(fit.score(X), 1)
        -4.2
        """
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, *, random_seed: int | None = None) -> tuple[Array, NDArray[np.int64]]:
        """Rows from the posterior predictive distribution.

        Parameters
        ----------
        n_samples : int
        random_seed : int or None

        Returns
        -------
        rows : array (n_samples, D)
            In the units of the table.
        components : int array (n_samples,)
            Where each is from; -1 is noise.

        Raises
        ------
        InputError
            If `n_samples` is not a count.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> rows, components = fit.sample(5, random_seed=1)
        >>> rows.shape, components.shape
        ((5, 2), (5,))
        """
        check_count(n_samples, "n_samples", most=MOST_SAMPLES)
        check_seed(random_seed)
        a, rng = self._arrays, np.random.default_rng(random_seed)
        draw = rng.integers(len(a.weights), size=n_samples)
        return rows_of_draws(a, draw, rng, table_box(self.table_) if self.noise else None)


def _probabilities(rows: Array, a: PosteriorArrays) -> Array:
    return mean_responsibilities(as_rows(a.to_model(rows)), a.weights, a.means, a.scaling, row_model=a.row_model)


def _labels(rows: Array, a: PosteriorArrays) -> NDArray[np.int64]:
    return a.class_labels[_probabilities(rows, a).argmax(axis=1)]


def _log_density(rows: Array, a: PosteriorArrays) -> Array:
    value = predictive_log_density(a.to_model(rows), a.weights, a.means, a.scaling, row_model=a.row_model)
    return value - a.log_jacobian(rows)
