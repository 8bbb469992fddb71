"""Rows from the posterior predictive distribution: as many as are wanted from each draw of the parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.background import Box
from bayesgmm.model.standard_rows import draw_rows
from bayesgmm.posterior.tree import PosteriorArrays

__all__ = ["rows_of_draws"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


def rows_of_draws(
    a: PosteriorArrays, draw: IntArray, rng: np.random.Generator, box: Box | None = None
) -> tuple[Array, IntArray]:
    """A row of each of the draws `draw` (n,), some perhaps several times.

    Parameters
    ----------
    a : PosteriorArrays
    draw : int array (n,)
        Indices of draws.
    rng : numpy.random.Generator
    box : Box, optional
        Of the noise; needed where there is a noise component.

    Returns
    -------
    rows : array (n, D)
        In original units, before rounding.
    component : int array (n,)
        -1 for rows of noise.
    """
    uniform = rng.random(len(draw))[:, None]
    chosen = (a.weights[draw, : a.n_classes].cumsum(axis=1) < uniform).sum(axis=1)
    component = np.minimum(chosen, a.n_components - 1)
    df = None if a.df is None else a.df[draw, component]
    standard = draw_rows(rng, len(draw), a.means.shape[2], df)
    z = a.means[draw, component] + np.einsum("nij,nj->ni", a.cholesky[draw, component], standard)
    if a.n_classes > a.n_components:
        assert box is not None
        component = np.where(chosen < a.n_components, component, -1)
        of_noise = component < 0
        z[of_noise] = box.draw(rng, int(of_noise.sum()))
    return a.center + a.scale * z, component
