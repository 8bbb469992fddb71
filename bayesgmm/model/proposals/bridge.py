"""Bridge sampling: the log normalising constant of a density from draws of it and of a proposal.

For an unnormalised target p with constant Z and a normalised proposal q, every bridge function h gives
Z = E_q[p h] / E_p[q h]. The one of least error, h = 1 / (s1 p / Z + s2 q), contains Z itself (Meng and Wong 1996,
Statistica Sinica 6, 831-860); the usual iteration for it has one fixed point, found here as the root of a monotone
function. Both averages are of bounded quantities, so thin tails of the proposal do no harm.

Markov chain draws count as so many independent ones as their effective sample size says, both in the weights s1, s2
and in the error (Gronau et al. 2017, Journal of Mathematical Psychology 81, 80-97; Fruehwirth-Schnatter 2004,
Econometrics Journal 7, 143-167).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logsumexp

from bayesgmm.errors import InputError

__all__ = ["BridgeEstimate", "bridge", "effective_sample_size"]

Array = NDArray[np.float64]

_STEPS = 1000  # of root finding: the range can be of millions of nats, and the functions steps
_MIN_DRAWS = 4  # a chain, for an effective sample size to exist


@dataclass(frozen=True, eq=False)
class BridgeEstimate:
    """A log normalising constant and how well it is known.

    Attributes
    ----------
    log_value : float
        Estimate of log Z.
    mcse, proposal_mcse : float
        Its Monte Carlo standard error, and the part of it that the draws of the proposal have.
    overlap : float
        Integral of p q / (s1 p + s2 q), p and q normalised: 1 where they agree, 0 where they never meet.
    ess : float
        Effective number of target draws in the bridge average.
    share : float
        s1, the weight of the target draws.
    low, high : float
        log Z by importance sampling, from the proposal's draws and from the target's: log E_q[p / q] and
        -log E_p[q / p]. Each is unbiased for Z or 1 / Z, so, by Markov's inequality, the first is by more than t nats
        too high with probability exp(-t) at most, and the second as seldom too low: where the two densities do not
        meet, and the estimate itself and its error mean nothing, they still bracket Z (Grosse, Ghahramani and Adams
        2015, arXiv:1511.02543).
    """

    log_value: float
    mcse: float
    proposal_mcse: float
    overlap: float
    ess: float
    share: float
    low: float
    high: float


def bridge(
    log_target: Array, log_proposal: Array, proposed_log_target: Array, proposed_log_proposal: Array
) -> BridgeEstimate:
    """Log normalising constant of a target density.

    Parameters
    ----------
    log_target, log_proposal : arrays (C, S)
        Unnormalised log target and normalised log proposal density at draws of the target, C chains of S draws.
    proposed_log_target, proposed_log_proposal : arrays (M,) or (M, T)
        The same at independent draws of the proposal, or at T draws of each of M independent chains. A log target of
        -inf is allowed here.

    Returns
    -------
    BridgeEstimate

    Raises
    ------
    InputError
        Fewer than four draws a chain, or a log density that is not finite where it must be.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import norm
    >>> from bayesgmm.model.proposals.bridge import bridge
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(4, 1000)), norm.rvs(0.5, 1.2, size=4000, random_state=rng)
    >>> target, proposal = (lambda v: -0.5 * v**2), norm(0.5, 1.2).logpdf
    >>> e = bridge(target(x), proposal(x), target(y), proposal(y))
    >>> abs(e.log_value - 0.5 * np.log(2 * np.pi)) < 3 * e.mcse < 0.1
    True
    """
    ratio, proposed = log_target - log_proposal, proposed_log_target - proposed_log_proposal
    if ratio.ndim != 2 or ratio.shape[1] < _MIN_DRAWS:
        raise InputError(f"bridge sampling needs at least {_MIN_DRAWS} draws a chain, got shape {ratio.shape}.")
    if not np.isfinite(ratio).all():
        raise InputError("a draw of the target has a log density that is not finite; drop such draws.")
    if np.isnan(proposed).any() or np.isposinf(proposed).any() or not np.isfinite(proposed).any():
        raise InputError("the log target is not finite at the draws of the proposal: the proposal misses the target.")

    n_draws = effective_sample_size(ratio)
    share = n_draws / (n_draws + len(proposed))
    odds = np.log1p(-share) - np.log(share)

    def at_draws(log_z: float) -> Array:
        return expit(log_z + odds - ratio) / (1.0 - share)  # q / (s1 p / Z + s2 q)

    def at_proposals(log_z: float) -> Array:
        return expit(proposed - log_z - odds) / share  # (p / Z) / (s1 p / Z + s2 q)

    finite = proposed[np.isfinite(proposed)]
    low, high = min(ratio.min(), finite.min()) - 50.0, max(ratio.max(), finite.max()) + 50.0
    log_z = float(
        brentq(lambda v: at_draws(v).mean() - at_proposals(v).mean(), low, high, xtol=1e-10, maxiter=_STEPS, disp=False)
    )

    f, g = at_draws(log_z), at_proposals(log_z)
    if not (f.mean() > 0.0 and g.mean() > 0.0):
        raise InputError("the draws and those of the proposal do not overlap: the proposal misses the target.")
    g = g.reshape(len(g), -1).mean(axis=1)
    ess = effective_sample_size(f)
    # Of ratios to the mean, since its square may be less than any number.
    proposal_error = (g / g.mean()).var() / len(g)
    error = (f / f.mean()).var() / ess + proposal_error
    return BridgeEstimate(
        log_z, float(np.sqrt(error)), float(np.sqrt(proposal_error)), float(g.mean()), ess, float(share),
        low=float(logsumexp(proposed) - np.log(proposed.size)),
        high=float(np.log(ratio.size) - logsumexp(-ratio)),
    )  # fmt: skip


def effective_sample_size(values: Array) -> float:
    """Effective sample size for the mean of (C, S) values, at most their number; constants count in full."""
    from arviz_stats.base import array_stats

    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return float(values.size)
    return min(float(array_stats.ess(values, method="mean")), float(values.size))
