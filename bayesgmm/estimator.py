"""`BayesianGMM`: the whole path from a table to a posterior, behind a scikit-learn estimator.

The class binds; the work is done by `prepare_table`, `fit_em`, the samplers of `bayesgmm.inference`,
`build_tree`, `diagnose` and the passes of `bayesgmm.streaming`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, DensityMixin
from sklearn.utils.validation import _check_feature_names, check_is_fitted

from bayesgmm.data import Table, check_new_rows, prepare_table
from bayesgmm.diagnostics import Diagnosis, diagnose
from bayesgmm.em import EMResult, fit_em_candidates
from bayesgmm.errors import InputError, NotConvergedWarning
from bayesgmm.posterior import build_tree
from bayesgmm.prior import MixturePrior, ResolvedPrior
from bayesgmm.streaming import mean_responsibilities, predictive_log_density
from bayesgmm.structure import get_structure
from bayesgmm.summary import summary
from bayesgmm.tree import PosteriorArrays, posterior_arrays

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesgmm.draws import Draws

__all__ = ["BayesianGMM"]

Array = NDArray[np.float64]

# What longer runs may cure, and how much longer they are.
_ESCALATE = ("not_converged", "several_modes")
_LONGER = 5


class BayesianGMM(DensityMixin, ClusterMixin, BaseEstimator):
    """Bayesian Gaussian mixture: EM, then the posterior by NUTS, relabelled and diagnosed.

    Parameters
    ----------
    n_components : int
        Number of components K.
    covariance_type : {"full", "tied", "diag", "spherical"}
        Structure of the covariances; with ``standardize=True`` spherical means spherical in standardised columns.
    prior : MixturePrior or None
        None takes the data-scaled defaults of `MixturePrior`.
    standardize : bool
        Model columns of mean 0 and sd 1. Results are in original units either way.
    inference : {"nuts"}
        How the posterior is found.
    sampler : {"nutpie", "pymc"}
        "nutpie" samples the compiled density; "pymc" samples the `build_model` face with PyMC's NUTS (slow).
    n_init : int
        Number of EM starts.
    draws, tune, chains : int
        Draws kept and draws of adaptation of each chain, and number of chains.
    cores : int or None
        Chains run at once; None is every processor. Results do not depend on it.
    target_accept : float
        Acceptance statistic that NUTS aims at.
    escalate : bool
        Run again, longer, where the convergence gate fails; what was done is recorded and said.
    random_seed : int or None
        Seed of everything random; the same seed gives the same draws.
    log_likelihood : bool
        Store the pointwise log-likelihood, which LOO and WAIC need.
    progressbar : bool
        Show progress on a terminal or in a notebook.

    Attributes
    ----------
    posterior_ : xarray.DataTree
        Relabelled draws in original units, statistics, pointwise log-likelihood, data.
    weights_, means_, covariances_ : arrays (K,), (K, D), (K, D, D)
        Posterior means after relabelling, original units.
    em_ : EMResult
        The maximum-likelihood fit it started from.
    labels_ : int array (N,)
        Most probable component of each row.
    modes_ : DataFrame
        Distinct posterior modes that were found.
    table_, prior_ : Table, ResolvedPrior
        The checked data, and the prior's numbers for it.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.datasets.load_faithful()
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(X)
    >>> fit.means_.round(0)
    array([[ 2., 54.],
           [ 4., 80.]])
    """

    posterior_: xr.DataTree
    em_: EMResult
    table_: Table
    prior_: ResolvedPrior
    modes_: pd.DataFrame
    n_features_in_: int

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        prior: MixturePrior | None = None,
        standardize: bool = True,
        inference: str = "nuts",
        sampler: str = "nutpie",
        n_init: int = 20,
        draws: int = 1000,
        tune: int = 500,
        chains: int = 4,
        cores: int | None = None,
        target_accept: float = 0.8,
        escalate: bool = True,
        random_seed: int | None = None,
        log_likelihood: bool = True,
        progressbar: bool = True,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.prior = prior
        self.standardize = standardize
        self.inference = inference
        self.sampler = sampler
        self.n_init = n_init
        self.draws = draws
        self.tune = tune
        self.chains = chains
        self.cores = cores
        self.target_accept = target_accept
        self.escalate = escalate
        self.random_seed = random_seed
        self.log_likelihood = log_likelihood
        self.progressbar = progressbar

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the posterior to a table (N, D): array, DataFrame or `Table`; `y` is ignored.

        Raises
        ------
        InputError
            If the data or an option cannot be used; one line that says what to do.

        Warns
        -----
        NotConvergedWarning
            If the convergence gate fails; `diagnose` says how.
        """
        sample = _sampler(self.inference, self.sampler)
        self._check_options()
        structure = get_structure(self.covariance_type)
        if isinstance(X, Table) and sample_weight is not None:
            raise InputError("sample_weight: the table has its own weights; give them to prepare_table.")
        if not isinstance(X, Table):
            _check_feature_names(self, X, reset=True)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        table = X if isinstance(X, Table) else prepare_table(
            X, standardize=self.standardize, sample_weight=sample_weight, n_components=self.n_components
        )  # fmt: skip
        prior = (self.prior or MixturePrior()).resolve(table)
        for line in [*prior.improper_columns(), *prior.heavy_ties(table)]:
            warnings.warn(line, UserWarning, stacklevel=2)
        em, candidates = fit_em_candidates(
            table, self.n_components, structure=structure, n_init=self.n_init, random_seed=self.random_seed
        )
        run = partial(
            sample, table, structure, prior, candidates, draws=self.draws, tune=self.tune, chains=self.chains,
            cores=self.cores, random_seed=self.random_seed, target_accept=self.target_accept,
            progressbar=self.progressbar,
        )  # fmt: skip
        arrange = partial(
            build_tree, table=table, structure=structure, prior=prior, inference=self.inference,
            random_seed=self.random_seed, standardize=self.standardize, log_likelihood=self.log_likelihood,
        )  # fmt: skip
        draws = run()
        self._set_results(arrange(draws), em, table, prior, draws.modes)
        if self.escalate and not draws.partial:
            self._escalate(draws, run, arrange)
        if not self.diagnose().ok:
            warnings.warn(self.diagnose().verdict, NotConvergedWarning, stacklevel=2)
        return self

    def _escalate(self, draws: Draws, run: Callable[..., Draws], arrange: Callable[[Draws], xr.DataTree]) -> None:
        """Where the gate fails, try again in ways that may help; every stage says what it did."""
        from bayesgmm.inference.nuts import NEGLIGIBLE, negligible_starts

        notes: list[str] = []
        options: dict[str, Any] = {}
        stuck = negligible_starts(draws)
        stages: list[tuple[str, dict[str, Any], int]] = []
        if stuck is not None:
            stages.append((stuck, {"mode_window": NEGLIGIBLE}, 1))
        longer = {"draws": _LONGER * self.draws, "tune": 2 * self.tune, "target_accept": max(self.target_accept, 0.9)}
        said = (
            f"The gate failed, so the chains were run again, {_LONGER} times as long with smaller steps; "
            f"every {_LONGER}th draw is kept."
        )
        stages.append((said, longer, _LONGER))
        for note, changed, step in stages:
            if self.diagnose().status not in _ESCALATE and self.diagnose().n_divergences == 0:
                return
            notes.append(note)
            options |= changed
            again = replace(run(**options).thinned(step), notes=tuple(notes))
            self._set_results(arrange(again), self.em_, self.table_, self.prior_, again.modes)
            if again.partial:
                return

    def _set_results(
        self, tree: xr.DataTree, em: EMResult, table: Table, prior: ResolvedPrior, modes: pd.DataFrame
    ) -> None:
        self._cache: dict[str, Any] = {}
        self.posterior_, self.em_, self.table_, self.prior_, self.modes_ = tree, em, table, prior, modes
        self.n_features_in_ = table.n_features
        posterior = tree["posterior"]
        for name in ("weights", "means", "covariances"):
            setattr(self, f"{name}_", posterior[name].mean(("chain", "draw")).values)

    def _check_options(self) -> None:
        for name, least in (("draws", 1), ("tune", 1), ("chains", 1), ("n_init", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise InputError(f"{name}={value!r} must be an integer of at least {least}.")
        if self.cores is not None and (not isinstance(self.cores, (int, np.integer)) or self.cores < 1):
            raise InputError(f"cores={self.cores!r} must be None or an integer of at least 1.")
        check_seed(self.random_seed)
        if not (isinstance(self.target_accept, (int, float)) and 0.0 < self.target_accept < 1.0):
            raise InputError(f"target_accept={self.target_accept!r} must lie between 0 and 1.")
        if self.prior is not None and not isinstance(self.prior, MixturePrior):
            raise InputError(f"prior={self.prior!r} must be None or a bayesgmm.MixturePrior.")

    def _once(self, name: str, compute: Callable[[], Any]) -> Any:
        """Compute on first use and keep; scikit-learn forbids new attributes after `fit`."""
        check_is_fitted(self, "posterior_")
        if name not in self._cache:
            self._cache[name] = compute()
        return self._cache[name]

    @property
    def _arrays(self) -> PosteriorArrays:
        return self._once("arrays", lambda: posterior_arrays(self.posterior_))

    @property
    def labels_(self) -> NDArray[np.int64]:
        """(N,) most probable component of each row."""
        return self._once("labels", lambda: self._responsibilities(self.table_.values).argmax(axis=1))

    def diagnose(self) -> Diagnosis:
        """Convergence in two tables and in words."""
        return self._once("diagnosis", lambda: diagnose(self.posterior_))

    def summary(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Maximum-likelihood estimate, posterior mean, sd, interval, ESS and R-hat of every parameter."""
        diagnosis = self.diagnose()
        return summary(self.posterior_, self.em_.params, ci_prob=ci_prob, diagnosis=diagnosis)

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self, "posterior_")
        _check_feature_names(self, X, reset=False)
        return check_new_rows(X, self.table_)

    def _responsibilities(self, rows: Array) -> Array:
        a = self._arrays
        return mean_responsibilities(a.to_model(rows), a.weights, a.means, a.scaling, diagonal=a.diagonal)

    def predict_proba(self, X: Any) -> Array:
        """(N, K) probability of each component for each row, averaged over the draws."""
        return self._responsibilities(self._rows(X))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """(N,) most probable component of each row."""
        return self.predict_proba(X).argmax(axis=1)

    def fit_predict(self, X: Any, y: Any = None, **fit_params: Any) -> NDArray[np.int64]:
        """Fit, and return the most probable component of each row."""
        return self.fit(X, y, **fit_params).labels_

    def score_samples(self, X: Any) -> Array:
        """(N,) log posterior predictive density of each row, per original unit."""
        rows, a = self._rows(X), self._arrays
        value = predictive_log_density(a.to_model(rows), a.weights, a.means, a.scaling, diagonal=a.diagonal)
        return value - a.log_jacobian

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log posterior predictive density of the rows."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, *, random_seed: int | None = None) -> tuple[Array, NDArray[np.int64]]:
        """Rows (n, D) from the posterior predictive distribution, original units, and their components (n,)."""
        a = self._arrays
        if isinstance(n_samples, bool) or not isinstance(n_samples, (int, np.integer)) or n_samples < 1:
            raise InputError(f"n_samples={n_samples!r} must be an integer of at least 1.")
        check_seed(random_seed)
        rng = np.random.default_rng(random_seed)
        draw = rng.integers(len(a.weights), size=n_samples)
        uniform = rng.random(n_samples)[:, None]
        component = np.minimum((a.weights[draw].cumsum(axis=1) < uniform).sum(axis=1), a.weights.shape[1] - 1)
        noise = rng.standard_normal((n_samples, a.means.shape[2]))
        z = a.means[draw, component] + np.einsum("nij,nj->ni", a.cholesky[draw, component], noise)
        return a.center + a.scale * z, component

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one netCDF file; `bayesgmm.load` reads it back."""
        from bayesgmm.storage import save

        check_is_fitted(self, "posterior_")
        save(self, path)


def check_seed(random_seed: Any) -> None:
    """A seed is None or an integer from 0 to 2**63 - 1."""
    if random_seed is None:
        return
    whole = isinstance(random_seed, (int, np.integer)) and not isinstance(random_seed, bool)
    if not whole or not 0 <= random_seed < 2**63:
        raise InputError(f"random_seed={random_seed!r} must be None or an integer from 0 to 2**63 - 1.")


def _sampler(inference: str, sampler: str) -> Callable[..., Draws]:
    """The function that draws from the posterior; sampler packages are imported here, when needed."""
    if inference != "nuts":
        raise InputError(f"inference={inference!r} is unknown; use 'nuts'.")
    if sampler == "nutpie":
        from bayesgmm.inference.nuts import sample_nuts

        return sample_nuts
    if sampler == "pymc":
        from bayesgmm.inference.pymc_face import sample_pymc

        return sample_pymc
    raise InputError(f"sampler={sampler!r} is unknown; use 'nutpie' or 'pymc'.")
