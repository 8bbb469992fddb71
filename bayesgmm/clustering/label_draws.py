"""Draws of the labels of rows: z given theta, one label a row for every draw of the posterior.

Given the parameters the rows are independent, so z_i is categorical with the responsibilities of row i. One uniform
number decides it: the label is the number of cumulative responsibilities below it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.draw_blocks import blocks_of_draws
from bayesgmm.kernels.rows import as_rows
from bayesgmm.posterior.tree import PosteriorArrays

__all__ = ["MAX_LABELS", "categorical", "draw_labels", "label_of"]

Array = NDArray[np.float64]

MAX_LABELS = 400_000_000  # labels held at once


@compiled(inline="always")
def label_of(r, u):
    """The label, with probabilities r (K,), that the uniform number u decides."""
    k = 0
    while k < r.shape[0] - 1 and u >= r[k]:
        u -= r[k]
        k += 1
    # Rounding may run past the last component that has any probability.
    while r[k] == 0.0 and k > 0:
        k -= 1
    return k


@compiled
def categorical(r, u, out):
    """out[s, i] = label with probabilities r[s, i], decided by the uniform number u[s, i]."""
    for s in range(r.shape[0]):
        for i in range(r.shape[1]):
            out[s, i] = label_of(r[s, i], u[s, i])


def draw_labels(
    rows: Array,
    posterior: PosteriorArrays,
    *,
    known: NDArray[np.int64] | None = None,
    step: int = 1,
    random_seed: int | None = 0,
) -> NDArray[np.integer[Any]]:
    """Labels of rows, a set for every draw.

    Parameters
    ----------
    rows : array (N, D)
        Original units.
    posterior : PosteriorArrays
        From `posterior_arrays(tree)`.
    known : int array (N,), optional
        Component of each row where it is known, else -1.
    step : int
        Take every `step`-th draw.
    random_seed : int or None

    Returns
    -------
    int8 or int16 array (S, N)
        Component of each row, 0..K-1, and -1 for the background.

    Raises
    ------
    InputError
        If the labels would be more than 400 million; a larger `step` or fewer rows make them fit.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.clustering.label_draws import draw_labels
    >>> from bayesgmm.kernels.row_model import RowModel
    >>> from bayesgmm.posterior.tree import PosteriorArrays
    >>> far = np.tile([[-9.0], [9.0]], (2, 1, 1))
    >>> one = np.ones((2, 2, 1, 1))
    >>> p = PosteriorArrays(np.full((2, 2), 0.5), far, one, one, np.zeros(1), np.ones(1), RowModel(True))
    >>> draw_labels(np.array([[-9.0], [8.0]]), p)
    array([[0, 1], [0, 1]], dtype=int8)
    """
    weights, means, scaling = posterior.weights[::step], posterior.means[::step], posterior.scaling[::step]
    n_draws, n_components = means.shape[:2]
    if n_draws * len(rows) > MAX_LABELS:
        raise InputError(
            f"{n_draws:,} draws of {len(rows):,} rows are too many labels to hold: use every "
            f"{-(-n_draws * len(rows) // MAX_LABELS) * step}th draw (step) or fewer rows."
        )
    out = np.empty((n_draws, len(rows)), dtype=np.int8 if n_components <= 128 else np.int16)
    rng = np.random.default_rng(random_seed)
    packed = as_rows(posterior.to_model(rows), known)
    for where, r in blocks_of_draws(packed, weights, means, scaling, row_model=posterior.row_model):
        categorical(r, rng.random(r.shape[:2]), out[where])
    out[out == n_components] = -1
    return out
