"""The posterior as a function of one flat unconstrained vector: log density and gradient, compiled.

Coordinates (EM-affine). With a reference mixture (weights w0, means mu0, Cholesky factors L0, usually a
posterior mode) the flat vector holds, each multiplied by its own step,

- stick-breaking logits of the weights, v_k = w_k / (1 - w_1 - ... - w_{k-1}), relative to the reference:
  under a Dirichlet prior the v_k are independent beta variables given the allocations; of what else the head of the
  mixture has (`kernels.row_model`), the logit of the background's weight and log(v - 2) of degrees of freedom v;
- m_k with mu_k = mu0_k + L0_k m_k;
- the free cells of T_k with M_k = M0_k T_k, the diagonal as logarithms, where M_k M_k' is the covariance before
  rounding: L_k L_k' = M_k M_k' + diag(step^2 / 12), and L_k = M_k where nothing was rounded.

A Gaussian family is closed under affine maps, so in these coordinates every component looks like a standard
one and the information about it depends on its number of rows alone. Steps are one over the square root of
that information.

The likelihood enters through the sufficient statistics of one `mixture_pass`; everything after it costs
O(K D^3), whatever N (`model.density.log_posterior`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma

from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.density.coordinates import LEAST_DF, unpack_draws
from bayesgmm.model.density.layout import Packed, header, split, with_rows
from bayesgmm.model.density.log_posterior import log_posterior_gradient, log_posteriors
from bayesgmm.model.density.prior_density import log_prior_draws
from bayesgmm.model.params import MixtureParams, inverse_cholesky, latent_cholesky
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import Structure

__all__ = ["Density", "head_coordinates", "stick_logits"]

Array = NDArray[np.float64]

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Density:
    """Log posterior of one table under one prior, in the coordinates of one reference mixture.

    Build it with `Density.build`. Everything is on the model's scale: standardised columns, or original
    units with ``standardize=False``.
    """

    structure: Structure
    reference: MixtureParams
    ints: NDArray[np.int64]
    floats: Array
    n_dim: int
    prior: ResolvedPrior

    @classmethod
    def build(
        cls, problem: Problem, reference: MixtureParams, *,
        rowless: bool = False, memory: Density | None = None,
    ) -> Density:  # fmt: skip
        """Pack a problem; `reference` (model's scale) fixes the coordinates and is the origin.

        Parameters
        ----------
        rowless : bool
            Leave the rows out, for coordinates alone (`pack`, `params`): the posterior is then the prior.
        memory : Density, optional
            One of the same table, structure and number of components whose memory is taken over, rows and all; it
            must not be used afterwards.
        """
        table, structure, prior = problem
        k, d = reference.n_components, reference.n_features
        g, c = structure.n_matrices(k), structure.n_cells(d)
        total = float(table.weights.sum())
        cells = structure.cells(d)
        sd_parameters, floor = prior.cells(structure), prior.rounding(structure)
        latent_ref = latent_cholesky(reference.covariances[:g], floor)
        chol_ref = np.linalg.cholesky(latent_ref @ latent_ref.mT + np.diag(floor)) if floor.any() else latent_ref
        n_k = total * reference.weights  # (K,)
        head = reference.head
        # Prior information about m and T, so that a component without rows keeps a finite step.
        spread = np.sqrt(np.diagonal(reference.covariances, axis1=1, axis2=2))  # (K, D)
        mean_step = 1.0 / np.sqrt(n_k[:, None] + (spread / prior.mean_scale) ** 2)
        n_g = structure.matrix_rows(n_k)
        cell_step = np.empty((g, c))
        for i, j in zip(*np.nonzero(cells >= 0), strict=True):
            shared_by = d if c == 1 else 1
            information = 2.0 * shared_by * n_g + 2.0 if i == j else n_g + 2.0
            cell_step[:, cells[i, j]] = 1.0 / np.sqrt(information)
        stick_ref = head_coordinates(head, structure, k)
        stick_step = _head_steps(head, total, prior, structure, k, d)
        log_diag, log_diag_latent = (
            np.log(np.diagonal(factor, axis1=1, axis2=2)) for factor in (chol_ref, latent_ref)
        )  # (G, D)
        constant = (
            np.log(stick_step).sum()
            - k * (d * _LOG_SQRT_2PI + np.log(prior.mean_scale).sum()) + np.log(mean_step).sum()
            + log_diag.sum() * (k if g == 1 else 1)
            + (log_diag_latent * structure.log_jacobian_powers(d)).sum() + np.log(cell_step).sum()
            + g * structure.log_prior_constant(d, prior.lkj_eta) + prior.log_head_constant(structure, k)
        )  # fmt: skip
        n_rows = 0 if rowless else table.n_rows
        correlated = structure.pattern(d).correlated
        ints = header(n_rows, k, g, c, sd_parameters.shape[1], correlated, prior.family.code,
                      structure.has_background, structure.n_df(k), cells)  # fmt: skip
        numbers = np.concatenate([
            reference.means.ravel(), chol_ref.ravel(), inverse_cholesky(chol_ref).ravel(), mean_step.ravel(),
            cell_step.ravel(), stick_ref, stick_step, prior.mean_loc, prior.mean_scale, sd_parameters.ravel(), floor,
            latent_ref.ravel(), structure.background, prior.noise, prior.df,
            [prior.lkj_eta, prior.concentration, constant],
        ])  # fmt: skip
        # The rows come first in the array, and may be as large as memory allows: they are written once, in place.
        size = n_rows * (d + 1)
        if memory is None:
            floats = np.empty(size + len(numbers))
            if n_rows:
                features = floats[: n_rows * d].reshape(d, n_rows)
                table.write_features(features)
                rows = rows_of(features)
                ints = with_rows(ints, rows if table.known is None else rows._replace(known=table.known))
                floats[n_rows * d : size] = table.weights
        else:
            floats, ints = memory.floats, with_rows(ints, memory.packed.rows)
        floats[size:] = numbers
        return cls(structure, reference, ints, floats, len(head) - 1 + k * d + g * c, prior)

    @cached_property
    def packed(self) -> Packed:
        """What is packed, as views."""
        return cast(Packed, split(self.ints, self.floats))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Log posterior density at x (n_dim,) and its gradient."""
        gradient = np.empty(self.n_dim)
        value = log_posterior_gradient(np.ascontiguousarray(x, dtype=float), gradient, self.ints, self.floats)
        return float(value), gradient

    def gradient(self, x: Array) -> Array:
        """Gradient of the log posterior density at x (n_dim,)."""
        return self.value_and_gradient(x)[1]

    def log_posterior(self, draws: Array) -> Array:
        """(S,) log posterior density of flat vectors (S, n_dim), over threads."""
        x, out = np.ascontiguousarray(draws), np.empty(len(draws))
        over_threads(lambda s: log_posteriors(x[s], self.ints, self.floats, out[s]), len(x))
        return out

    def unpack(self, draws: Array) -> tuple[Array, Array, Array]:
        """Flat draws (S, n_dim) -> heads (S, H), means (S, K, D), lower Cholesky factors (S, K, D, D)."""
        return self.unpack_both(draws)[:3]

    def unpack_latent(self, draws: Array) -> tuple[Array, Array, Array]:
        """As `unpack`, with the Cholesky factors of the covariances before rounding; inverse of `pack_draws`."""
        weights, means, _, latent = self.unpack_both(draws)
        return weights, means, latent

    def unpack_both(self, draws: Array) -> tuple[Array, Array, Array, Array]:
        """As `unpack`, and the Cholesky factors before rounding besides."""
        flat = np.ascontiguousarray(np.atleast_2d(draws), dtype=float)
        s, k, d = len(flat), self.reference.n_components, self.reference.n_features
        weights, means, cholesky = np.empty((s, len(self.reference.head))), np.empty((s, k, d)), np.empty((s, k, d, d))
        latent = np.empty_like(cholesky)
        unpack_draws(flat, self.ints, self.floats, weights, means, cholesky, latent)
        return weights, means, cholesky, latent

    def log_prior_of(self, draws: Array) -> Array:
        """(S,) `log_prior` of flat draws (S, n_dim)."""
        return self.log_prior(*self.unpack_latent(draws))

    def log_prior(self, weights: Array, means: Array, latent: Array) -> Array:
        """(S,) log prior density of weights, means, sds and free cells of the correlation Cholesky factor.

        The sds and correlations are those before rounding, with Cholesky factors `latent` (S, K, D, D). Free of the
        sampler's coordinates and of the order of the components.
        """
        k, d = self.reference.n_components, self.reference.n_features
        out = np.empty(len(weights))
        log_prior_draws(weights, means, latent, self.ints, self.floats, out)
        constant = self.prior.log_head_constant(self.structure, k)
        constant += self.structure.n_matrices(k) * self.structure.log_prior_constant(d, self.packed.eta)
        return out + constant

    def params(self, x: Array) -> MixtureParams:
        """The mixture at x (n_dim,), on the model's scale."""
        weights, means, cholesky = (a[0] for a in self.unpack(x))
        covariances = cholesky @ np.swapaxes(cholesky, 1, 2)
        return MixtureParams.of_head(weights, means, covariances, self.structure)

    def pack(self, params: MixtureParams) -> Array:
        """The flat vector of a mixture on the model's scale; inverse of `params`."""
        floor, g = self.packed.floor, self.structure.n_matrices(params.n_components)
        latent = latent_cholesky(params.covariances[:g], floor)
        return self.pack_draws(params.head[None], params.means[None], latent[None])[0]

    def pack_draws(self, weights: Array, means: Array, latent: Array) -> Array:
        """Flat vectors (S, n_dim) of draws on the model's scale.

        Parameters
        ----------
        weights, means : arrays (S, H), (S, K, D)
        latent : array (S, G, D, D)
            Lower Cholesky factors of the covariances before rounding, as `latent_cholesky` gives them; one matrix a
            draw when the structure shares it, and further ones are not read.
        """
        packed = self.packed
        s, k, d = means.shape
        g = len(packed.inv_ref)
        shift = means - self.reference.means
        m = np.einsum("kij,skj->ski", np.broadcast_to(packed.inv_ref, (k, d, d)), shift)
        cells = self.structure.cells(d)
        factors = np.linalg.solve(packed.latent_ref, latent[:, :g])
        free = np.empty((s, g, cells.max() + 1))
        for i, j in zip(*np.nonzero(cells >= 0), strict=True):
            free[:, :, cells[i, j]] = np.log(factors[:, :, i, i]) if i == j else factors[:, :, i, j]
        return np.concatenate([
            (head_coordinates(weights, self.structure, k) - packed.stick_ref) / packed.stick_step,
            (m / packed.mean_step).reshape(s, -1),
            (free / packed.cell_step).reshape(s, -1),
        ], axis=1)  # fmt: skip


def stick_logits(weights: Array) -> Array:
    """Stick-breaking logits (..., K-1) of weights (..., K), log w_k - log(w_k+1 + ... + w_K)."""
    tiny = np.finfo(float).tiny
    tail = np.cumsum(weights[..., ::-1], axis=-1)[..., ::-1]
    return np.log(np.maximum(weights[..., :-1], tiny)) - np.log(np.maximum(tail[..., 1:], tiny))


def head_coordinates(head: Array, structure: Structure, n_components: int) -> Array:
    """Of heads (..., H): stick-breaking logits of the weights, the logit of the background's, logs of v - 2."""
    classes = structure.n_classes(n_components)
    noise = head[..., n_components:classes]
    over = np.log(np.maximum(head[..., classes:] - LEAST_DF, 1e-10))
    logit = np.log(np.maximum(noise, np.finfo(float).tiny)) - np.log1p(-noise)
    return np.concatenate([stick_logits(head[..., :n_components]), logit, over], axis=-1)


def _head_steps(head: Array, total: float, prior: ResolvedPrior, structure: Structure, k: int, d: int) -> Array:
    """(H - 1,) about the posterior sd of each coordinate of a head, given the rows that its weights stand for."""
    counts, classes = total * head[:k], structure.n_classes(k)
    a = counts[:-1] + prior.concentration
    b = np.cumsum(counts[::-1])[::-1][1:] + prior.concentration * np.arange(k - 1, 0, -1)
    noise = total * head[k:classes]
    logit = 1.0 / (noise + prior.noise[0]) + 1.0 / (counts.sum() + prior.noise[1])
    df = head[classes:]
    rows = counts if len(df) > 1 else counts.sum()
    # Expected information of the degrees of freedom of a t density (Lange, Little and Taylor 1989), and the prior's.
    information = polygamma(1, 0.5 * df) - polygamma(1, 0.5 * (df + d))
    information -= 2.0 * d * (df + d + 4.0) / (df * (df + d) * (df + d + 2.0))
    curvature = prior.df[0] + 0.25 * rows * np.maximum(information, 0.0) * (df - LEAST_DF) ** 2
    return np.concatenate([np.sqrt(1.0 / a + 1.0 / b), np.sqrt(logit), 1.0 / np.sqrt(curvature)])
