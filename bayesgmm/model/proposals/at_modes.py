"""Proposals at posterior modes: t or normal densities in each mode's decoupled coordinates, mixed and symmetrised.

The posterior does not change when components are reordered. So a proposal may be averaged over any group of
reorderings without drawing from more than one copy (Fruehwirth-Schnatter 2004), which matters where copies overlap:
there the one-copy density is too small for draws that have wandered to another copy. The group is found from pilot
draws: components whose exchange keeps more than 1e-4 of the density are put together, and all orders within these
sets are summed.

Densities are given relative to the prior, log q(theta) / p(theta): the same number in whichever coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp, softmax

from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.density.decoupled import from_affine, log_prior_of_decoupled, to_affine
from bayesgmm.model.density.density import Density
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import head_in_order
from bayesgmm.model.proposals.exchange import exchangeable, orders_within
from bayesgmm.model.proposals.student_mixture import Proposal

__all__ = ["LocalProposal", "Part", "mixtures_at"]

Array = NDArray[np.float64]

_PILOT = 100
_LEAST_EXCHANGE = math.log(1e-4)
_MAX_ORDERS = 150
_CHUNK = 250


def mixtures_at(density: Density, u: Array) -> Sample:
    """The mixtures at decoupled vectors (S, n_dim)."""
    weights, means, cholesky, latent = density.unpack_both(to_affine(density, u))
    return Sample(weights, means, latent, cholesky)


@dataclass(frozen=True, eq=False)
class Part:
    """A normal (``df = inf``) or t density in the decoupled coordinates of one mode."""

    density: Density
    mean: Array  # (n,)
    factor: Array  # (n, n) lower Cholesky factor of the scale matrix
    df: float

    @property
    def proposal(self) -> Proposal:
        return Proposal(np.ones(1), self.mean[None], self.factor[None], self.df)

    def log_ratio(self, x: Sample, order: Sequence[int] | NDArray[np.int64]) -> Array:
        """(S,) log q / prior with component ``order[k]`` in place k."""
        places = np.asarray(order)
        head = head_in_order(x.weights, places, self.density.structure.row_model)
        packed = self.density.pack_draws(head, x.means[:, places], x.latent[:, places])
        u, normal = from_affine(self.density, packed), self.proposal
        whitened = solve_triangular(self.factor, (u - self.mean).T, lower=True, check_finite=False)
        log_q = normal.log_constants[0] + normal.log_kernel((whitened**2).sum(axis=0))
        return log_q - log_prior_of_decoupled(self.density, u)


@dataclass(frozen=True, eq=False)
class LocalProposal:
    """Parts with weights (M,), averaged over the orders (P, K) of the components."""

    parts: tuple[Part, ...]
    weights: Array
    orders: NDArray[np.int64]

    @classmethod
    def build(cls, parts: Sequence[Part], weights: Array, rng: np.random.Generator) -> LocalProposal:
        """Parts and their weights, with the orders that matter for draws of them."""
        k = parts[0].density.reference.n_components
        alone = cls(tuple(parts), weights / weights.sum(), np.arange(k)[None])
        return replace(alone, orders=_orders(alone, alone.sample(_PILOT, rng)))

    def sample(self, n_samples: int, rng: np.random.Generator) -> Sample:
        """Independent draws, in random order."""
        sizes = rng.multinomial(n_samples, self.weights)
        drawn = [part.proposal.sample(int(size), rng) for part, size in zip(self.parts, sizes, strict=True)]
        places = np.argsort(rng.permutation(n_samples))
        reference = self.parts[0].density.reference
        (k, d), h = reference.means.shape, len(reference.head)
        out = Sample(*(np.empty((n_samples, *shape)) for shape in ((h,), (k, d), (k, d, d), (k, d, d))))
        done = 0
        for part, points in zip(self.parts, drawn, strict=True):
            for start in range(0, len(points), _CHUNK):
                chunk = mixtures_at(part.density, points[start : start + _CHUNK])
                where = places[done : done + len(chunk.weights)]
                for field, values in zip(out, chunk, strict=True):
                    field[where] = values
                done += len(where)
        return out

    def log_ratio(self, x: Sample, cores: int | None = None) -> Array:
        """(S,) log of q / prior."""
        out = np.empty(len(x.weights))

        def work(chunk: slice) -> None:
            for start in range(chunk.start, chunk.stop, _CHUNK):
                s = slice(start, min(start + _CHUNK, chunk.stop))
                terms = [
                    math.log(weight) + part.log_ratio(x.take(s), order)
                    for weight, part in zip(self.weights, self.parts, strict=True)
                    if weight > 0.0
                    for order in self.orders
                ]
                out[s] = logsumexp(terms, axis=0) - math.log(len(self.orders))

        over_threads(work, len(out), cores)
        return out

    def adapted(self, x: Sample, weights: Array) -> LocalProposal:
        """This proposal, and in equal shares one with the moments of weighted draws (S,) of it beside each part.

        A fifth of the old scale matrix is kept, and tails are heavier (df is the number of parameters).
        """
        identity = np.arange(x.means.shape[1])
        of_part = softmax([np.log(w) + p.log_ratio(x, identity) for w, p in zip(self.weights, self.parts, strict=True)],
                          axis=0)  # fmt: skip
        beside = []
        for part, share in zip(self.parts, np.nan_to_num(of_part), strict=True):
            u = from_affine(part.density, part.density.pack_draws(x.weights, x.means, x.latent))
            w = np.where(np.isfinite(u).all(axis=1), share * weights, 0.0)
            if not w.sum() > 0.0:
                beside.append(part)
                continue
            w /= w.sum()
            u = np.where(w[:, None] > 0.0, u, 0.0)
            mean = w @ u
            scale = 0.8 * ((u - mean).T * w) @ (u - mean) + 0.2 * part.factor @ part.factor.T
            beside.append(replace(part, mean=mean, factor=np.linalg.cholesky(scale), df=float(len(mean))))
        halves = np.concatenate([self.weights, self.weights]) / 2.0
        return replace(self, parts=(*self.parts, *beside), weights=halves)

    def describe(self) -> str:
        """In words, for the record."""
        dfs = sorted({part.df for part in self.parts})
        what = (
            "normal" if math.isinf(dfs[0]) else f"t with {' and '.join(f'{df:.0f}' for df in dfs)} degrees of freedom"
        )
        words = what if len(self.parts) == 1 else f"mixture of {len(self.parts)}, {what}"
        if len(self.orders) > 1:
            words += f", symmetrised over {len(self.orders)} orders of the components"
        return words


def _orders(alone: LocalProposal, pilot: Sample) -> NDArray[np.int64]:
    """(P, K) all orders within sets of components that the proposal's draws can exchange; the identity first."""
    k = pilot.means.shape[1]
    own = alone.log_ratio(pilot)
    exchange = {}
    for i, j in combinations(range(k), 2):
        order = np.arange(k)
        order[[i, j]] = j, i
        head = head_in_order(pilot.weights, order, alone.parts[0].density.structure.row_model)
        swapped = Sample(head, *(field[:, order] for field in pilot[1:]))
        gain = np.fmin(alone.log_ratio(swapped) - own, 0.0)
        exchange[i, j] = float(logsumexp(gain) - math.log(len(gain)))
    groups, _ = exchangeable(exchange, k, least=_LEAST_EXCHANGE, most=_MAX_ORDERS)
    return orders_within(groups)
