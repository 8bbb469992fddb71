"""A weight of 3 equals the row three times, in everything public.

One table with weights from 0 to 3 is fitted, and its copy with rows repeated; the second fit gets the draws of the
first, so that the comparison is exact. What is public is found by introspection, as in `test_arguments`: the methods
and attributes of a fit, and those of the records that it returns. For each `RULES` says how the weighted result maps to
the copied one; a public result that it does not name fails a test.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.compare import gather
from bayesgmm.inference.gibbs.left_out import bridge_repair
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import Kind, get_structure
from bayesgmm.model_selection.candidate import score_candidate
from bayesgmm.model_selection.secondary import secondary_scores
from bayesgmm.posterior.tree import equal_draws
from bayesgmm.reporting import method, results

pytestmark = [
    pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

OPTIONS = dict(draws=150, tune=150, chains=2, escalate=False, random_seed=1, progressbar=False)
WEIGHTS = np.array([3.0, 1.0, 0.0, 2.0, 1.0, 1.0, 3.0, 1.0, 2.0, 0.0, 1.0, 1.0, 2.0, 1.0, 1.0, 3.0, 1.0, 2.0, 1.0, 1.0])
COPIES = np.repeat(np.arange(20), WEIGHTS.astype(int))  # row of each copy
FIRST = np.unique(COPIES, return_index=True)[1]  # first copy of each row with a weight


def table() -> pd.DataFrame:
    """Two clusters that overlap a little; a cell is missing in a row of weight 3."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(20, 2)) + 3.2 * (np.arange(20) % 2)[:, None]
    rows[6, 1] = np.nan
    return pd.DataFrame(rows, columns=["a", "b"])


@dataclass
class Pair:
    """A result of the weighted table and the same of the copied one."""

    weighted: Any
    copied: Any

    def map(self, function: Callable[[Any], Any]) -> Pair:
        return Pair(function(self.weighted), function(self.copied))


def fits(k: int, patch: pytest.MonkeyPatch) -> Pair:
    """The fit of the weighted table, and that of the copies with the same draws; all else is made anew."""
    from bayesgmm import estimator

    X, real, kept = table(), estimator.draw_posterior, []

    def draw(*arguments: Any, **options: Any) -> Any:
        if not kept:
            kept.append(real(*arguments, **options))
        return kept[0]

    patch.setattr(estimator, "draw_posterior", draw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = bg.BayesianGMM(k, **OPTIONS).fit(X, sample_weight=WEIGHTS)
        copied = bg.BayesianGMM(k, **OPTIONS).fit(X.iloc[COPIES].reset_index(drop=True))
    return Pair(weighted, copied)


@pytest.fixture(scope="module")
def pairs() -> dict[str, Pair]:
    """Fits and every record of theirs."""
    mpl.use("Agg")
    with pytest.MonkeyPatch.context() as patch:
        one = fits(1, patch)
        patch.undo()
        both = fits(2, patch)
    found = {"BayesianGMM": both, "EMResult": both.map(lambda fit: fit.em_), "Table": both.map(lambda fit: fit.table_)}
    calls: dict[str, Callable[[Any], Any]] = {
        "Assignment": lambda fit: fit.assignment(), "Partition": lambda fit: fit.partition(),
        "Merging": lambda fit: fit.merging(), "Classification": lambda fit: fit.classification(),
        "Diagnosis": lambda fit: fit.diagnose(),
        "Evidence": lambda fit: fit.log_evidence(force=True),
        "LooResult": lambda fit: fit.loo(repair=False, force=True),
        "WaicResult": lambda fit: fit.waic(), "ClusteringComparison": lambda fit: bg.compare_clusterings(fit),
        "CredibleBall": lambda fit: fit.partition().ball,
        "PredictiveDistribution": lambda fit: fit.marginal(),
        "HighestDensityRegion": lambda fit: bg.highest_density_region(fit.marginal("a")),
        "MixtureParams": lambda fit: fit.em_.params, "ResolvedPrior": lambda fit: fit.prior_,
    }  # fmt: skip
    found |= {name: both.map(call) for name, call in calls.items()}

    def compared(of: str) -> Any:
        some = [getattr(pair, of) for pair in (one, both)]
        return bg.Comparison(**vars(gather((fit, score_candidate(fit, seconds=0.0)) for fit in some)))

    found["Comparison"] = Pair(compared("weighted"), compared("copied"))
    found["Candidate"] = found["Comparison"].map(lambda cmp: cmp.candidates[2])
    found["Recommendation"] = found["Comparison"].map(lambda cmp: cmp.recommendation)
    return found


# --- how a weighted result maps to the copied one


def close(a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-7) -> None:
    """Equal numbers, or what is equal as it is."""
    if a is None or isinstance(a, (str, tuple, bool)):
        assert a == b
        return
    if isinstance(a, pd.Series):
        assert a.index.equals(b.index)
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind in "OUSb":
        assert (a == b).all()
    else:
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=rtol, atol=atol)


def equal(pair: Pair) -> None:
    """The same."""
    close(pair.weighted, pair.copied)


def by_row(pair: Pair) -> None:
    """Of each copy what it is of the row; columns of a frame one by one."""
    a, b = pair.weighted, pair.copied
    if isinstance(a, pd.DataFrame):
        assert list(a.columns) == list(b.columns)
        for name in a.columns:
            close(a[name].to_numpy()[COPIES], b[name].to_numpy())
    else:
        close(np.asarray(a)[COPIES], np.asarray(b))


def shared(pair: Pair) -> None:
    """A total of all copies of the row: of each of them its part."""
    by_row(pair.map(lambda x: x / np.maximum(WEIGHTS, 1.0) if len(x) == len(WEIGHTS) else x))


def by_draw_and_row(pair: Pair) -> None:
    close(np.asarray(pair.weighted)[:, COPIES], np.asarray(pair.copied))


def frame(*, rtol: float = 1e-6, skip: tuple[str, ...] = ()) -> Callable[[Pair], None]:
    """A table that is not by row, equal in every column but those with a reason."""

    def check(pair: Pair) -> None:
        a, b = pair.weighted, pair.copied
        assert list(a.columns) == list(b.columns) and len(a) == len(b)
        for name in a.columns:
            if name not in skip:
                close(a[name], b[name], rtol=rtol)

    return check


def no_larger_table(pair: Pair) -> None:
    """`Diagnosis.table`: the same quantities; those of rows under the name of a copy. Pairs are of distinct rows, which
    in the copied table two copies of one row are too, so that their choice differs."""
    a, b = pair.weighted, pair.copied
    plain = [name for name in a.index if not name.startswith(("log_density[", "log_det_covariance[", "co_clustering["))]
    assert {"classification_entropy", "log_likelihood", "log_posterior"} <= set(plain)
    for column in ("mean", "sd"):
        close(a.loc[plain, column], b.loc[plain, column], rtol=1e-5)
    for column in ("r_hat", "ess_bulk", "ess_tail"):  # of ranks, which rounding may swap
        close(a.loc[plain, column], b.loc[plain, column], rtol=1e-2)
    for kind in ("log_density", "log_det_covariance"):
        ours, theirs = (x[x.index.str.startswith(kind)] for x in (a, b))
        rows = {f"{kind}[{COPIES[int(name.split('[')[1][:-1])]}]" for name in theirs.index}
        assert rows == set(ours.index)
        close(np.unique(ours["mean"].round(8)), np.unique(theirs["mean"].round(8)))


def tree(pair: Pair) -> None:
    """`posterior_`: draws and statistics equal; what is by row, of each copy; the log-likelihood of a row is shared."""
    a, b = pair.weighted, pair.copied
    assert set(a.children) == set(b.children)
    for group in a.children:
        for name, x in a[group].data_vars.items():
            y = b[group][name]
            if name == "row_weight":
                assert x.values.sum() == y.values.sum()
            elif group == "log_likelihood":
                close((x.values / np.maximum(WEIGHTS, 1.0))[..., COPIES], y.values)
            elif "obs_id" in x.dims:
                close(x.isel(obs_id=COPIES).values, y.values)
            else:
                close(x.values, y.values)
    different = {"sampling_time", "relabelling", "modes", "inference", "notes"}  # times, counts of rows
    assert not [n for n in a.attrs if n not in different and a.attrs[n] != b.attrs[n]]


def partition_labels(pair: Pair) -> None:
    by_row(pair)


def cluster_numbers(pair: Pair) -> None:
    """Bounds of the ball: partitions of the copies, whose rows are here in the cluster of most of their copies."""
    for bound in (pair.weighted, pair.copied):
        assert bound.ndim == 2 and len(bound) >= 1


def labels_of_most(pair: Pair) -> None:
    """Label draws: of a row that of most of its copies, so equal for rows of weight 1."""
    alone = np.flatnonzero(WEIGHTS == 1.0)
    ours, theirs = pair.weighted[:, alone], pair.copied[:, np.searchsorted(COPIES, alone)]
    same = [(x[:, None] == x).astype(int) for x in ours], [(x[:, None] == x).astype(int) for x in theirs]
    close(np.array(same[0]), np.array(same[1]))


def coclusters(pair: Pair) -> None:
    """Of copies of two rows; two copies of one row are together with another probability than a row with itself."""
    of = np.ix_(FIRST, FIRST)
    close(pair.weighted[np.ix_(np.unique(COPIES), np.unique(COPIES))], pair.copied[of])


def other_clusterings(pair: Pair) -> None:
    """Labels of methods: those of the first copy, up to their names, for rows with a weight."""
    used = np.unique(COPIES)
    for name in pair.weighted.columns:
        a, b = pair.weighted[name].to_numpy()[used], pair.copied[name].to_numpy()[FIRST]
        assert ((a[:, None] == a) == (b[:, None] == b)).all(), name


def near(rtol: float) -> Callable[[Pair], None]:
    return lambda pair: close(pair.weighted, pair.copied, rtol=rtol)


def elpd_data(pair: Pair) -> None:
    """What ArviZ gets of the weighted fit is what it gets of the copies."""
    for name in ("elpd", "se", "p", "n_data_points"):
        close(getattr(pair.weighted, name), getattr(pair.copied, name))
    for name in ("elpd_i", "pareto_k"):
        close(getattr(pair.weighted, name).values, getattr(pair.copied, name).values)


def starts(pair: Pair) -> None:
    """The best start is the same optimum; starts are random, so that others may end elsewhere."""
    for name in ("log_likelihood",):
        close(pair.weighted[name].max(), pair.copied[name].max(), rtol=1e-5)
    close(pair.weighted["method"].nunique(), pair.copied["method"].nunique())


def imputed(pair: Pair) -> None:
    """Observed cells are as they were; the missing cell of the row is drawn once, those of its copies one by one."""
    a, b = pair.weighted, pair.copied
    assert a.shape[1:] == (20, 2) and b.shape[1:] == (len(COPIES), 2) and np.isfinite(a).all()
    known = ~np.isnan(table().to_numpy()[COPIES])
    close(a[0][COPIES][known], b[0][known])


def missing(pair: Pair) -> None:
    """A missing cell has the mean and sd of each of its copies; intervals are drawn anew for each row."""
    for name in ("mean", "sd"):
        close(np.repeat(pair.weighted[name].to_numpy(), 3), pair.copied[name].to_numpy())


def called(call: Callable[[Any], Any], rule: Callable[[Pair], None]) -> Callable[[Pair], None]:
    """The rule for what a call of a method gives."""
    return lambda pair: rule(pair.map(call))


def equal_series(pair: Pair) -> None:
    close(pair.weighted, pair.copied, rtol=1e-5)


def record(name: str) -> Callable[[Pair], None]:
    """Returns a record whose members have rules of their own."""

    def check(pair: Pair) -> None:
        assert any(rule.startswith(f"{name}.") for rule in RULES)

    return check


def not_compared(reason: str) -> Callable[[Pair], None]:
    def check(_: Pair) -> None:
        assert reason

    return check


NEW = [[0.5, 1.0], [3.0, 2.5], [9.0, 9.0]]
MONTE_CARLO = not_compared("an error of the computation: copies of a row share it, and do not average it out")
ROWS = not_compared("counts rows of the table, as told of where a computation succeeded")
SENTENCE = not_compared("words about the rest")
INPUT = not_compared("an option, or what was given")

RULES: dict[str, Callable[[Pair], None]] = {
    # a fit
    "BayesianGMM.fit": SENTENCE, "BayesianGMM.fit_predict": SENTENCE, "BayesianGMM.save": SENTENCE,
    "BayesianGMM.posterior_": tree, "BayesianGMM.em_": record("EMResult"), "BayesianGMM.table_": record("Table"),
    "BayesianGMM.prior_": record("ResolvedPrior"), "BayesianGMM.modes_": not_compared("of the draws, which are shared"),
    "BayesianGMM.weights_": equal, "BayesianGMM.means_": equal, "BayesianGMM.covariances_": equal,
    "BayesianGMM.df_": equal, "BayesianGMM.noise_weight_": equal,
    "BayesianGMM.labels_": by_row, "BayesianGMM.n_features_in_": equal, "BayesianGMM.feature_names_in_": equal,
    "BayesianGMM.assignment": record("Assignment"), "BayesianGMM.partition": record("Partition"),
    "BayesianGMM.merging": record("Merging"), "BayesianGMM.diagnose": record("Diagnosis"),
    "BayesianGMM.log_evidence": record("Evidence"), "BayesianGMM.loo": record("LooResult"),
    "BayesianGMM.waic": record("WaicResult"), "BayesianGMM.marginal": record("PredictiveDistribution"),
    "BayesianGMM.conditional": called(lambda f: f.conditional({"a": 0.5}).summary(), frame()),
    "BayesianGMM.coclustering": called(lambda f: f.coclustering(), coclusters),
    "BayesianGMM.impute": called(lambda f: f.impute(5), imputed),
    "BayesianGMM.missing_cells": called(lambda f: f.missing_cells(), missing),
    "BayesianGMM.outlier_score": called(lambda f: f.outlier_score(), by_row),
    "BayesianGMM.predict": called(lambda f: f.predict(NEW), equal),
    "BayesianGMM.predict_proba": called(lambda f: f.predict_proba(NEW), equal),
    "BayesianGMM.sample": called(lambda f: f.sample(50, random_seed=1)[0], equal),
    "BayesianGMM.score": called(lambda f: f.score(NEW), equal),
    "BayesianGMM.score_samples": called(lambda f: f.score_samples(NEW), equal),
    "BayesianGMM.summary": called(lambda f: f.summary(), frame(rtol=2e-3)),
    # its data and maximum likelihood
    "Table.values": by_row, "Table.feature_names": equal, "Table.row_names": INPUT, "Table.weights": INPUT,
    "Table.center": equal, "Table.scale": equal, "Table.resolution": equal, "Table.missing": INPUT,
    "Table.known": INPUT, "Table.classes": INPUT,
    "Table.weight_type": INPUT, "Table.used_rows": called(lambda x: np.nan_to_num(x), lambda p: close(
        np.unique(p.weighted, axis=0), np.unique(p.copied, axis=0))),
    "Table.n_rows": ROWS, "Table.n_features": equal, "Table.standardized": by_row, "Table.is_complete": equal,
    "Table.is_long": equal,
    "Table.log_jacobian": by_row, "Table.patterns": ROWS, "Table.write_features": INPUT,
    "EMResult.params": record("MixtureParams"), "EMResult.log_likelihood": near(1e-5), "EMResult.aic": near(1e-5),
    "EMResult.bic": near(1e-5), "EMResult.icl": near(1e-4), "EMResult.converged": equal,
    "EMResult.feature_names": equal,
    "EMResult.n_iter": not_compared("of the start that came first to the optimum"),
    "EMResult.log_likelihood_trace": not_compared("of the start that came first to the optimum"),
    "EMResult.starts": starts, "EMResult.n_reached_best": not_compared("starts are random"),
    "EMResult.min_sd_relative": near(1e-3), "EMResult.message": SENTENCE,
    "MixtureParams.weights": near(2e-3), "MixtureParams.means": near(2e-3), "MixtureParams.covariances": near(5e-3),
    "MixtureParams.df": equal, "MixtureParams.noise_weight": equal, "MixtureParams.kind": equal,
    "MixtureParams.head": near(2e-3),
    "MixtureParams.covariance_type": equal, "MixtureParams.n_components": equal, "MixtureParams.n_features": equal,
    "MixtureParams.n_parameters": equal, "MixtureParams.standard_deviations": near(5e-3),
    "MixtureParams.scaling": not_compared("of the covariances"),
    "MixtureParams.cholesky": not_compared("of the covariances"),
    "MixtureParams.permute": INPUT, "MixtureParams.rescale": INPUT,
    # who belongs where
    "Assignment.table": by_row, "Assignment.probabilities": by_row, "Assignment.lower": by_row,
    "Assignment.upper": by_row, "Assignment.components": frame(), "Assignment.ci_prob": equal,
    "Assignment.level": equal,
    "Assignment.weights": INPUT, "Assignment.n_ambiguous": equal, "Assignment.parameter_share": equal,
    "Assignment.n_rows": equal, "Assignment.classes": equal,
    "Partition.labels": partition_labels, "Partition.loss": equal, "Partition.expected_loss": equal,
    "Partition.occupied": equal, "Partition.ball": record("CredibleBall"), "Partition.draws": labels_of_most,
    "Partition.weights": INPUT, "Partition.n_runs": equal, "Partition.n_best": not_compared("runs are random"),
    "Partition.method": SENTENCE, "Partition.copies": INPUT, "Partition.similarity_from": INPUT,
    "Partition.n_clusters": equal, "Partition.sizes": equal, "Partition.similarity": coclusters,
    "Partition.agreement": called(
        lambda p: p.agreement((np.arange(20) % 2)[COPIES] if len(p.labels) > 20 else np.arange(20) % 2), frame()
    ),
    "CredibleBall.ci_prob": equal, "CredibleBall.radius": equal, "CredibleBall.probability": equal,
    "CredibleBall.horizontal": cluster_numbers, "CredibleBall.upper": cluster_numbers,
    "CredibleBall.lower": cluster_numbers, "CredibleBall.n_clusters": equal, "CredibleBall.groups": SENTENCE,
    "Merging.n_clusters": equal, "Merging.together": frame(), "Merging.merge": equal, "Merging.separation": equal,
    "Merging.merge_probability": equal, "Merging.labels": equal, "Merging.occupied": equal, "Merging.best": equal,
    "Merging.best_probability": equal, "Merging.apart": frame(), "Merging.tree": frame(),
    "Merging.by_separation": frame(), "Merging.numbers": equal, "Merging.stable": equal,
    "Merging.shown": equal, "Merging.in_question": frame(),
    "Merging.trees": not_compared("its one array, of which `apart` is the median"),
    "Merging.at": called(lambda m: m.at(1.0), record("Merging")),
    "ClusteringComparison.table": frame(skip=("note",)),
    "ClusteringComparison.labels": other_clusterings, "ClusteringComparison.probability": by_row,
    "ClusteringComparison.partition": record("Partition"), "ClusteringComparison.ci_prob": equal,
    "ClusteringComparison.partition_radius": equal,
    "ClusteringComparison.disagreements": not_compared("rows of the labels, which are compared"),
    # convergence
    "Diagnosis.table": no_larger_table, "Diagnosis.components": frame(rtol=1e-2), "Diagnosis.verdict": SENTENCE,
    "Diagnosis.status": not_compared("of the table, in which pairs of rows differ"),
    "Diagnosis.ok": not_compared("of the table, in which pairs of rows differ"), "Diagnosis.advice": SENTENCE,
    "Diagnosis.n_divergences": equal, "Diagnosis.ambiguous_share": equal,
    "Diagnosis.modes": not_compared("of the status"), "Diagnosis.n_chains": equal, "Diagnosis.n_draws": equal,
    # how many
    "Evidence.value": equal, "Evidence.mcse": equal, "Evidence.omega": equal, "Evidence.overlap": equal,
    "Evidence.n_components": equal, "Evidence.n_permutations": equal, "Evidence.left_out": equal,
    "Evidence.method": SENTENCE, "Evidence.deviance": equal, "Evidence.n_means": equal, "Evidence.ok": equal,
    "LooResult.elpd": equal, "LooResult.se": equal, "LooResult.p": equal, "LooResult.mcse": MONTE_CARLO,
    "LooResult.good_k": equal, "LooResult.n_samples": equal, "LooResult.elpd_i": shared, "LooResult.mcse_i": shared,
    "LooResult.p_i": shared, "LooResult.pareto_k": by_row, "LooResult.method_i": by_row, "LooResult.ok_i": by_row,
    "LooResult.psis_elpd_i": shared, "LooResult.row_names": INPUT, "LooResult.weight_i": INPUT, "LooResult.ok": equal,
    "LooResult.n_rows": equal, "LooResult.sampling_se": equal,
    "LooResult.n_bad": ROWS, "LooResult.n_repaired": ROWS, "LooResult.counts": ROWS,
    "LooResult.to_elpd_data": called(lambda x: x.to_elpd_data(), elpd_data),
    "WaicResult.elpd": equal, "WaicResult.se": equal, "WaicResult.p": equal, "WaicResult.n_unstable": ROWS,
    "WaicResult.elpd_i": shared, "WaicResult.p_i": shared, "WaicResult.ok": equal,
    "Comparison.fits": record("BayesianGMM"), "Comparison.candidates": record("Candidate"),
    "Comparison.unfinished": equal, "Comparison.recommendation": record("Recommendation"),
    "Comparison.trees": record("BayesianGMM"), "Comparison.best": record("BayesianGMM"),
    "Comparison.sensitivity": frame(), "Comparison.occupied": frame(), "Comparison.clusters": frame(),
    "Comparison.labels_": by_row, "Comparison.average": called(lambda c: c.average().n_clusters, equal_series),
    "Comparison.stages": SENTENCE, "Comparison.plot": SENTENCE,
    "Comparison.table": not_compared("of the details"),
    "Comparison.details": frame(rtol=2e-3, skip=(
        "seconds", "n_bad_rows", "n_waic_unstable", "loo_methods", "elpd_mcse", "method", "escalation", "converged",
        "status", "elpd_loo", "se", "p_loo", "elpd_diff", "diff_se", "stacking_weight",  # after repairs, below
    )),
    "Candidate.loo": not_compared("after repairs, which are random: `test_repaired_scores`"),
    "Candidate.waic": record("WaicResult"), "Candidate.evidence": record("Evidence"),
    "Candidate.classification": record("Classification"),
    "Classification.sizes": near(1e-6), "Classification.average": near(2e-3),
    "Classification.relative_entropy": near(2e-3), "Classification.shares": near(1e-6),
    "Classification.n_min": near(1e-6), "Classification.n_max": near(1e-6), "Classification.prob_min": near(2e-3),
    "Classification.prob_max": near(2e-3), "BayesianGMM.classification": record("Classification"),
    "Candidate.sensitivity": frame(),
    "Candidate.in_place_of_nuts": equal, "Candidate.merging": record("Merging"), "Candidate.occupied": equal,
    "Candidate.empty_ratio": called(lambda r: np.array([r.value, r.mcse]), equal),
    "Candidate.log_likelihood": near(1e-5),
    "Candidate.aicc": near(1e-5), "Candidate.bic": near(1e-5), "Candidate.icl": near(1e-4),
    "Candidate.n_components": equal, "Candidate.kind": equal, "Candidate.n_parameters": equal,
    "Candidate.log_evidence": equal, "Candidate.converged": record("Diagnosis"), "Candidate.rough": equal,
    "Candidate.of_sample": equal,
    "Candidate.status": record("Diagnosis"), "Candidate.verdict": SENTENCE, "Candidate.method": SENTENCE,
    "Candidate.notes": SENTENCE, "Candidate.seconds": SENTENCE, "Candidate.stages": SENTENCE,
    "Candidate.problems": SENTENCE, "Candidate.elpd_mcse": MONTE_CARLO, "Candidate.levels": equal,
    "Candidate.secondary": not_compared("`test_secondary_scores`"),
    # new rows
    "PredictiveDistribution.summary": called(lambda d: d.summary(), frame()),
    "HighestDensityRegion.contains": called(lambda r: r.contains([0.0, 2.0, 9.0]), equal),
}  # fmt: skip
# Records whose every member has a rule; of a distribution of new rows, and of the prior, one or two speak for the rest.
WHOLE = (
    "BayesianGMM", "Table", "EMResult", "MixtureParams", "Assignment", "Classification", "Partition", "CredibleBall",
    "Merging",
    "ClusteringComparison", "Diagnosis", "Evidence", "LooResult", "WaicResult", "Comparison", "Candidate",
)  # fmt: skip
RULES |= {
    "ResolvedPrior.mean_loc": equal, "ResolvedPrior.mean_scale": equal, "ResolvedPrior.sd_parameters": equal,
    "ResolvedPrior.step": equal, "Recommendation.n_components": equal, "Recommendation.n_clusters": equal,
}  # fmt: skip


def members(record: Any) -> Iterator[str]:
    """Public methods, properties and attributes of a record; of a fit those that are this package's, or end in _."""
    kind = type(record)
    for name, value in inspect.getmembers(kind):
        if not name.startswith("_") and name.endswith("_") | (
            isinstance(value, property)
            or type(value).__name__ == "cached_property"
            or (inspect.isfunction(value) and value.__module__.startswith("bayesgmm"))
        ):
            yield name
    own = [f.name for f in fields(record)] if hasattr(record, "__dataclass_fields__") else vars(record)
    for name in own:
        if not name.startswith("_") and (kind.__name__ != "BayesianGMM" or name.endswith("_")):
            yield name


def test_every_public_result_has_a_rule(pairs: dict[str, Pair]) -> None:
    wanted = {f"{name}.{member}" for name in WHOLE for member in members(pairs[name].weighted)}
    assert not sorted(wanted - set(RULES))
    assert not sorted(n for n in set(RULES) - wanted if n.split(".")[0] in WHOLE)
    assert len(wanted) > 150


def test_records_of_a_fit_are_known() -> None:
    """What `test_arguments` lists as records is here, too."""
    from tests.unit.test_arguments import RECORDS

    assert {name.split(".")[0] for name in RULES} >= RECORDS


@pytest.mark.parametrize("name", RULES)
def test_a_weight_is_so_many_copies(pairs: dict[str, Pair], name: str) -> None:
    kind, member = name.split(".")
    value = pairs[kind].map(lambda x: x if inspect.isfunction(getattr(type(x), member, None)) else getattr(x, member))
    RULES[name](value)


def test_bridge_sampling_leaves_one_copy_out(pairs: dict[str, Pair]) -> None:
    """Scores of the rows of weight 3, and of one copy of each: within 4 standard errors, which are small."""
    rows = np.flatnonzero(WEIGHTS == 3.0)

    def repaired(fit: bg.BayesianGMM, index: Any) -> Any:
        repair = bridge_repair(Problem(fit.table_, get_structure("full"), fit.prior_), equal_draws(fit.posterior_),
                               random_seed=1, cores=1)  # fmt: skip
        return repair(index, np.zeros(len(index)))

    (ours, error), (theirs, of_copies) = (
        repaired(pairs["BayesianGMM"].weighted, rows),
        repaired(pairs["BayesianGMM"].copied, np.searchsorted(COPIES, rows)),
    )
    assert (np.abs(ours / 3.0 - theirs) < 4.0 * np.hypot(error / 3.0, of_copies)).all()
    assert (of_copies < 0.1).all() and (error / 3.0 < 0.1).all()


def test_repaired_scores(pairs: dict[str, Pair]) -> None:
    """Bridge sampling without one copy: rows repaired in either fit agree within 4 standard errors, elpd and p too."""
    ours, theirs = (fit.loo(force=True) for fit in (pairs["BayesianGMM"].weighted, pairs["BayesianGMM"].copied))
    weight = np.maximum(WEIGHTS, 1.0)
    error = np.hypot((ours.mcse_i / weight)[COPIES], theirs.mcse_i)
    known = np.isfinite(error)  # not of rows that no repair could mend, which stay as they are and are said
    assert known.sum() > 0.8 * len(known)
    assert (np.abs((ours.elpd_i / weight)[COPIES] - theirs.elpd_i) <= 4.0 * error + 1e-6)[known].all()
    if known.all():
        assert abs(ours.elpd - theirs.elpd) < 4.0 * np.hypot(ours.mcse, theirs.mcse)


@pytest.mark.parametrize("k", [1, 2])
def test_secondary_scores(k: int) -> None:
    rows = table().fillna(1.0).to_numpy()
    weighted, copied = bg.prepare_table(rows, sample_weight=WEIGHTS), bg.prepare_table(rows[COPIES])
    labels = np.arange(20) % 2
    ours, theirs = (
        secondary_scores(weighted, k, Kind("full"), labels),
        secondary_scores(copied, k, Kind("full"), labels[COPIES]),
    )
    assert set(ours) == {"cv_log_likelihood", "within_ss", "silhouette"}
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], rel=1e-3 if name == "cv_log_likelihood" else 1e-9), name


def test_report(pairs: dict[str, Pair]) -> None:
    """Figures of the report: what is counted and shared is that of the copies."""
    fit = pairs["BayesianGMM"]
    probabilities = fit.map(lambda f: f.predict_proba(f.table_.values))
    pages = [
        (results.assignment(f, p), results.headline(f, p, 0.95), method.data(f))
        for f, p in ((fit.weighted, probabilities.weighted), (fit.copied, probabilities.copied))
    ]
    assert pages[0][0]["sentence"] == pages[1][0]["sentence"]
    assert pages[0][0]["components"] == pages[1][0]["components"]
    assert pages[0][1]["summary"][1:] == pages[1][1]["summary"][1:]
    assert f"18 observations that count as {len(COPIES)}" in pages[0][1]["summary"][0]
    keep = [0, 1, 2, 3, 4, 5, 7]  # all but the number of missing cells, which is of rows of the table
    assert [[r[i] for i in keep] for r in pages[0][2]["columns"].rows] == [
        [r[i] for i in keep] for r in pages[1][2]["columns"].rows
    ]


def test_plots_count_copies(pairs: dict[str, Pair]) -> None:
    import matplotlib.pyplot as plt

    fit = pairs["BayesianGMM"]
    for draw in (lambda f: bg.plot_assignment(f)[0], bg.plot_coclustering, bg.plot_entropy_split):
        axes = fit.map(draw)
        assert axes.weighted.get_title(loc="left") == axes.copied.get_title(loc="left") != ""
        assert axes.weighted.get_xlabel() == axes.copied.get_xlabel()
        plt.close("all")
