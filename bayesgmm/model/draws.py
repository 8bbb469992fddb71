"""Draws of the mixture on the model's scale, before relabelling: what a sampler returns, and those of one mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.table import Table
from bayesgmm.kernels.streaming import total_log_likelihood
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.structure import Structure
from bayesgmm.model.table_rows import table_rows

__all__ = ["Draws", "Sample"]

Array = NDArray[np.float64]


class Sample(NamedTuple):
    """Draws of one mode, components in one order; G is K, or 1 for a shared covariance."""

    weights: Array  # (S, H) heads, see `kernels.row_model`
    means: Array  # (S, K, D)
    latent: Array  # (S, G, D, D) factors of the covariances before rounding
    cholesky: Array  # (S, G, D, D)

    def take(self, index: NDArray[np.integer[Any]] | slice) -> Sample:
        """Some of the draws, in memory of their own."""
        return Sample(*(np.ascontiguousarray(a[index]) for a in self))

    @classmethod
    def pooled(cls, parts: Sequence[Sample]) -> Sample:
        """The draws of all parts."""
        return parts[0] if len(parts) == 1 else cls(*(np.concatenate(a) for a in zip(*parts, strict=True)))

    @property
    def scaling(self) -> Array:
        """(S, K, D, D) inverse factors of each component."""
        s, k, d = self.means.shape
        return np.broadcast_to(inverse_cholesky(self.cholesky), (s, k, d, d)).copy()


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of C chains, S draws each.

    Parameters
    ----------
    weights, means, cholesky : arrays (C, S, H), (C, S, K, D), (C, S, K, D, D)
        On the model's scale: heads (see `kernels.row_model`), means, and lower Cholesky factors of the covariances.
    log_prior : array (C, S)
        Log prior density with respect to weights, means, sds and correlations.
    stats : dict of arrays (C, S)
        Sampler statistics under nutpie's names (``diverging``, ``n_steps``, ``logp``, ...).
    chain_mode : array (C,)
        Row of `modes` at which each chain started.
    modes : DataFrame
        Distinct posterior modes: log posterior, Laplace evidence, how many starts led there.
    seconds : float
        Wall time of sampling.
    partial : bool
        True when the run was interrupted; the draws are those made so far.
    method : str
        What was run, in words.
    notes : tuple of str
        Sentences for the reader of the diagnosis.
    extra : dict
        What only some methods know, stored with the draws: numbers and text as attributes (``pareto_k``, ...),
        arrays (I,) as variables of a group ``approximation`` (``elbo``, one value an iteration).
    """

    weights: Array
    means: Array
    cholesky: Array
    log_prior: Array
    stats: dict[str, NDArray[Any]]
    chain_mode: NDArray[np.int64]
    modes: pd.DataFrame
    seconds: float
    partial: bool
    method: str
    notes: tuple[str, ...] = field(default=())
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, S, K, D)."""
        return self.means.shape

    def thinned(self, step: int) -> Draws:
        """Every `step`-th draw; it answers for the divergences and the gradients of those left out before it."""
        kept = slice(step - 1, None, step)
        n_kept = self.shape[1] // step
        stats = {name: values[:, kept] for name, values in self.stats.items()}
        for name, combine in (("diverging", np.any), ("maxdepth_reached", np.any), ("n_steps", np.sum)):
            if name in self.stats:
                windows = self.stats[name][:, : n_kept * step].reshape(self.shape[0], n_kept, step)
                stats[name] = combine(windows, axis=2)
        return replace(
            self,
            weights=np.ascontiguousarray(self.weights[:, kept]),
            means=np.ascontiguousarray(self.means[:, kept]),
            cholesky=np.ascontiguousarray(self.cholesky[:, kept]),
            log_prior=np.ascontiguousarray(self.log_prior[:, kept]),
            stats=stats,
        )

    def flat(self) -> tuple[Array, Array, Array]:
        """Chains pooled: heads (CS, H), means (CS, K, D) and scaling (CS, K, D, D), inverses of `cholesky`."""
        c, s, k, d = self.shape
        return (
            self.weights.reshape(c * s, -1),
            self.means.reshape(c * s, k, d),
            inverse_cholesky(self.cholesky).reshape(c * s, k, d, d),
        )

    def log_likelihood(self, table: Table, structure: Structure) -> Array:
        """(C, S) weighted log-likelihood of each draw, in original units: as its sampler left it, if it did."""
        if "log_likelihood" in self.stats:
            return self.stats["log_likelihood"] - float(table.log_jacobian @ table.weights)
        out = total_log_likelihood(table_rows(table), table.weights, *self.flat(), row_model=structure.row_model)
        out -= float(table.log_jacobian @ table.weights)
        return out.reshape(self.shape[:2])
