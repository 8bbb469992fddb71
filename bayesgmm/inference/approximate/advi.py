"""Automatic differentiation variational inference (Kucukelbir et al. 2017) through `pymc.fit`, and how far to trust it.

A normal q, with independent coordinates (``advi``) or a full covariance (``fullrank_advi``), is fitted in decoupled
coordinates (`model.density.decoupled`) by stochastic gradients of the ELBO, from the best posterior mode. Steps stay
large until the mean ELBO of one window of iterations is that of the window before; then they are made ten times smaller
and the iterates are averaged, which removes most of their noise (Dhaka et al. 2020).

What a variational family cannot represent does not show in its ELBO. So the draws are weighed against the exact
posterior, and their Pareto k is reported: above 0.7 their intervals cannot be trusted (`model.proposals.importance`).

Kucukelbir, A. et al. (2017). JMLR 18(14). Dhaka, A. K. et al. (2020). Robust, accurate stochastic optimization for
variational inference. NeurIPS.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.errors import InputError
from bayesgmm.inference.approximate.laplace import affordable_batches, as_draws, corrected, weigh
from bayesgmm.inference.modes import Mode, score_of
from bayesgmm.kernels.folders import pytensor_folder
from bayesgmm.kernels.threads import one_blas_thread
from bayesgmm.model.density.density import Density
from bayesgmm.model.draws import Draws
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.at_modes import LocalProposal, Part
from bayesgmm.model.proposals.importance import smooth_weights
from bayesgmm.progress import sampling_progress

__all__ = ["METHODS", "ElboFit", "elbo_settled", "fit_elbo", "sample_advi"]

Array = NDArray[np.float64]

METHODS = {"advi": "mean-field ADVI", "fullrank_advi": "full-rank ADVI"}
WINDOW = 1000
_LEARNING_RATE = 0.02
_SMALLER = 10.0
_AVERAGED_WINDOWS = 4  # after one with small steps that is left out
_NOT_NEGLIGIBLE = 0.01
_RELATIVE = 1e-6  # of the ELBO: a smaller change is none


@dataclass(frozen=True, eq=False)
class ElboFit:
    """A fitted normal in decoupled coordinates.

    Attributes
    ----------
    mean, factor : arrays (n,), (n, n)
        Lower Cholesky factor of the covariance.
    elbo : array (I,)
        Estimate of the ELBO at each iteration, one draw each.
    converged : bool
        The ELBO had settled before the iterations ran out.
    partial : bool
        Interrupted.
    seconds_compiling : float
    message : str
        How the ELBO ended, in words.
    """

    mean: Array
    factor: Array
    elbo: Array
    converged: bool
    partial: bool
    seconds_compiling: float
    message: str


def sample_advi(
    problem: Problem,
    modes: Sequence[Mode],
    *,
    method: str = "advi",
    batch_size: int | None = None,
    max_iter: int = 30_000,
    draws: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    correct: bool = True,
    random_seed: int | None = None,
    progressbar: bool = True,
) -> Draws:
    """Fit a normal approximation by its ELBO and draw from it.

    Parameters
    ----------
    problem, modes
        As in `inference.nuts.sample.sample_nuts`. One mode is approximated, the best.
    method : {"advi", "fullrank_advi"}
        Independent coordinates, or a full covariance.
    batch_size : int or None
        Rows of each gradient, weighed by N / batch_size; None uses all. The ELBO and its gradient are then noisy, by
        about sqrt(N / batch_size) times as much in each coordinate, and the fit is so much less exact; the Pareto k
        sees it.
    max_iter : int
        Iterations at most, one gradient each.
    draws, chains : int
        ``chains`` times ``draws`` independent draws; chains only divide them.
    cores : int or None
        Threads for the importance weights.
    correct : bool
        Resample the draws by their importance weights, where these can correct the approximation (Pareto k below
        0.7); False keeps the draws of the approximation itself.
    random_seed : int or None
        The same seed gives the same draws.

    Returns
    -------
    Draws
        ``extra`` holds ``pareto_k``, ``importance_ess``, ``elbo`` (a value an iteration) and ``elbo_converged``;
        ``stats`` holds ``log_p`` and ``log_q``, log posterior density (constants aside) and log density of what the
        draws are a sample of, each with respect to weights, means, sds and correlations.

    Raises
    ------
    InputError
        For an unknown method, or a batch size that is not between 1 and N.
    """
    table = problem.table
    if method not in METHODS:
        raise InputError(f"method={method!r} is unknown; use 'advi' or 'fullrank_advi'.")
    whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if batch_size is not None and not (whole and 1 <= batch_size <= table.n_rows):
        raise InputError(f"batch_size={batch_size!r} must be None or an integer from 1 to {table.n_rows}, the rows.")
    if max_iter < 2 * WINDOW:
        raise InputError(f"max_iter={max_iter!r} must be at least {2 * WINDOW}: the ELBO is judged on two windows.")
    began = time.perf_counter()
    density = modes[0].density
    seeds = np.random.SeedSequence(random_seed).generate_state(2)
    with sampling_progress(progressbar, 1, max_iter, METHODS[method]) as report:
        fit = fit_elbo(
            density, method, batch_size=batch_size, max_iter=max_iter, random_seed=int(seeds[0]),
            report=lambda done: report(0, done, 0),
        )  # fmt: skip
    rng = np.random.default_rng(seeds[1])
    n = draws * chains
    with one_blas_thread():
        proposal = LocalProposal.build((Part(density, fit.mean, fit.factor, math.inf),), np.ones(1), rng)
        # More than are kept: a tail that 4000 draws miss is often seen by 16,000.
        judged = n * max(1, affordable_batches(density, n))
        x, log_likelihood, log_q = weigh(proposal, judged, rng, cores)
    weights = smooth_weights(log_likelihood - log_q)
    extra: dict[str, Any] = {
        "pareto_k": weights.pareto_k, "importance_ess": weights.ess, "n_proposals": judged, "elbo": fit.elbo,
        "elbo_converged": int(fit.converged), "compile_time": fit.seconds_compiling,
    }  # fmt: skip
    what = f"{METHODS[method]} in decoupled coordinates"
    if batch_size is not None:
        what += f", mini-batches of {batch_size} rows"
    notes = [f"ADVI: {fit.message}; raise max_iter."] if not fit.converged else []
    elsewhere = 1.0 - softmax(score_of(modes))[0]
    if elsewhere > _NOT_NEGLIGIBLE:
        notes.append(
            f"ADVI approximates one mode of the posterior; others that were found hold about {elsewhere:.0%} of it "
            "(Laplace evidence), which no importance weight can show."
        )
    index, outcome = np.arange(n), "draws of the approximation itself"
    if correct:
        index, log_q, outcome = corrected(log_q, weights, n, rng)
    extra["n_distinct"] = len(np.unique(index))
    return as_draws(
        x, index, log_likelihood, log_q, modes, chains=chains, began=began,
        method=f"{what}; {fit.message}; {outcome}", extra=extra, partial=fit.partial, notes=tuple(notes),
    )  # fmt: skip


def fit_elbo(
    density: Density,
    method: str = "advi",
    *,
    batch_size: int | None = None,
    max_iter: int = 30_000,
    random_seed: int = 0,
    report: Callable[[int], None] = lambda done: None,
) -> ElboFit:
    """The normal of highest ELBO in decoupled coordinates, started at the origin with unit sds; see `sample_advi`."""
    pytensor_folder()
    import pymc as pm
    import pytensor
    from pytensor.compile.mode import Mode

    from bayesgmm.inference.approximate.density_op import log_posterior_node

    began = time.perf_counter()
    n = density.n_dim
    with pm.Model() as model:
        u = pm.Flat("u", shape=n)
        numbers = pytensor.shared(np.arange(0 if batch_size is None else len(density.packed.row_weights)), borrow=True)
        rows = None if batch_size is None else pm.Minibatch(numbers, batch_size=int(batch_size))
        log_posterior = log_posterior_node(density, u, rows)
        pm.Potential("log_posterior", log_posterior)
    rate = pytensor.shared(_LEARNING_RATE, "learning_rate")
    follow = _Follow(max_iter, rate, report)
    options = {"start_sigma": {"u": np.ones(n)}} if method == "advi" else {}
    # Compiled graphs are specific to the dimension, so numba would compile each K anew, for longer than it saves.
    mode = Mode(linker="py", optimizer="fast_compile")
    with model, _quiet_pymc(), one_blas_thread():
        try:
            fitted = pm.fit(
                max_iter, method=method, start={"u": np.zeros(n)}, random_seed=random_seed, callbacks=[follow],
                obj_optimizer=pm.adam(learning_rate=rate), progressbar=False, compile_kwargs={"mode": mode}, **options,
            )  # fmt: skip
        except FloatingPointError:
            raise InputError("ADVI met a posterior density that is not finite; use inference='nuts'.") from None
        finally:
            # The compiled graph is a circle of references, which Python keeps until it looks for such: without rows.
            for variable in (numbers, *log_posterior.owner.inputs[-2:]):
                variable.set_value(np.empty(0, dtype=variable.dtype), borrow=True)
    if follow.average is None:
        follow.take(fitted)
    values = {p.name: a for p, a in zip(fitted.params, follow.average or [], strict=True)}
    if method == "advi":
        factor = np.diag(_softplus(values["rho"]))
    else:
        factor = np.zeros((n, n))
        factor[np.tril_indices(n)] = values["L_tril"]
        factor[np.diag_indices(n)] = _softplus(np.diag(factor))
    return ElboFit(
        values["mu"], factor, -np.asarray(fitted.hist), follow.settled_at is not None,
        not follow.finished and follow.n_iter < max_iter, (follow.first or began) - began, follow.message(fitted.hist),
    )  # fmt: skip


class _Follow:
    """Callback: judges the ELBO at the end of each window, then averages iterates made with smaller steps."""

    def __init__(self, max_iter: int, rate: Any, report: Callable[[int], None]) -> None:
        self.max_iter, self.rate, self.report = max_iter, rate, report
        self.first: float | None = None
        self.settled_at: int | None = None
        self.smaller_at: int | None = None
        self.finished = False
        self.n_iter = self.n_averaged = 0
        self.average: list[Array] | None = None

    def __call__(self, approximation: Any, losses: Array, i: int) -> None:
        self.n_iter = i
        if self.first is None:
            self.first = time.perf_counter()
        if i % 100 == 0:
            self.report(i)
        tail = (_AVERAGED_WINDOWS + 1) * WINDOW
        if self.smaller_at is None and i % WINDOW == 0:
            if i >= 2 * WINDOW and elbo_settled(-losses[-2 * WINDOW :]):
                self.settled_at = i
            if self.settled_at is not None or self.max_iter - i < tail + WINDOW:
                self.smaller_at = i
                self.rate.set_value(_LEARNING_RATE / _SMALLER)
        elif self.smaller_at is not None and i > self.smaller_at + WINDOW:
            self.take(approximation)
            if i >= self.smaller_at + tail:
                self.finished = True
                raise StopIteration

    def take(self, approximation: Any) -> None:
        """Add the present iterate to the average."""
        values = [np.array(p.get_value()) for p in approximation.params]
        self.n_averaged += 1
        if self.average is None:
            self.average = values
        else:
            for mean, value in zip(self.average, values, strict=True):
                mean += (value - mean) / self.n_averaged

    def message(self, losses: Array) -> str:
        final = -float(np.mean(losses[-WINDOW:]))
        if self.settled_at is not None:
            return (
                f"the ELBO settled after {self.settled_at} iterations (no change beyond its noise between windows of "
                f"{WINDOW}) and ended at {final:.2f}"
            )
        return f"the ELBO had not settled after {self.n_iter} iterations (it ended at {final:.2f})"


def elbo_settled(elbo: Array) -> bool:
    """Whether the second half of a trace has the mean of the first, within two standard errors or a millionth.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.inference.approximate.advi import elbo_settled
    >>> noise = np.random.default_rng(0).normal(size=2000)
    >>> elbo_settled(-400.0 + noise), elbo_settled(-400.0 + noise + np.linspace(0.0, 3.0, 2000))
    (True, False)
    """
    before, after = np.split(np.asarray(elbo), 2)
    if not np.isfinite(elbo).all():
        return False
    error = math.sqrt((before.var() + after.var()) / len(after))
    return bool(abs(after.mean() - before.mean()) <= max(2.0 * error, _RELATIVE * abs(after.mean())))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


@contextmanager
def _quiet_pymc() -> Iterator[None]:
    """PyMC logs that it stopped; the message of the fit says so better."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
