"""`BayesianGMM`: the whole path from a table to a posterior, behind a scikit-learn estimator.

The class binds; the work is done by `prepare_table`, `fit_em_candidates`, the samplers of `bayesgmm.inference` (through
`draw_posterior`), `build_tree` and `diagnose`. What a fit answers stands in `bayesgmm.fitted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, DensityMixin
from sklearn.utils.validation import check_is_fitted

from bayesgmm.arguments import check_count
from bayesgmm.data.batches import as_batches
from bayesgmm.data.checks import check_enough_rows, few_distinct_rows
from bayesgmm.data.far_values import far_values
from bayesgmm.data.frames import as_pandas, text_names
from bayesgmm.data.known_labels import check_known
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError, NotConvergedWarning, warn
from bayesgmm.fit_in_batches import PreparedBatches, prior_of_saved, start_in_batches
from bayesgmm.fit_options import check_fit_options
from bayesgmm.fitted import FittedMixture
from bayesgmm.inference.escalation import draw_posterior
from bayesgmm.inference.modes import modes_per_original_unit
from bayesgmm.inference.request import Request
from bayesgmm.model.background import structure_for
from bayesgmm.model.bounded import check_bounded
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import MixturePrior, ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.reach import check_reach
from bayesgmm.model.structure import Structure
from bayesgmm.posterior.build import build_tree
from bayesgmm.posterior.diagnostics.gate import Judge
from bayesgmm.posterior.summary import in_posterior_order
from bayesgmm.progress import stage, working
from bayesgmm.visible import visible

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["BayesianGMM", "load"]


class BayesianGMM(FittedMixture, DensityMixin, ClusterMixin, BaseEstimator):
    """Bayesian Gaussian mixture: EM, then the posterior by NUTS, relabelled and diagnosed.

    Parameters
    ----------
    n_components : int
        Number of components K.
    covariance_type : {"full", "tied", "diag", "spherical", "EEI"}
        Structure of the covariances, by scikit-learn's name or mclust's; EEI is one diagonal covariance for all
        components. With ``standardize=True`` spherical means spherical in standardised columns.
    component : {"normal", "t", "t_each"}
        Density of a component. "t" has heavier tails, of degrees of freedom that are estimated, one number for all
        components ("t_each": one each); covariances are then scale matrices, the covariance being df / (df - 2) times
        its scale matrix.
    noise : bool
        Whether rows may belong to no component but to noise, uniform over the box of the data, of a share that is
        estimated. Its label is -1, as DBSCAN has it.
    prior : MixturePrior or None
        None takes the data-scaled defaults of `MixturePrior`.
    standardize : bool
        Model columns of mean 0 and sd 1. Results are in original units either way.
    missing : {"allow", "error"}
        "allow" takes NaN for a cell without a value, in the table and in new rows: a row counts by the density of the
        cells it has, which is valid if the model holds and cells are missing at random (whether one is missing depends
        on the cells observed beside it, and, these given, not on its value or the component). "error" refuses NaN.
    weight_type : {"frequency", "survey"}
        What `sample_weight` is: numbers of copies of a row, or weights of a survey, which are rescaled to Kish's
        effective sample size; intervals are then approximate (`prepare_table`).
    inference : {"nuts", "gibbs", "laplace", "advi", "fullrank_advi", "auto"}
        How the posterior is found: Hamiltonian Monte Carlo; Gibbs sampling with moves between modes, which suits more
        components than the data hold; Laplace's approximation with importance resampling; a normal fitted by its ELBO,
        independent or full-rank. "auto" keeps Laplace's where it is as good as exact and else takes NUTS. A table in
        batches takes "laplace" or "auto", which, where Laplace's approximation of all rows cannot be trusted, gives the
        posterior of a random sample of 10,000 rows, as the verdict says.
    sampler : {"nutpie", "pymc"}
        "nutpie" samples the compiled density; "pymc" samples the PyMC model of `build_model` with PyMC's NUTS (slow;
        not for known labels).
    n_init : int
        Number of EM starts.
    draws, tune, chains : int
        Draws kept and warm-up (tuning) iterations of each chain, and number of chains.
    cores : int or None
        Chains run at once; None is every processor. Results do not depend on it.
    target_accept : float
        Acceptance statistic that NUTS aims at.
    escalate : bool
        Where NUTS does not meet the convergence criteria, run longer and then by Gibbs; what was done is said.
    batch_size : int or None
        Rows in each mini-batch of ADVI; None is all.
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
    df_ : array (1,) or (K,), or None
        Posterior means of the degrees of freedom of t components.
    noise_weight_ : float or None
        Posterior mean of the share of noise.
    em_ : EMResult
        The maximum-likelihood fit it started from, its components numbered as those of the posterior.
    labels_ : int array (N,)
        Most probable component of each row; of a row of known class, that of its class.
        Of `Batches`, of the rows in `table_`, a random sample.
    modes_ : DataFrame
        Distinct posterior modes that were found; log posterior density and Laplace evidence per original unit.
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
    df_: NDArray[np.float64] | None
    noise_weight_: float | None
    n_features_in_: int

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        component: str = "normal",
        noise: bool = False,
        prior: MixturePrior | None = None,
        standardize: bool = True,
        missing: str = "allow",
        weight_type: str = "frequency",
        inference: str = "nuts",
        sampler: str = "nutpie",
        n_init: int = 20,
        draws: int = 1000,
        tune: int = 500,
        chains: int = 4,
        cores: int | None = None,
        target_accept: float = 0.8,
        escalate: bool = True,
        batch_size: int | None = None,
        random_seed: int | None = None,
        log_likelihood: bool = True,
        progressbar: bool = True,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.component = component
        self.noise = noise
        self.prior = prior
        self.standardize = standardize
        self.missing = missing
        self.weight_type = weight_type
        self.inference = inference
        self.sampler = sampler
        self.n_init = n_init
        self.draws = draws
        self.tune = tune
        self.chains = chains
        self.cores = cores
        self.target_accept = target_accept
        self.escalate = escalate
        self.batch_size = batch_size
        self.random_seed = random_seed
        self.log_likelihood = log_likelihood
        self.progressbar = progressbar

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the posterior to a table.

        Parameters
        ----------
        X : table (N, D)
            Array, frame of any library, `Table`, or `Batches` and Arrow datasets, which are never all in memory.
        y : array_like (N,), optional
            The class of a row, -1, NaN or None where it is unknown; the row belongs to the component of its class. If
            all classes are whole numbers from 0 to K - 1, they are components, else classes get theirs in sorted order
            (``table_.classes``). With every class known this is discriminant analysis; more classes than components are
            then not used, with a warning, else refused. Which rows have a class may depend on their cells alone.
        sample_weight : array_like (N,), optional
            A row of weight 3 is the row three times, a fraction so much of a row; ``docs/weights.md`` has the rules.

        Returns
        -------
        BayesianGMM
            Itself.

        Raises
        ------
        InputError
            If the data or an option cannot be used; one line that says what to do.

        Warns
        -----
        NotConvergedWarning
            If the convergence criteria are not met; `diagnose` says how.
        """
        self._check_options()
        if (batches := X if isinstance(X, PreparedBatches) else as_batches(X)) is not None:
            with working(progressbar=self.progressbar):
                start_in_batches(self, batches, y, sample_weight)
            return self._warned()
        if isinstance(X, Table) and sample_weight is not None:
            raise InputError("sample_weight: the table has its own weights; give them to prepare_table.")
        if isinstance(X, Table) and y is not None:
            raise InputError("y: the table has its own known labels; give them to prepare_table.")
        if isinstance(X, Table):
            table = X
            check_enough_rows(table.used_rows, self.n_components)
            check_known(table.known, self.n_components)
        else:
            X = as_pandas(X)
            table = prepare_table(
                X, standardize=self.standardize, sample_weight=sample_weight, n_components=self.n_components,
                resolution=(self.prior or MixturePrior()).stated_steps, missing=self.missing, y=y,
                weight_type=self.weight_type,
            )  # fmt: skip
        if table.known is not None and self.inference == "nuts" and self.sampler == "pymc":
            raise InputError("sampler='pymc' takes no known labels: take sampler='nutpie', or leave y out.")
        if self.batch_size is not None and self.inference in ("advi", "fullrank_advi"):
            check_count(self.batch_size, "batch_size", most=table.n_rows)
        self._name_features(text_names(X))
        structure = structure_for(table, self.covariance_type, self.component, self.noise)
        prior = (self.prior or MixturePrior()).resolve(table)
        check_reach(Problem(table, structure, prior), self.n_components)
        check_bounded(Problem(table, structure, prior), self.n_components)
        few = few_distinct_rows(table.used_rows, self.n_components)
        for line in [*(far.sentence for far in far_values(table)), *few]:
            warn(line, UserWarning)
        with working(progressbar=self.progressbar):
            self._fit(table, structure, prior)
        return self._warned()

    def _warned(self) -> Self:
        if not self.diagnose().ok:
            warn(visible(self.diagnose().verdict), NotConvergedWarning)
        return self

    def _fit(self, table: Table, structure: Structure, prior: ResolvedPrior) -> None:
        if self.n_components > 1 and self.inference in ("nuts", "gibbs", "auto"):
            from bayesgmm.inference.first_use import begin

            begin()
        with stage("EM"):
            em, candidates = fit_em_candidates(
                table, self.n_components, structure=structure, n_init=self.n_init, random_seed=self.random_seed
            )
        self._finish(table, structure, prior, em, candidates)

    def _finish(
        self, table: Table, structure: Structure, prior: ResolvedPrior, em: EMResult,
        candidates: list[MixtureParams], blocks: Any = None, attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """From the optima of EM to the posterior; `blocks` hold all rows where the table is a sample of them.
        `attributes` are kept with the draws."""
        problem, judge = Problem(table, structure, prior), Judge(table, structure)
        request = Request(
            problem, candidates, self.draws, self.tune, self.chains, self.cores, self.random_seed,
            self.progressbar, self.target_accept, self.batch_size, judge, _compile_the_rest, blocks,
        )  # fmt: skip
        with stage("draws"):
            draws, used = draw_posterior(
                request, inference=self.inference, sampler=self.sampler, escalate=self.escalate
            )
        with stage("relabelling and diagnosis"):
            gate, draws = judge(draws), replace(draws, modes=modes_per_original_unit(draws.modes, table))
            tree = build_tree(
                draws, problem, inference=used, random_seed=self.random_seed, standardize=self.standardize,
                log_likelihood=self.log_likelihood and blocks is None, total=gate.values["log_likelihood"],
            )  # fmt: skip
            if table.known is None:  # else both have the order of the classes
                em = replace(em, params=in_posterior_order(em.params, tree))
            tree.attrs.update(attributes)
            self._set_results(tree, em, table, prior, draws.modes)
            self._once("diagnosis", lambda: self._diagnose(gate))

    def _set_results(
        self, tree: xr.DataTree, em: EMResult, table: Table, prior: ResolvedPrior, modes: pd.DataFrame
    ) -> None:
        self._cache: dict[str, Any] = {}
        self.posterior_, self.em_, self.table_, self.prior_, self.modes_ = tree, em, table, prior, modes
        self.n_features_in_ = table.n_features
        posterior = tree["posterior"].to_dataset()
        for name in ("weights", "means", "covariances"):
            setattr(self, f"{name}_", posterior[name].mean(("chain", "draw")).values)
        self.df_ = np.atleast_1d(posterior["df"].mean(("chain", "draw")).values) if "df" in posterior else None
        noise = posterior["noise_weight"].mean() if "noise_weight" in posterior else None
        self.noise_weight_ = None if noise is None else float(noise)

    def _check_options(self) -> None:
        """Refuse options that cannot be used, as `fit` does before any work."""
        check_fit_options(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "allow"
        return tags

    def fit_predict(self, X: Any, y: Any = None, **fit_params: Any) -> NDArray[np.int64]:
        """Fit, by the `X` and `y` of `fit`, and return the most probable component of each row, ``labels_``."""
        return self.fit(X, y, **fit_params).labels_

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one netCDF file; `bayesgmm.load` reads it back.

        Raises
        ------
        InputError
            If the path cannot be written to, or a name of a row or column cannot be kept; a file that is there stays.
        """
        from bayesgmm.storage import Saved, write_fit

        check_is_fitted(self, "posterior_")
        named = hasattr(self, "feature_names_in_")
        options = self.get_params(deep=False)
        write_fit(Saved(self.posterior_, self.em_, self.table_, options, self.modes_, named), path)


def load(path: str | PathLike[str]) -> BayesianGMM:
    """Read a fit that `BayesianGMM.save` wrote.

    Raises
    ------
    InputError
        If the file is missing or cannot be read, is not a saved fit, is not as it was saved, or was written by a newer
        version.
    """
    from bayesgmm.storage import read_fit

    tree, em, table, options, modes, named = read_fit(path, BayesianGMM().get_params(deep=False))
    fit = BayesianGMM(**options)
    table = replace(table, missing=fit.missing, weight_type=str(tree.attrs.get("weight_type", "frequency")))
    prior = prior_of_saved(fit.prior, table, tree.attrs)
    fit._set_results(tree, em, table, prior, modes)
    fit._name_features(table.feature_names if named else None)
    return fit


def _compile_the_rest() -> None:
    from bayesgmm.warm_up import compile_the_rest

    compile_the_rest()
