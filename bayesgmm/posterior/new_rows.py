"""Rows that the fitted mixture expects, drawn from the posterior predictive distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.background import Box
from bayesgmm.model.standard_rows import draw_rows
from bayesgmm.posterior.tree import PosteriorArrays

__all__ = ["draw_new_rows"]


def draw_new_rows(
    a: PosteriorArrays, n: int, rng: np.random.Generator, box: Box | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows (n, D) in original units, each of some draw, and their components (n,), -1 for noise from `box`."""
    draw = rng.integers(len(a.weights), size=n)
    uniform = rng.random(n)[:, None]
    chosen = (a.weights[draw, : a.n_classes].cumsum(axis=1) < uniform).sum(axis=1)
    component = np.minimum(chosen, a.n_components - 1)
    df = None if a.df is None else a.df[draw, component]
    standard = draw_rows(rng, n, a.means.shape[2], df)
    z = a.means[draw, component] + np.einsum("nij,nj->ni", a.cholesky[draw, component], standard)
    if box is not None:
        component = np.where(chosen < a.n_components, component, -1)
        of_noise = component < 0
        z[of_noise] = box.draw(rng, int(of_noise.sum()))
    return a.center + a.scale * z, component
