"""What a fitted mixture answers: convergence, summaries, prediction, assignment, partition, evidence.

Each method delegates to one function of `posterior`, `clustering` or `model_selection` with the fit's own draws;
`BayesianGMM` inherits them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from bayesgmm.arguments import (
    MOST_SAMPLES,
    check_choice,
    check_count,
    check_flag,
    check_probability,
    check_seed,
)
from bayesgmm.data.far_values import far_values
from bayesgmm.data.frames import as_pandas, default_names, text_names
from bayesgmm.data.table import Table, check_new_rows
from bayesgmm.data.weighting import survey_in_words
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError, warn
from bayesgmm.kernels.streaming import mean_responsibilities, predictive_log_density
from bayesgmm.model.background import table_box
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import Structure
from bayesgmm.model_selection.evidence.mode_shares import weigh_modes
from bayesgmm.posterior.diagnostics.diagnose import Diagnosis, approximation_fault, diagnose, with_reservation
from bayesgmm.posterior.replicate import rows_of_draws
from bayesgmm.posterior.summary import summary
from bayesgmm.posterior.tree import PosteriorArrays, equal_draws, model_rows, posterior_arrays, structure_of
from bayesgmm.progress import stage

if TYPE_CHECKING:
    import xarray as xr

    from bayesgmm.clustering.assignment import Assignment
    from bayesgmm.clustering.merging import Merging
    from bayesgmm.clustering.partition.estimate import Partition
    from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
    from bayesgmm.model_selection.loo.loo import LooResult
    from bayesgmm.model_selection.loo.waic import WaicResult
    from bayesgmm.posterior.diagnostics.gate import Gate
    from bayesgmm.posterior.predict import PredictiveDistribution

__all__ = ["FittedMixture"]

Array = NDArray[np.float64]

_LEVELS = ("component", "cluster")


class FittedMixture:
    """The methods of a fit; they need ``posterior_``, ``em_``, ``table_`` and ``prior_``."""

    posterior_: xr.DataTree
    em_: EMResult
    table_: Table
    prior_: ResolvedPrior
    covariance_type: str
    component: str
    noise: bool
    random_seed: int | None
    progressbar: bool
    cores: int | None
    _cache: dict[str, Any]

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
        """(N,) most probable component of each row; -1 is noise."""
        return self._once("labels", lambda: self._label(self._responsibilities(None)))

    def diagnose(self) -> Diagnosis:
        """Convergence in two tables and in words."""
        return self._once("diagnosis", self._diagnose)

    def _diagnose(self, gate: Gate | None = None) -> Diagnosis:
        """Also what the chains cannot show: shares of modes that they do not leave, and values far outside."""
        found = weigh_modes(diagnose(self.posterior_, gate), self.posterior_, self._problem)
        far = far_values(self.table_)
        named = [f"{x.sentence[0].upper()}{x.sentence[1:]}" for x in far if not x.lost]
        found = replace(found, advice=(*found.advice, *named))
        found = with_reservation(found, [x.sentence for x in far if x.lost])
        survey = survey_in_words(self.table_)
        return replace(found, verdict=f"{found.verdict} {survey}") if survey else found

    def summary(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Maximum-likelihood estimate, posterior mean, sd, interval, ESS and R-hat of every parameter."""
        check_probability(ci_prob)
        diagnosis = self.diagnose()
        return summary(self.posterior_, self.em_.params, ci_prob=ci_prob, diagnosis=diagnosis)

    def assignment(self, X: Any = None, ci_prob: float = 0.95, *, level: str = "component") -> Assignment:
        """Who belongs where, and how sure: a row a point; see `clustering.assignment.assignment`.

        Parameters
        ----------
        X : table or None
            None takes the rows of the fit; other rows keep their names.
        ci_prob : float
            Probability of the intervals.
        level : {"component", "cluster"}
            Whether components that describe one cluster (`merging`) count as one.
        """
        from bayesgmm.clustering.assignment import assignment

        check_probability(ci_prob)
        rows, names = self._named_rows(X)
        return assignment(self.posterior_, rows, ci_prob, row_names=names, merge=self._merge(level))

    def partition(
        self, X: Any = None, *, loss: str = "vi", ci_prob: float = 0.95, level: str = "component"
    ) -> Partition:
        """One partition for the posterior and its credible ball; see `clustering.partition.of_posterior.partition`."""
        from bayesgmm.clustering.partition.loss import LOSSES
        from bayesgmm.clustering.partition.of_posterior import partition

        check_choice(loss, "loss", LOSSES)
        check_probability(ci_prob)
        rows, names = self._named_rows(X)
        return partition(self.posterior_, loss, rows=rows, ci_prob=ci_prob, row_names=names, merge=self._merge(level))

    def coclustering(self, rows: ArrayLike | None = None, *, level: str = "component") -> Array:
        """(n, n) probability that two rows belong together, of all rows or of those at positions `rows`."""
        from bayesgmm.clustering.coclustering import coclustering

        self._check_fitted()
        return coclustering(self.posterior_, rows=rows, merge=self._merge(level))

    def merging(self) -> Merging:
        """Which components describe one cluster, per draw; see `clustering.merging.merging`."""
        from bayesgmm.clustering.merging import merging

        return self._once("merging", lambda: merging(self.posterior_))

    def conditional(
        self, given: Mapping[str, float], *, features: Sequence[str] | str | None = None
    ) -> PredictiveDistribution:
        """Distribution of some columns of a new row, given the values of others."""
        from bayesgmm.posterior.predict import conditional

        self._check_fitted()
        return conditional(self.posterior_, given, features=features)

    def marginal(self, features: Sequence[str] | str | None = None) -> PredictiveDistribution:
        """Posterior predictive distribution of some columns of a new row; by default of all."""
        from bayesgmm.posterior.predict import marginal

        self._check_fitted()
        return marginal(self.posterior_, features)

    def outlier_score(self, X: Any = None, *, ci_prob: float = 0.95) -> pd.DataFrame:
        """Minus log posterior predictive density of each row, its rank and interval; `posterior.outliers`."""
        from bayesgmm.posterior.outliers import outlier_score

        rows, names = self._named_rows(X)
        return outlier_score(self.posterior_, rows, ci_prob=ci_prob, row_names=names)

    def impute(self, draws: int = 20, *, random_seed: int | None = 0) -> Array:
        """(draws, N, D) completed tables: missing cells drawn from the posterior; `posterior.impute.impute`."""
        from bayesgmm.posterior.impute import impute

        self._check_fitted()
        return impute(self.posterior_, draws, random_seed=random_seed)

    def missing_cells(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Mean, sd and interval of every missing cell; `posterior.impute.missing_cells`."""
        from bayesgmm.posterior.impute import missing_cells

        self._check_fitted()
        check_probability(ci_prob)
        return missing_cells(self.posterior_, ci_prob)

    def log_evidence(self, *, chains: Sequence[int] | None = None, force: bool = False) -> Evidence:
        """Log evidence log p(y | K) by symmetrised bridge sampling, of all chains or of some that share a mode.

        Draws of an approximation whose Pareto k exceeds 0.7, or whose importance weights are worth fewer than 400
        draws, are refused unless `force`.
        """
        from bayesgmm.model_selection.evidence.bridge_sampling import chosen_chains, log_evidence

        if chains is not None:
            self._check_fitted()
            chains = chosen_chains(self.posterior_, chains)
        self._refuse_approximation("Evidence", force)
        key = "evidence" if chains is None else f"evidence {tuple(chains)}"
        return self._once(key, lambda: log_evidence(self.posterior_, self._problem, chains=chains))

    def loo(self, *, repair: bool = True, force: bool = False) -> LooResult:
        """Leave-one-out predictive score: PSIS, and where that fails bridge sampling between the
        posterior and that without the row; see `model_selection.loo.loo.loo`.

        Parameters
        ----------
        repair : bool
            False leaves rows with a large Pareto k as PSIS gives them, and says so.
        force : bool
            Use draws of an approximation even if its own Pareto k exceeds 0.7, or its importance weights are worth
            fewer than 400 draws.
        """
        from bayesgmm.model_selection.loo.loo import loo, repaired

        check_flag(repair, "repair")
        self._refuse_approximation("LOO", force)
        if not repair:
            return self._once("loo False", lambda: loo(self.posterior_))

        def compute() -> LooResult:
            before = self.loo(repair=False, force=True)
            with stage("repairs of LOO"):
                return repaired(before, self._repairs(int((before.pareto_k > before.good_k).sum())))

        return self._once("loo True", compute)

    def waic(self) -> WaicResult:
        """WAIC, for comparison with older work; LOO is more reliable."""
        from bayesgmm.model_selection.loo.waic import waic

        return self._once("waic", lambda: waic(self.posterior_))

    def _refuse_approximation(self, what: str, force: bool) -> None:
        self._check_fitted()
        check_flag(force, "force")
        fault = approximation_fault(self.posterior_.attrs)
        if fault and not force:
            raise InputError(
                f"{what} needs draws from the posterior, but {fault}: fit with inference='nuts', or pass force=True."
            )

    def _repairs(self, n_needed: int) -> dict[str, Callable[..., Any]]:
        """Short chains without the row, with about as much work in all as the fit's own draws took, and once at least
        for so many rows; none where there is no Gibbs sampler."""
        from bayesgmm.inference.escalation import has_gibbs
        from bayesgmm.inference.gibbs.left_out import SWEEPS_A_ROW, bridge_repair, sweeps_of
        from bayesgmm.model_selection.loo.pointwise import SCORE_MCSE

        if not has_gibbs(self._problem):
            return {}
        draws = equal_draws(self.posterior_)
        repair = bridge_repair(
            self._problem, draws, max_error=SCORE_MCSE,
            max_sweeps=max(sweeps_of(self.table_, self._structure, draws), n_needed * SWEEPS_A_ROW),
            cores=self.cores, random_seed=self.random_seed,
        )  # fmt: skip
        return {"bridge sampling": repair}

    @property
    def _problem(self) -> Problem:
        return Problem(self.table_, self._structure, self.prior_)

    @property
    def _structure(self) -> Structure:
        return structure_of(self.posterior_).moved(np.log(self.table_.scale))

    def _merge(self, level: str) -> NDArray[np.int64] | None:
        check_choice(level, "level", _LEVELS)
        return self.merging().merge if level == "cluster" else None

    def _named_rows(self, X: Any) -> tuple[Array | None, Any]:
        """New rows and their names, or the fit's own."""
        self._check_fitted()
        if X is None:
            return None, self.table_.row_names
        X = as_pandas(X)
        return self._rows(X), X.index if isinstance(X, pd.DataFrame) else None

    def _check_fitted(self) -> None:
        check_is_fitted(self, "posterior_")

    def _rows(self, X: Any) -> Array:
        """New rows by the names of their columns; scikit-learn's warning where one side alone has names."""
        self._check_fitted()
        X = as_pandas(X)
        named, seen = text_names(X), getattr(self, "feature_names_in_", None)
        names = self.table_.feature_names
        by_order = names == default_names(len(names)) and not set(named or ()) & set(names)
        what = f"{type(self).__name__} was fitted {'with' if named is None else 'without'} feature names"
        if named is None and seen is not None:
            warn(f"X does not have valid feature names, but {what}: columns go by order.")
        elif named is not None and seen is None and by_order:
            warn(f"X has feature names, but {what}: columns go by order.")
        return check_new_rows(X, self.table_)

    def _responsibilities(self, rows: Array | None) -> Array:
        a = self._arrays
        return mean_responsibilities(
            model_rows(self.posterior_, a, rows), a.weights, a.means, a.scaling, row_model=a.row_model
        )

    def _label(self, p: Array) -> NDArray[np.int64]:
        """(N,) component of the largest of p (N, R); -1 for the background."""
        return self._arrays.class_labels[p.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """(N, K) probability of each component for each row, averaged over the draws; of noise, if any, last."""
        return self._responsibilities(self._rows(X))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """(N,) most probable component of each row; -1 is noise."""
        return self._label(self.predict_proba(X))

    def score_samples(self, X: Any) -> Array:
        """(N,) log posterior predictive density of each row, per original unit."""
        rows, a = self._rows(X), self._arrays
        value = predictive_log_density(a.to_model(rows), a.weights, a.means, a.scaling, row_model=a.row_model)
        return value - a.log_jacobian(rows)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log posterior predictive density of the rows."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, *, random_seed: int | None = None) -> tuple[Array, NDArray[np.int64]]:
        """Rows (n, D) from the posterior predictive distribution, original units, and their components (n,), -1 for
        rows of noise."""
        a = self._arrays
        check_count(n_samples, "n_samples", most=MOST_SAMPLES)
        check_seed(random_seed)
        rng = np.random.default_rng(random_seed)
        draw = rng.integers(len(a.weights), size=n_samples)
        box = table_box(self.table_) if a.n_classes > a.n_components else None
        return rows_of_draws(a, draw, rng, box)
