"""Scores to compare fits by: LOO, WAIC, evidence, by functions of `model_selection`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bayesgmm.arguments import check_flag
from bayesgmm.errors import InputError
from bayesgmm.fitted_base import FittedBase
from bayesgmm.posterior.diagnostics.approximation import approximation_fault
from bayesgmm.posterior.tree import equal_draws
from bayesgmm.progress import stage

if TYPE_CHECKING:
    from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
    from bayesgmm.model_selection.loo.loo import LooResult
    from bayesgmm.model_selection.loo.waic import WaicResult


__all__ = ["FittedScores"]


class FittedScores(FittedBase):
    """Scores of a fit."""

    def loo(self, *, repair: bool = True, force: bool = False) -> LooResult:
        """Leave-one-out predictive score: importance sampling, and bridge sampling where that fails.

        From 50,000 rows on, 250 to 1000 of the draws are used, and only rows whose Pareto k is too large to be trusted
        are repaired. Of a table in batches it is estimated from the random sample of its rows that the fit keeps.

        Parameters
        ----------
        repair : bool
            False leaves rows with a large Pareto k as importance sampling gives them, and says so.
        force : bool
            Use draws of an approximation even if its own Pareto k exceeds 0.7, or its importance weights are worth
            fewer than 400 draws.

        Returns
        -------
        LooResult
            ``elpd``, ``se``, ``p``, ``mcse``, and by row the score, its error, Pareto k and the method.

        Raises
        ------
        InputError
            If the draws are those of an approximation that is not good enough.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> one = bg.BayesianGMM(1, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> bool(fit.loo().elpd > one.loo().elpd)
        True
        """
        from bayesgmm.model_selection.loo.loo import loo, repaired

        check_flag(repair, "repair")
        self._refuse_approximation("LOO", force)
        n_rows = self.posterior_.attrs.get("rows_in_batches")
        many = n_rows is not None or self.table_.is_long
        if not repair or n_rows is not None:
            return self._judged(self._once("loo False", self._loo_of_many if many else lambda: loo(self.posterior_)))

        def compute() -> LooResult:
            before = self.loo(repair=False, force=True)
            if many and before.ok:
                return before
            with stage("repairs of LOO"):
                return repaired(before, self._repairs(int((before.pareto_k > before.good_k).sum())))

        return self._judged(self._once("loo True", compute))

    def _loo_of_many(self) -> LooResult:
        from bayesgmm.model_selection.loo.of_sample import loo_of_sample

        return loo_of_sample(self.posterior_, int(self.posterior_.attrs.get("rows_in_batches", self.table_.n_rows)))

    def waic(self) -> WaicResult:
        """WAIC, for comparison with older work; `loo` is more reliable.

        Returns
        -------
        WaicResult
            ``elpd``, ``se``, ``p``, and the rows whose penalty is too large to be trusted.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> bool(abs(fit.waic().elpd - fit.loo().elpd) < 1.0)
        True
        """
        from bayesgmm.model_selection.loo.waic import waic

        self._refuse_batches("WAIC")
        return self._judged(self._once("waic", lambda: waic(self.posterior_)))

    def log_evidence(self, *, chains: Sequence[int] | None = None, force: bool = False) -> Evidence:
        """Log evidence log p(y | K) by symmetrised bridge sampling, or by Laplace's importance weights.

        These are what there is of 50,000 rows or more that were fitted by Laplace's approximation, and of batches.

        Parameters
        ----------
        chains : sequence of int, optional
            Some chains that share a mode; None takes all.
        force : bool
            Use draws of an approximation even if its own Pareto k exceeds 0.7, or its importance weights are worth
            fewer than 400 draws.

        Returns
        -------
        Evidence
            ``value``, ``mcse`` (its Monte Carlo error), ``omega``, ``method``; ``str()`` is a sentence.

        Raises
        ------
        InputError
            If the draws are those of an approximation that is not good enough, or of known labels.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> bool(fit.log_evidence().mcse < 0.1)
        True
        """
        from bayesgmm.model_selection.evidence.bridge_sampling import chosen_chains, log_evidence

        if chains is not None:
            self._check_fitted()
            chains = chosen_chains(self.posterior_, chains)
        self._refuse_approximation("Evidence", force)
        if "log_evidence" in self.posterior_.attrs:
            from bayesgmm.model_selection.evidence.importance import evidence_of_weights

            return self._judged(self._once("evidence", lambda: evidence_of_weights(self.posterior_, self._problem)))
        key = "evidence" if chains is None else f"evidence {tuple(chains)}"
        return self._judged(self._once(key, lambda: log_evidence(self.posterior_, self._problem, chains=chains)))

    def _refuse_approximation(self, what: str, force: bool) -> None:
        self._check_fitted()
        check_flag(force, "force")
        fault = approximation_fault(self.posterior_.attrs)
        if fault and not force:
            how = "fit a sample of the rows with" if "rows_in_batches" in self.posterior_.attrs else "fit with"
            raise InputError(
                f"{what} needs draws from the posterior, but {fault}: {how} inference='nuts', or pass force=True."
            )

    def _refuse_batches(self, what: str) -> None:
        self._check_fitted()
        if "rows_in_batches" in self.posterior_.attrs:
            raise InputError(
                f"{what} takes all rows in memory, and this fit read them in batches: take loo(), or fit a sample of "
                "the rows."
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
