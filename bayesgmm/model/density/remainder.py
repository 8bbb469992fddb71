"""What the second-order log-likelihood of many rows leaves out, from a sample of them, with its standard error.

The remainder of a row (`model.density.expansion`) is zero where its component is certain, and about a third cumulant of
d_k's elsewhere. Rows are therefore drawn, independently, with probabilities half in proportion to

    weight  sum_k r_k (1 - r_k) [(1 + |y_k|^2 + |y_k|^4 / 2) / n_k]^(3/2),

the size that the remainder of a row may have, which is largest for the undecided rows of small components, and half
equal. The sum over all rows is the sum over the sample, each divided by its probability pi (Horvitz and Thompson 1952),
of variance sum of (1 - pi) (remainder / pi)^2 over the sample. All draws share the sample.

Quiroz, M., Kohn, R., Villani, M., Tran, M.-N. (2019). Speeding up MCMC by efficient data subsampling. JASA 114,
831-843.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from operator import add as both

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.blocks import add, fold_blocks
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import RowModel, n_classes
from bayesgmm.kernels.row_pass import component_log_densities
from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.density.expansion import Block, Expansion, weighed
from bayesgmm.model.params import MixtureParams, inverse_cholesky

__all__ = ["RowSample", "sample_rows"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RowSample:
    """Rows drawn with probabilities pi.

    Attributes
    ----------
    expansion : Expansion
    features : array (D, m)
    weights, probability : arrays (m,)
    """

    expansion: Expansion
    features: Array
    weights: Array
    probability: Array

    def remainders(self, heads: Array, means: Array, cholesky: Array, cores: int | None = None) -> tuple[Array, Array]:
        """(S,) log-likelihoods less those to second order, and their standard errors."""
        ex, (m, s) = self.expansion, (len(self.weights), len(heads))
        log_density, r = weighed(self.features, ex.reference, ex.row_model)
        at_reference = np.empty((m, ex.reference.n_components))
        component_log_densities(self.features, ex.reference.means, ex.reference.scaling, ex.row_model, at_reference)
        log_heads = np.log(np.maximum(heads, np.finfo(float).tiny)) - np.log(ex.reference.head)
        scale, kept = self.weights / self.probability, 1.0 - self.probability
        scaling, out, variance = inverse_cholesky(cholesky), np.empty(s), np.empty(s)

        def work(part: slice) -> None:
            _remainders(
                self.features, at_reference, r, scale, kept, log_heads[part], means[part], scaling[part],
                ex.row_model, out[part], variance[part],
            )  # fmt: skip

        over_threads(work, s, cores)
        return out, np.sqrt(variance)


def sample_rows(
    blocks: Iterable[Block], expansion: Expansion, size: int, rng: np.random.Generator, cores: int | None = None
) -> RowSample:
    """About so many rows, by two passes: one for the sizes of the remainders, one that draws."""
    counts = np.maximum(expansion.first[:: _stride(expansion)][: expansion.reference.n_components], 1e-10)
    sizes = partial(_sizes, reference=expansion.reference, row_model=expansion.row_model, counts=counts)
    (total,) = fold_blocks(partial(_total_size, sizes=sizes), add, blocks, cores)
    rate = 0.5 * size / total if total > 0.0 else 0.0
    equal = 0.5 * size / max(expansion.n_rows, 1)
    seed = int(rng.spawn(1)[0].integers(2**63))
    parts = fold_blocks(partial(_drawn, sizes=sizes, equal=equal, rate=rate, seed=seed), both, blocks, cores)
    features, weights, probability = (np.concatenate([part[i] for part in parts], axis=-1) for i in range(3))
    return RowSample(expansion, np.ascontiguousarray(features), weights, probability)


def _total_size(block: Block, number: int, sizes: Callable[[Block], Array]) -> tuple[float]:
    return (float(sizes(block).sum()),)


def _drawn(
    block: Block, number: int, sizes: Callable[[Block], Array], equal: float, rate: float, seed: int
) -> list[tuple[Array, Array, Array]]:
    features, weights = block
    probability = np.minimum(equal + rate * sizes(block), 1.0)
    drawn = np.random.default_rng([seed, number]).random(len(weights)) < probability
    return [(features[:, drawn], weights[drawn], probability[drawn])]


def _stride(expansion: Expansion) -> int:
    """Q: where the counts of the components stand in the first-order sums."""
    k = expansion.reference.n_components
    return (len(expansion.first) - (n_classes(expansion.row_model, k) - k)) // k


def _sizes(block: Block, reference: MixtureParams, row_model: RowModel, counts: Array) -> Array:
    """(n,) the size that the remainder of a row may have, up to a factor."""
    features, weights = block
    features = np.ascontiguousarray(features)
    r = weighed(features, reference, row_model)[1]
    out = np.zeros(len(weights))
    for c in range(reference.n_components):
        doubt = r[:, c] * (1.0 - r[:, c])
        some = np.flatnonzero(doubt > 1e-12)
        y = reference.scaling[c] @ (features[:, some] - reference.means[c][:, None])
        square = (y**2).sum(axis=0)
        out[some] += doubt[some] * ((1.0 + square + 0.5 * square**2) / counts[c]) ** 1.5
    return weights * out


@compiled
def _remainders(features, at_reference, r, scale, kept, log_heads, means, scaling, row_model, out, variance):
    """Per draw: weighted sum over rows of the remainder, and its variance; `log_heads` relative to the reference."""
    m, k = at_reference.shape
    change = np.empty((m, k))
    for s in range(means.shape[0]):
        component_log_densities(features, means[s], scaling[s], row_model, change)
        total, square = 0.0, 0.0
        for i in range(m):
            mean, spread, highest = 0.0, 0.0, -np.inf
            for c in range(r.shape[1]):
                d = log_heads[s, c] + (change[i, c] - at_reference[i, c] if c < k else 0.0)
                if r[i, c] > 0.0:
                    highest = max(highest, d)
                    mean += r[i, c] * d
                    spread += r[i, c] * d * d
            whole = 0.0
            for c in range(r.shape[1]):
                d = log_heads[s, c] + (change[i, c] - at_reference[i, c] if c < k else 0.0)
                if r[i, c] > 0.0:
                    whole += r[i, c] * np.exp(d - highest)
            rest = scale[i] * (highest + np.log(whole) - mean - 0.5 * (spread - mean * mean))
            total += rest
            square += kept[i] * rest * rest
        out[s] = total
        variance[s] = square
