"""AIC, BIC and ICL of a fitted mixture; of each, lower is better.

The signs are scikit-learn's; R's mclust reports ``2 log L - ...``, the negative of each. ICL follows mclust:
the classification is the most probable component of each row, so that ICL = BIC - 2 sum_i w_i log max_k r_ik
(Biernacki, Celeux and Govaert 2000; Scrucca et al. 2016). The number of rows is the sum of the row weights.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["aic", "bic", "icl"]

Array = NDArray[np.float64]


def aic(log_likelihood: float, n_parameters: int) -> float:
    """Akaike's criterion, 2 p - 2 log L.

    Examples
    --------
    >>> aic(-100.0, 5)
    210.0
    """
    return 2.0 * n_parameters - 2.0 * log_likelihood


def bic(log_likelihood: float, n_parameters: int, n_rows: float) -> float:
    """Schwarz's criterion, p log N - 2 log L.

    Examples
    --------
    mclust gives -2314.316 for three ellipsoids of one shape on Old Faithful:

    >>> round(bic(-1126.326, 11, 272), 3)
    2314.316
    """
    return n_parameters * math.log(n_rows) - 2.0 * log_likelihood


def icl(log_likelihood: float, n_parameters: int, responsibilities: Array, row_weights: Array | None = None) -> float:
    """Integrated completed likelihood, BIC - 2 sum_i w_i log max_k r_ik.

    Parameters
    ----------
    log_likelihood : float
    n_parameters : int
    responsibilities : array (N, K)
    row_weights : array (N,), optional
        Ones by default.

    Examples
    --------
    >>> round(icl(0.0, 0, np.array([[0.5, 0.5], [1.0, 0.0]])), 4)
    1.3863
    """
    weights = np.ones(len(responsibilities)) if row_weights is None else row_weights
    doubt = float(weights @ np.log(responsibilities.max(axis=1)))
    return bic(log_likelihood, n_parameters, float(weights.sum())) - 2.0 * doubt
