"""Log evidence of a mixture, log p(y | K), by symmetrised bridge sampling.

Half of every chain fits a proposal in EM-affine coordinates around the posterior mean, the other half is bridged to
it (`model.proposals.bridge`), with the proposal summed over relabellings of the components
(`model.proposals.symmetric`), so the result is exact in the limit whether or not the draws could be relabelled
cleanly. "One mode + log K!" is the special case of no overlap; omega, the posterior mean of log sum_sigma q(sigma x) /
q(x), says whether it would have done (below 0.01 it does).

The evidence is per original unit of the data: the density of the rows before standardising. With row weights it is
the constant of the weighted likelihood, prod_i p(y_i | theta)^{a_i}. The rounding of a column enters as in the prior:
the prior acts on the covariance less diag(step^2 / 12).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, softmax

from bayesgmm.arguments import as_numbers, shown
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import MixtureParams, inverse_cholesky, latent_cholesky
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.bridge import BridgeEstimate, bridge
from bayesgmm.model.proposals.bridge_by_modes import bridge_by_modes
from bayesgmm.model.proposals.student_mixture import fit_proposal
from bayesgmm.model.proposals.symmetric import permuted_log_density, relevant_permutations
from bayesgmm.model.relabel import relabel
from bayesgmm.model.structure import Structure
from bayesgmm.posterior.tree import posterior_arrays, read_draws
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["MCSE_MAX", "Evidence", "chosen_chains", "evidence_of_draws", "log_evidence", "mode_weights"]

Array = NDArray[np.float64]

MCSE_MAX = 0.5
OMEGA_SEPARATE = 0.01
_LEFT_OUT_MAX = 0.01
_SHARP = 0.03  # Monte Carlo error with which the first, cheaper proposal is kept
_MANY = 6  # relabellings above which one proposal a mode comes first: it costs 2^K, not K!
_SHARP_ENOUGH, _COSTLY = 0.15, 200_000  # relabellings times dimensions, beyond which it is the only one
_PILOT = 200  # draws that decide which permutations matter


@dataclass(frozen=True, eq=False, repr=False)
class Evidence(Record):
    """Log evidence and how well it is known.

    Attributes
    ----------
    value : float
        log p(y | K) per original unit; meaningless where `ok` is False.
    mcse : float
        Monte Carlo standard error of `value`.
    omega : float
        Posterior mean of log sum_sigma q(sigma x) / q(x): 0 when the K! copies are apart, at most log K!.
    overlap : float
        Of posterior and proposal, between 0 and 1.
    n_components, n_permutations : int
        K, and the relabellings that were summed.
    left_out : float
        Share of the density held by a relabelling that was not summed (K > 6 only).
    method : str
        In words.
    deviance : array (C, S)
        Squared distance of the component means from their prior, summed; `evidence_sensitivity` needs it.
    n_means : int
        Component means times features, K D.
    """

    value: float
    mcse: float
    omega: float
    overlap: float
    n_components: int
    n_permutations: int
    left_out: float
    method: str
    deviance: Array
    n_means: int

    @property
    def ok(self) -> bool:
        """Whether the value may be used."""
        return not self._reasons()

    def _reasons(self) -> list[str]:
        reasons = []
        if not self.mcse <= MCSE_MAX:
            reasons.append(
                f"its Monte Carlo error is {self.mcse:.2g}, above {MCSE_MAX:g} (overlap of posterior and proposal "
                f"{self.overlap:.2g}): sample more draws, or fewer components"
            )
        if self.left_out > _LEFT_OUT_MAX:
            reasons.append(
                f"{self.n_components} overlapping components have too many relabellings to sum over (one left out "
                f"holds {self.left_out:.1%} of the density): use fewer components"
            )
        return reasons

    def __str__(self) -> str:
        k = f"{self.n_components} component{'s' * (self.n_components != 1)}"
        reasons = self._reasons()
        if reasons:
            return f"No log evidence for {k}: {'; '.join(reasons)}."
        return f"Log evidence for {k}: {self.value:.2f}, Monte Carlo error {self.mcse:.2g} ({self.method})."


def log_evidence(
    tree: xarray.DataTree,
    problem: Problem,
    *,
    chains: Sequence[int] | None = None,
    random_seed: int = 0,
) -> Evidence:
    """Log evidence from the draws of a fit.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    problem : Problem
        What the draws were made with: a fit's ``table_``, its structure and ``prior_``.
    chains : sequence of int, optional
        Only these chains, relabelled on their own: the share of the evidence of the mode they sit in, when modes are
        so far apart that chains do not exchange. The shares add up; see `mode_weights`.
    random_seed : int
        Seed of the draws of the proposal.

    Returns
    -------
    Evidence

    Raises
    ------
    InputError
        If there are too few draws for the number of parameters.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.model_selection.evidence.bridge_sampling import log_evidence
    >>> from bayesgmm.model.problem import Problem
    >>> from bayesgmm.model.structure import get_structure
    >>> fit = bg.BayesianGMM(1, draws=500, random_seed=1, progressbar=False).fit([[1.0], [2.0], [4.0], [2.5]])
    >>> e = log_evidence(fit.posterior_, Problem(fit.table_, get_structure("full"), fit.prior_))
    >>> e.ok, e.omega
    (True, 0.0)
    """
    if problem.table.known is not None:
        raise InputError(
            "Evidence counts all ways to number the components, of which known labels leave only some: it is not to be "
            "had of a fit with known labels; compare such fits by LOO."
        )
    table, structure, _ = problem
    arrays, shape = posterior_arrays(tree), read_draws(tree).log_likelihood.shape
    pooled = (arrays.weights, arrays.means, arrays.cholesky)
    weights, means, cholesky = (a.reshape(*shape, *a.shape[1:]) for a in pooled)
    if chains is not None:
        index = chosen_chains(tree, chains)
        weights, means, cholesky = _one_mode(table, structure, weights[index], means[index], cholesky[index])
    return evidence_of_draws(weights, means, cholesky, problem, random_seed=random_seed)


def chosen_chains(tree: xarray.DataTree, chains: Any) -> list[int]:
    """The numbers of some chains of a fit, checked."""
    last = tree["posterior"].sizes["chain"] - 1
    must = f"be some of 0..{last}, the chains of this fit"
    index = as_numbers(chains, "chains", must)
    if index.ndim != 1 or not len(index) or not np.isin(index, np.arange(last + 1)).all():
        raise InputError(f"chains={shown(chains)} must {must}.")
    return [int(i) for i in index]


def _one_mode(
    table: Table, structure: Structure, weights: Array, means: Array, cholesky: Array
) -> tuple[Array, Array, Array]:
    """The draws of some chains (C, S, ...), relabelled on their own."""
    draws = [a.reshape(-1, *a.shape[2:]) for a in (weights, means, cholesky)]
    relabelling = relabel(
        table.standardized, draws[0], draws[1], inverse_cholesky(draws[2]), row_model=structure.row_model,
        row_weights=table.weights,
    )  # fmt: skip
    shape = weights.shape[:2]
    heads = relabelling.apply_head(draws[0], structure.row_model)
    w, m, c = (a.reshape(*shape, *a.shape[1:]) for a in (heads, *(relabelling.apply(a) for a in draws[1:])))
    return w, m, c


def evidence_of_draws(
    weights: Array,
    means: Array,
    cholesky: Array,
    problem: Problem,
    *,
    random_seed: int = 0,
) -> Evidence:
    """`log_evidence` of relabelled draws on the model's scale: heads (C, S, H), (C, S, K, D), (C, S, K, D, D)."""
    table, structure, prior = problem
    n_chains, n_draws, k, d = means.shape
    if n_draws < 20:
        raise InputError(f"log evidence needs at least 20 draws a chain, got {n_draws}: sample more draws.")
    rng = np.random.default_rng(random_seed)
    covariances = cholesky @ cholesky.mT
    reference = MixtureParams.of_head(
        weights.mean(axis=(0, 1)), means.mean(axis=(0, 1)), covariances.mean(axis=(0, 1)), structure
    )
    density = Density.build(problem, reference)
    floor = prior.rounding(structure)
    latent = latent_cholesky(covariances.reshape(-1, d, d), floor).reshape(-1, k, d, d) if floor.any() else (
        cholesky.reshape(-1, k, d, d)
    )  # fmt: skip
    flat = (weights.reshape(-1, weights.shape[2]), means.reshape(-1, k, d), np.ascontiguousarray(latent))
    x = density.pack_draws(*flat).reshape(n_chains, n_draws, -1)
    half = n_draws // 2
    proposal = fit_proposal(x[:, :half], random_seed=random_seed)

    def by_modes() -> BridgeEstimate | None:
        if not structure.is_normal:  # its proposals are of normal components
            return None
        return bridge_by_modes(
            weights, means, latent.reshape(means.shape[:3] + (d, d)), cholesky, problem,
            random_seed=random_seed,
        )  # fmt: skip

    kept = [a.reshape(n_chains, n_draws, *a.shape[1:])[:, half:] for a in flat]
    w, m, t = (np.ascontiguousarray(a.reshape(-1, *a.shape[2:])) for a in kept)
    pilot = slice(None, None, max(1, len(w) // _PILOT))
    order, left_out = relevant_permutations(proposal, density, w[pilot], m[pilot], t[pilot])
    log_copies = float(gammaln(k + 1))
    words = "bridge sampling, one proposal a mode, summed over all relabellings"
    log_jacobian = float(table.log_jacobian @ table.weights)

    def evidence(estimate: BridgeEstimate, words: str, omega: float, left_out: float) -> Evidence:
        return Evidence(
            value=estimate.log_value - log_jacobian,
            mcse=estimate.mcse,
            omega=omega,
            overlap=estimate.overlap,
            n_components=k,
            n_permutations=len(order),
            left_out=left_out,
            method=words,
            deviance=(((means - prior.mean_loc) / prior.mean_scale) ** 2).sum(axis=(2, 3)),
            n_means=k * d,
        )

    first_try = by_modes() if len(order) > _MANY else None
    costly = len(order) * density.n_dim > _COSTLY
    if first_try is not None and (first_try.mcse < _SHARP_ENOUGH or costly):
        total, first = permuted_log_density(proposal, density, w[pilot], m[pilot], t[pilot], order)
        return evidence(first_try, words, float((total - first).mean()), 0.0)

    log_p = density.log_posterior(x[:, half:].reshape(-1, density.n_dim)).reshape(n_chains, -1)
    total, first = permuted_log_density(proposal, density, w, m, t, order)
    log_q = total.reshape(n_chains, -1) - log_copies

    y = proposal.sample(n_chains * n_draws, rng)
    proposed_log_p = density.log_posterior(y)
    inside = np.isfinite(proposed_log_p)
    w, m, t = density.unpack_latent(y[inside])
    proposed_log_q = np.zeros(len(y))
    proposed_log_q[inside] = permuted_log_density(proposal, density, w, m, t, order)[0] - log_copies
    estimate = bridge(log_p, log_q, proposed_log_p, proposed_log_q)

    omega = float((total - first).mean())
    if not estimate.mcse < _SHARP:  # several modes, or components that follow the prior
        other = first_try if len(order) > _MANY else by_modes()
        if other is not None and (other.mcse < estimate.mcse or not np.isfinite(estimate.mcse)):
            return evidence(other, words, omega, 0.0)
    weighted = bool((table.weights != 1.0).any())
    return evidence(estimate, _method(proposal.describe(), k, len(order), omega, weighted), omega, left_out)


def _method(proposal: str, k: int, n_permutations: int, omega: float, weighted: bool) -> str:
    words = f"bridge sampling, {proposal} proposal"
    if k > 1:
        words += f", symmetrised over {n_permutations} of {math.factorial(k)} relabellings"
        words += "; they do not overlap" if omega < OMEGA_SEPARATE else f"; they overlap, omega {omega:.2g}"
    return words + ("; of the weighted likelihood" if weighted else "")


def mode_weights(evidences: Sequence[Evidence]) -> tuple[Array, Array]:
    """Posterior probability of modes that do not exchange, and standard errors.

    Parameters
    ----------
    evidences : sequence of M Evidence
        One for each mode, from ``log_evidence(..., chains=...)`` with the chains of that mode.

    Returns
    -------
    weights, se : arrays (M,)
        Z_m / sum Z, and errors by the delta method from the Monte Carlo errors of the log evidences.
    """
    value, mcse = (np.array([getattr(e, name) for e in evidences]) for name in ("value", "mcse"))
    weights = softmax(value)
    jacobian = np.diag(weights) - np.outer(weights, weights)  # of the weights by the log evidences
    return weights, np.sqrt((jacobian**2) @ mcse**2)
