"""Degrees of freedom and the scale of t components: the part of an M-step that normal components lack.

PX-EM (Liu, Rubin and Wu 1998): the precisions U that make the rows normal get a scale a of their own, which the
likelihood does not know. Its estimate divides the covariances by sum r u instead of sum r, and EM takes fewer steps.
Given a, the degrees of freedom v solve

    sum_k [n_k (log(v/2) + 1 - digamma(v/2)) + sum r log U - n_k log a_k - (sum r u) / a_k] = 0

over the components that share them, within bounds: above 2, where covariances exist, and below what no table tells
from normal tails.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import digamma
from bayesgmm.model.structure import Structure

__all__ = ["LARGEST_DF", "SMALLEST_DF", "STARTING_DF", "df_in_words", "tail_step"]

Array = NDArray[np.float64]

SMALLEST_DF, LARGEST_DF, STARTING_DF = 2.001, 1000.0, 10.0
_NEARLY = 0.999  # of a bound: accelerated steps come near it
_HALVINGS = 46  # of an interval of length 6: to 1e-13


def tail_step(counts: Array, mass: Array, tail: Array, df: Array, structure: Structure) -> tuple[Array, Array]:
    """New degrees of freedom, and what divides each scatter matrix in place of the counts.

    Parameters
    ----------
    counts, mass, tail : arrays (K,)
        Sums of r, r u and r E(log U - U).
    df : array (1,) or (K,)
        Those at which they were computed.
    structure : Structure

    Returns
    -------
    array of the shape of `df`, array (K,)
    """
    logs = tail + mass  # sums of r E(log U)
    scale = mass / counts
    if structure.shared:  # one covariance, so one scale
        scale = np.full_like(scale, (df * mass).sum() / (df * counts).sum())
    constant = counts + logs - counts * np.log(scale) - mass / scale
    groups = [np.arange(len(counts))] if len(df) == 1 else [np.array([k]) for k in range(len(counts))]
    return np.array([_root(counts[g].sum(), constant[g].sum()) for g in groups]), counts * scale


@compiled
def _slope(n, constant, log_df):
    half = 0.5 * math.exp(log_df)
    return n * (math.log(half) - digamma(half)) + constant


@compiled
def _root(n, constant):
    """v with n (log(v/2) - digamma(v/2)) + constant = 0, which falls with v, by bisection of log v; the bound where
    there is none."""
    low, high = math.log(SMALLEST_DF), math.log(LARGEST_DF)
    if _slope(n, constant, high) >= 0.0:
        return LARGEST_DF
    if _slope(n, constant, low) <= 0.0:
        return SMALLEST_DF
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if _slope(n, constant, middle) > 0.0:
            low = middle
        else:
            high = middle
    return math.exp(0.5 * (low + high))


def df_in_words(df: float) -> str:
    """Degrees of freedom, and what it means where they are at a bound.

    >>> df_in_words(5.234), df_in_words(1000.0), df_in_words(2.001)
    ('5.2', '1000 (the bound: tails are hardly heavier than normal)', '2.0 (the bound: tails are as heavy as allowed)')
    """
    if df >= _NEARLY * LARGEST_DF:
        return f"{df:.0f} (the bound: tails are hardly heavier than normal)"
    return f"{df:.1f}" + (" (the bound: tails are as heavy as allowed)" if df <= SMALLEST_DF / _NEARLY else "")
