"""The fits of a comparison, one after the other in this process or several at once in joblib's."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from bayesgmm.arguments import check_choice, shown
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError, NotConvergedWarning, warn
from bayesgmm.estimator import BayesianGMM
from bayesgmm.fit_in_batches import PreparedBatches
from bayesgmm.kernels.threads import available_cores
from bayesgmm.model.structure import Kind
from bayesgmm.model_selection.candidate import Candidate, score_candidate
from bayesgmm.model_selection.secondary import secondary_scores
from bayesgmm.progress import out_of_time, patient, sampling_progress, stage, time_left, working

__all__ = ["REFINING_WORK", "SHORT_WORK", "Finished", "Pair", "Scored", "check_parallel", "run_fits", "share_of_cores"]

Pair = tuple[int, Kind]
Finished = tuple[BayesianGMM, float, dict[str, float]]
Scored = tuple[BayesianGMM, Candidate]

MOST_JOBS = 10_000
# Multiply-adds of the longest round of a fit at first, some five seconds on two cores; of one that is sampled again.
SHORT_WORK, REFINING_WORK = 2.2e10, 1e11


def run_fits(
    jobs: list[tuple[Pair, tuple[Any, ...]]],
    *,
    n_jobs: int | None = 1,
    backend: str | None = None,
    finish_first: bool = True,
) -> Iterator[tuple[Pair, BayesianGMM, Candidate]]:
    """Results of the jobs as they come. Ends when the time is up, but for the first job, if that is to be finished."""
    from joblib import Parallel, delayed

    told: dict[tuple[str, type[Warning]], None] = {}
    try:
        if _at_once(n_jobs, backend) == 1:
            for number, (pair, rest) in enumerate(jobs):
                try:
                    with patient() if number == 0 and finish_first else nullcontext():
                        _, fit, candidate, messages = _fit_and_score(pair, *rest)
                except KeyboardInterrupt:
                    if out_of_time():
                        return
                    raise
                told |= dict.fromkeys(messages)
                yield pair, fit, candidate
                if out_of_time():
                    return
            return
        # The largest first: nothing waits for it in the end.
        ordered = sorted(jobs, key=lambda job: -job[0][0])
        deadline = time.time() + time_left()
        with _backend(backend):
            parallel = Parallel(n_jobs=n_jobs, batch_size=1)
            if getattr(parallel._backend, "supports_return_generator", False):
                parallel = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")
        with sampling_progress(False, 1, len(jobs), "fits at once", "fits") as report:
            outcomes = parallel(delayed(_fit_by)(deadline, pair, *rest) for pair, rest in ordered)
            for number, outcome in enumerate(outcomes):
                report(0, number + 1, 0)
                if outcome is not None:
                    pair, fit, candidate, messages = outcome
                    told |= dict.fromkeys(messages)
                    yield pair, fit, candidate
    finally:
        for message, category in told:
            warn(message, category)


def _fit_and_score(
    pair: Pair,
    table: Table | PreparedBatches,
    names: tuple[str, ...] | None,
    options: dict[str, Any],
    secondary: bool,
    ready: Finished | None,
    most: float,
) -> tuple[Pair, BayesianGMM, Candidate, list[tuple[str, type[Warning]]]]:
    """One fit with its scores, in whatever process joblib chose; warnings come back as text."""
    with (
        warnings.catch_warnings(record=True) as caught,
        working(f"K = {pair[0]} ({pair[1]})", max_work=most, rough=most == SHORT_WORK) as work,
    ):
        warnings.simplefilter("always")
        if ready is None:
            began = time.perf_counter()
            fit = BayesianGMM(pair[0], **pair[1]._asdict(), **options)
            fit.fit(table)
            more = {}
            if secondary:
                with stage("secondary scores"):
                    more = secondary_scores(fit.table_, *pair, fit.labels_, random_seed=options["random_seed"])
            unfinished = score_candidate(fit, seconds=0.0, secondary=more)
            candidate = replace(unfinished, seconds=time.perf_counter() - began, stages=dict(work.seconds))
        else:
            fit, seconds, more = ready
            candidate = score_candidate(fit, seconds=seconds, secondary=more)
        fit._name_features(names)
    told: list[tuple[str, type[Warning]]] = [
        (str(w.message), w.category)
        for w in caught
        if issubclass(w.category, UserWarning) and not issubclass(w.category, NotConvergedWarning)
    ]
    return pair, fit, candidate, told


def _fit_by(deadline: float, pair: Pair, *rest: Any) -> Any:
    """`_fit_and_score` in another process, until a moment of the clock; None if it was not done by then."""
    table, names, options, *others = rest
    try:
        with working(max_seconds=deadline - time.time()):
            return _fit_and_score(pair, table, names, options | {"progressbar": False}, *others)
    except KeyboardInterrupt:
        return None


def check_parallel(n_jobs: Any, backend: Any) -> None:
    """Refuse a number of jobs or a backend that joblib does not know."""
    from joblib.parallel import BACKENDS, EXTERNAL_BACKENDS

    if n_jobs is not None:
        whole = isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool)
        if not whole or not 1 <= abs(n_jobs) <= MOST_JOBS:
            raise InputError(
                f"n_jobs={shown(n_jobs)} must be None, a number of fits at once, or -1 for one a processor."
            )
    if backend is not None:
        check_choice(backend, "backend", {**BACKENDS, **EXTERNAL_BACKENDS})
        try:
            _at_once(n_jobs, backend)
        except (ImportError, ValueError) as error:
            if backend != "dask":
                raise InputError(f"backend={backend!r} cannot be used: {' '.join(str(error).split())}") from error
            raise InputError(
                "backend='dask' takes dask and a client: pip install 'bayesgmm[dask]', then distributed.Client(...)."
            ) from error


def _backend(backend: str | None) -> AbstractContextManager[Any]:
    from joblib import parallel_config

    return nullcontext() if backend is None else parallel_config(backend)


def _at_once(n_jobs: int | None, backend: str | None) -> int:
    from joblib import effective_n_jobs

    with _backend(backend):
        return int(effective_n_jobs(n_jobs))


def share_of_cores(cores: int | None, n_jobs: int | None, backend: str | None, n_fits: int) -> int | None:
    """Processors of each fit: all, or an equal share where several fits run at once."""
    at_once = min(_at_once(n_jobs, backend), n_fits)
    return cores if cores is not None or at_once <= 1 else max(1, available_cores() // at_once)
