"""One fuzz example: a table, options and a call; and what its outcome must be.

Every example ends in one of three ways: an answer that is finite and says whether to rely on it, the same answer with
the warning not to, or one `InputError` of one line. Whatever else happens is a fault, told in a sentence.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
from _fuzz_tables import TableRecipe, make_table, make_weights, mostly, tables
from hypothesis import strategies as st

import bayesgmm as bg
from bayesgmm.model.structure import COVARIANCE_TYPES
from bayesgmm.progress import working

__all__ = ["CALLS", "LIMIT", "REFUSED", "RELIABLE", "UNRELIABLE", "Case", "Outcome", "cases", "example", "run"]

LIMIT = 20.0  # seconds of processor time of a call, with all that is asked of its result
# Multiply-adds of the longest run of a sampler: half of what `compare_components` lets it do at first.
MAX_WORK = 1e10
RELIABLE, UNRELIABLE, REFUSED = "answered, reliable", "answered, says not reliable", "refused in one line"
CALLS = "fit_em", "laplace", "gibbs", "nuts", "auto", "compare_components"


@dataclass(frozen=True)
class Case:
    """What is called, of which table, with which options."""

    call: str
    table: TableRecipe
    n_components: int
    covariance_type: str
    component: str
    noise: bool
    prior: tuple[tuple[str, Any], ...]
    standardize: bool
    draws: int
    chains: int
    n_init: int
    scores: bool
    again: bool

    @property
    def kind(self) -> dict[str, Any]:
        return {"covariance_type": self.covariance_type, "component": self.component, "noise": self.noise}


@dataclass(frozen=True)
class Outcome:
    """How an example ended.

    Attributes
    ----------
    ending : str
        `RELIABLE`, `UNRELIABLE`, `REFUSED` or "fault".
    sentence : str
        The verdict, or the refusal.
    faults : tuple of str
    seconds : float
        Of processor time, for one call and all that is asked of its result.
    """

    ending: str
    sentence: str
    faults: tuple[str, ...]
    seconds: float


FAMILIES = (
    ("LogNormal", (-0.7, 0.5)), ("LogNormal", (-4.0, 0.1)), ("LogNormal", (0.0, 3.0)), ("HalfNormal", (1.0,)),
    ("HalfCauchy", (0.5,)), ("Exponential", (1.0,)), ("InverseGamma", (3.0, 1.0)), ("InverseGamma", (0.5, 1e-3)),
    ("HalfNormal", (1e300,)), ("LogNormal", (0.0, 1e-300)),
)  # fmt: skip
FIELDS: dict[str, tuple[Any, ...]] = {
    "mean_loc": (0.0, 3.0, -50.0, 1e6, 1e300, np.nan),
    "mean_scale": (0.01, 1.0, 10.0, 1e6, 1e-300, 0.0),
    "sd": FAMILIES,
    "lkj_eta": (0.5, 1.0, 50.0, 1e9, -1.0),
    "concentration": (1e-3, 0.1, 5.0, 1e4, 1e300),
    "resolution": (None, 0.0, 0.01, 0.5, 3.0, 1e-12, 1e300, {"c0": 0.01}, {"x1": 1.0}, {"nowhere": 1.0}),
}


def _options() -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    one = st.sampled_from(tuple(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(FIELDS[name])))
    return mostly(st.just(()), mostly(st.tuples(one), st.tuples(one, one), 40), 35)


def cases(calls: tuple[str, ...] = CALLS) -> st.SearchStrategy[Case]:
    """Examples, most of them of the calls that take the least time."""
    often = tuple(call for call in calls for _ in range({"fit_em": 4, "laplace": 6, "nuts": 3}.get(call, 1)))
    return st.builds(
        Case,
        call=st.sampled_from(often),
        table=tables(),
        n_components=mostly(st.integers(1, 4), mostly(st.integers(5, 12), st.just(100), 20), 12),
        covariance_type=st.sampled_from(tuple(COVARIANCE_TYPES)),
        component=mostly(st.just("normal"), st.sampled_from(("t", "t_each")), 30),
        noise=mostly(st.just(False), st.just(True), 30),
        prior=_options(),
        standardize=st.sampled_from((True, True, True, False)),
        draws=st.sampled_from((50, 100, 200, 500, 500)),
        chains=st.integers(1, 2),
        n_init=st.integers(1, 4),
        scores=st.sampled_from((False, False, True)),
        again=st.sampled_from((False, False, False, True)),
    )


@dataclass
class _Record:
    faults: list[str] = field(default_factory=list)
    reliable: bool = True
    sentence: str = ""
    began: float = 0.0
    seconds: float = 0.0  # known before the call is made again


def run(case: Case) -> Outcome:
    """Call, ask the result everything, and judge."""
    X, weights, record = make_table(case.table), make_weights(case.table), _Record()
    record.began = time.process_time()
    refused = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _call(case, X, weights, record)
        except bg.InputError as error:
            refused = str(error)
            record.faults += _bad_sentence(refused)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rpartition('site-packages/')[2].rpartition('bayesgmm/')[2]}:{where.lineno}"
            record.faults.append(f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:200]}")
    seconds = record.seconds or time.process_time() - record.began
    record.faults += sorted({_warning(w) for w in caught} - {""})
    if seconds > LIMIT:
        record.faults.append(f"took longer than {LIMIT:g} seconds")
    ending = REFUSED if refused is not None else RELIABLE if record.reliable else UNRELIABLE
    return Outcome(
        "fault" if record.faults else ending, record.sentence if refused is None else refused,
        tuple(record.faults), seconds,
    )  # fmt: skip


def _bad_sentence(text: str) -> Iterator[str]:
    if "\n" in text or not text.endswith((".", '."')) or "Error" in text or "Traceback" in text or len(text) > 1000:
        yield f"the refusal is no sentence of one line: {text!r}"


def _warning(w: warnings.WarningMessage) -> str:
    """What is wrong with a warning; nothing, where the package says something of the caller's table or result."""
    text = str(w.message)
    if w.category in (UserWarning, bg.NotConvergedWarning) and "\n" not in text and w.filename == __file__:
        return ""
    place = w.filename.rpartition("site-packages/")[2].rpartition("bayesgmm/")[2]
    return f"{w.category.__name__} at {place}:{w.lineno}: {' '.join(text.split())[:200]}"


def _prior(case: Case) -> bg.MixturePrior | None:
    if not case.prior:
        return None
    given = dict(case.prior)
    if "sd" in given:
        name, numbers = given["sd"]
        given["sd"] = getattr(bg.priors, name)(*numbers)
    return bg.MixturePrior(**given)


def _call(case: Case, X: Any, weights: Any, record: _Record) -> None:
    if case.call == "fit_em":
        em = _fit_em(case, X, weights)
        _check_em(em, record)
        record.reliable, record.sentence = em.converged, em.message
        if case.again:
            _check_same(em.params.means, _fit_em(case, X, weights).params.means, record)
        return
    prior = _prior(case)
    if case.call == "compare_components":
        numbers = sorted({1, min(case.n_components, 3), case.n_components if case.n_components > 12 else 1})
        comparison = bg.compare_components(
            X, numbers, **case.kind, prior=prior, standardize=case.standardize,
            sample_weight=weights, draws=case.draws, tune=100, chains=case.chains, n_init=case.n_init,
            max_seconds=10.0, cores=1, random_seed=1, progressbar=False,
        )  # fmt: skip
        _check_comparison(comparison, record)
        return
    fit = _fit(case, prior, X, weights)
    _check_fit(case, fit, X, record)
    record.seconds = time.process_time() - record.began
    if case.again:
        again = _fit(case, prior, X, weights)
        _check_same(fit.posterior_["posterior"]["means"].values, again.posterior_["posterior"]["means"].values, record)


def _fit_em(case: Case, X: Any, weights: Any) -> bg.EMResult:
    return bg.fit_em(
        X, case.n_components, **case.kind, n_init=case.n_init, sample_weight=weights,
        random_seed=1, standardize=case.standardize,
    )  # fmt: skip


def _fit(case: Case, prior: bg.MixturePrior | None, X: Any, weights: Any) -> bg.BayesianGMM:
    model = bg.BayesianGMM(
        case.n_components, **case.kind, prior=prior, standardize=case.standardize,
        inference=case.call, n_init=case.n_init, draws=case.draws, tune=100, chains=case.chains, cores=1,
        random_seed=1, progressbar=False,
    )  # fmt: skip
    with working(max_work=MAX_WORK):
        return model.fit(X, sample_weight=weights)


def _check_em(em: bg.EMResult, record: _Record) -> None:
    for name in ("log_likelihood", "aic", "bic", "icl", "min_sd_relative", "log_likelihood_trace"):
        _check_finite(f"em.{name}", getattr(em, name), record)
    for name in ("weights", "means", "covariances"):
        _check_finite(f"em.params.{name}", getattr(em.params, name), record)
    noise = [] if em.params.noise_weight is None else [em.params.noise_weight]
    _check_sum(np.append(em.params.weights, noise)[None], "em.params.weights", record)
    if not em.message.endswith("."):
        record.faults.append(f"the message of EM is no sentence: {em.message!r}")


def _check_fit(case: Case, fit: bg.BayesianGMM, X: Any, record: _Record) -> None:
    diagnosis = fit.diagnose()
    record.reliable, record.sentence = diagnosis.ok, diagnosis.verdict
    if not diagnosis.verdict.strip() or "nan" in str(diagnosis).split():
        record.faults.append(f"the diagnosis says nothing: {diagnosis}")
    _check_em(fit.em_, record)
    for group in ("posterior", "log_likelihood"):
        for name, values in fit.posterior_[group].data_vars.items():
            _check_finite(f"{group}.{name}", values.values, record)
    _check_frame("diagnose().table", diagnosis.table, record)
    _check_frame("summary()", fit.summary(), record, diagnosis.components["note"])
    assignment = fit.assignment()
    _check_frame("assignment().table", assignment.table, record)
    _check_frame("outlier_score()", fit.outlier_score(), record)
    far = fit.table_.center + fit.table_.scale * np.array([[0.0], [10.0], [1e4], [-1e9]])
    named = pd.DataFrame(far, columns=list(fit.table_.feature_names)) if hasattr(fit, "feature_names_in_") else far
    for rows in (X, named):
        proba = fit.predict_proba(rows)
        _check_sum(proba, "predict_proba", record)
        _check_finite("score_samples", fit.score_samples(rows), record)
        label = proba.argmax(axis=1)
        if not np.array_equal(fit.predict(rows), np.where(label < fit.n_components, label, -1)):
            record.faults.append("predict disagrees with predict_proba")
    partition = fit.partition()
    if len(partition.labels) != case.table.n_rows:
        record.faults.append("partition has another number of rows")
    fit.merging()
    if case.scores:
        waic, loo = fit.waic(), fit.loo(force=True)
        _check_finite("elpd_loo", [loo.elpd, loo.se], record)
        _check_finite("elpd_waic", [waic.elpd, waic.se], record)
        try:
            _check_finite("log_evidence", fit.log_evidence(force=True).value, record)
        except bg.InputError as error:  # fewer draws than parameters
            record.faults += _bad_sentence(str(error))


def _check_comparison(comparison: bg.Comparison, record: _Record) -> None:
    record.sentence = comparison.recommendation.headline
    record.reliable = all(fit.diagnose().ok for fit in comparison.fits.values())
    text = str(comparison)
    if not record.sentence.strip() or " nan" in text:
        record.faults.append(f"the comparison says {text!r}")


def _check_same(first: Any, second: Any, record: _Record) -> None:
    if not np.array_equal(first, second):
        record.faults.append("the same seed gave other numbers")


def _check_finite(name: str, values: Any, record: _Record) -> None:
    values = np.asarray(values, dtype=float)
    if not np.isfinite(values).all():
        record.faults.append(f"{name} is not finite in {int((~np.isfinite(values)).sum())} of {values.size} places")


def _check_sum(rows: Any, name: str, record: _Record) -> None:
    if not (np.abs(np.sum(rows, axis=1) - 1.0) < 1e-8).all() or not (np.asarray(rows) >= 0).all():
        record.faults.append(f"{name} are no probabilities")


def _check_frame(name: str, frame: pd.DataFrame, record: _Record, notes: pd.Series[str] | None = None) -> None:
    """Finite numbers, or none where whole numbers are missing; what never changes has no R-hat and no ESS."""
    notes = frame["note"] if notes is None and "note" in frame else notes
    numbers = frame.select_dtypes("number")
    for column in numbers.columns:
        values = numbers[column].dropna() if numbers[column].dtype == "Int64" else numbers[column]
        if str(column).startswith(("r_hat", "ess", "mcse")):
            values = values if notes is None else values[~notes.isin(["constant", "decided"])]
        _check_finite(f"{name}[{column!r}]", values, record)


def example(seed: int, calls: tuple[str, ...] = CALLS) -> Case:
    """The example of a seed. Examples that hypothesis draws in one run resemble each other; those of seeds do not."""
    found: list[Case] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=2, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(cases(calls))
    def keep(case: Case) -> None:
        found.append(case)

    keep()
    return found[-1]  # the first is the simplest
