"""`fit_em`: maximum likelihood for a Gaussian mixture, from a table to a record with its history.

A thin shell: the maths is in `em.steps`, the starts in `em.search`, the coordinates in `em.problem`.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from bayesgmm.arguments import check_choice, check_count, check_flag
from bayesgmm.data.batches import as_batches
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.em.candidates import check_em_options, fit_em_candidates
from bayesgmm.em.in_batches import em_in_batches
from bayesgmm.em.in_mini_batches import em_in_mini_batches
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError, NotConvergedWarning, warn
from bayesgmm.model.background import structure_for
from bayesgmm.model.structure import COMPONENTS, Structure, get_structure

__all__ = ["fit_em"]


def fit_em(
    X: Any,
    n_components: int,
    *,
    covariance_type: str | Structure = "full",
    component: str = "normal",
    noise: bool = False,
    n_init: int = 20,
    tol: float = 1e-6,
    max_iter: int = 1000,
    reg_covar: float = 1e-12,
    missing: str = "allow",
    sample_weight: ArrayLike | None = None,
    random_seed: int | None = None,
    standardize: bool = False,
    batch_size: int | None = None,
) -> EMResult:
    """Fit a Gaussian mixture by EM from many starts.

    Parameters
    ----------
    X : array_like, frame of any library, Table, or Batches, shape (N, D)
    n_components : int
        Number of components K.
    covariance_type : {"full", "tied", "diag", "spherical", "EEI"}
        Structure of the covariances, by scikit-learn's name or mclust's (VVV, EEE, VVI, VII, EEI); EEI is one diagonal
        covariance for all components.
    component : {"normal", "t", "t_each"}
        Density of a component; "t" estimates degrees of freedom for all of them together, "t_each" for each.
    noise : bool
        Whether rows may belong to no component but to a background, uniform over the box of the data.
    n_init : int
        Number of starts.
    tol : float
        Stop when the log-likelihood (of all rows, in nats) is estimated to gain less than this.
    max_iter : int
        Iterations of one run.
    reg_covar : float
        Smallest variance of a component in any direction, as a share of that of all rows. (scikit-learn's is
        added to each variance, in units of the columns; here it is a bound, which EM respects without loss
        of monotonicity and which is not met unless a component collapses.)
    missing : {"allow", "error"}
        As in `BayesianGMM`.
    sample_weight : array_like (N,), optional
        An integer weight equals so many copies of the row. Not with a Table, which has its own.
    random_seed : int, optional
    standardize : bool
        Matters to ``"spherical"`` alone: one standard deviation in standardised columns instead of the units of
        the table. A Table says this itself.
    batch_size : int, optional
        Mini-batch EM: the mixture moves after every so many rows, and each row is seen once (`MiniBatchEM`). `X` may
        then be an iterator of tables too, a stream; rows of a table in memory are taken in random order, others as
        they come. The result is near the maximum, not at it.

    Returns
    -------
    EMResult

    Raises
    ------
    InputError
        Data or options that cannot be used.

    Warns
    -----
    NotConvergedWarning
        `max_iter` was reached, or every start collapsed.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesgmm as bg
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, 60), rng.normal(8, 2, 40)])[:, None]
    >>> em = bg.fit_em(X, 2, random_seed=1)
    >>> em.params.weights.round(1), em.converged
    (array([0.6, 0.4]), True)
    """
    check_choice(component, "component", COMPONENTS)
    check_flag(noise, "noise")
    structure = get_structure(covariance_type)
    check_count(n_components, "n_components")
    check_flag(standardize, "standardize")
    check_em_options(n_init, max_iter, tol, reg_covar, random_seed)
    if batch_size is not None:
        return em_in_mini_batches(
            X, n_components, structure, batch_size=batch_size, sample_weight=sample_weight, component=component,
            noise=noise, n_init=n_init, reg_covar=reg_covar, random_seed=random_seed,
        )  # fmt: skip
    if (batches := as_batches(X)) is not None:
        result = em_in_batches(
            batches, n_components, structure, sample_weight=sample_weight, component=component, noise=noise,
            n_init=n_init, tol=tol, max_iter=max_iter, reg_covar=reg_covar, random_seed=random_seed,
            standardize=standardize,
        )  # fmt: skip
        return _warned(result)
    if isinstance(X, Table):
        if sample_weight is not None:
            raise InputError("sample_weight: the table has its own weights; leave it out.")
        table = X
    else:
        # The recording steps take a sort of each column; they are found later, if a narrow component asks.
        table = prepare_table(
            X, standardize=standardize, sample_weight=sample_weight, n_components=n_components, resolution=None,
            missing=missing,
        )  # fmt: skip
    structure = structure_for(table, structure, component, noise)
    result, _ = fit_em_candidates(
        table, n_components, structure=structure, n_init=n_init, tol=tol, max_iter=max_iter,
        reg_covar=reg_covar, random_seed=random_seed, resolution_known=table is X, look_further=False,
    )  # fmt: skip
    return _warned(result)


def _warned(result: EMResult) -> EMResult:
    if not result.converged:
        warn(result.message, NotConvergedWarning)
    return result
