"""`compare_components`: fit every number of components and structure, score each, and answer how many clusters.

Effort goes where the decision needs it. Every fit is sampled until it meets the convergence criteria or, by Gibbs
sampling, for some seconds; if the one that is then recommended is rough, it is sampled again, longer. When the time is
up, or at Ctrl-C, the answer is that of the fits there are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from numpy.typing import ArrayLike

from bayesgmm.arguments import check_choice, check_flag, check_number
from bayesgmm.checkpoint import Checkpoint, fingerprint
from bayesgmm.compare_fits import REFINING_WORK, SHORT_WORK, Pair, Scored, check_parallel, run_fits, share_of_cores
from bayesgmm.compare_in_batches import prepare_comparison
from bayesgmm.compare_plan import AUTO, CEILING, at_ceiling, kinds_of, numbers_of, pairs_of, rounds
from bayesgmm.comparison import Comparison
from bayesgmm.data.batches import Batches, as_batches
from bayesgmm.data.checks import check_enough_rows
from bayesgmm.data.frames import as_pandas, text_names
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.errors import InputError
from bayesgmm.estimator import BayesianGMM
from bayesgmm.model.background import structure_for
from bayesgmm.model.bounded import check_bounded
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.reach import ROWS_EACH, check_reach
from bayesgmm.model_selection.ranking import Label, predict_as_well
from bayesgmm.progress import out_of_time, working

__all__ = ["compare_components", "gather"]

EFFORTS = ("default", "full")


def compare_components(
    X: Any,
    n_components: int | Iterable[int] | str = range(1, 7),
    *,
    covariance_type: str | Sequence[str] = "full",
    component: str | Sequence[str] = "normal",
    noise: bool | Sequence[bool] = False,
    prior: MixturePrior | None = None,
    standardize: bool = True,
    missing: str = "allow",
    sample_weight: ArrayLike | None = None,
    weight_type: str = "frequency",
    inference: str = "nuts",
    n_init: int = 20,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    secondary: bool = False,
    effort: str = "default",
    max_seconds: float | None = None,
    n_jobs: int | None = None,
    backend: str | None = None,
    cores: int | None = None,
    checkpoint: str | PathLike[str] | None = None,
    random_seed: int | None = None,
    progressbar: bool = True,
) -> Comparison:
    """How many clusters: fits with several numbers of components, compared by elpd, evidence and merging.

    Parameters
    ----------
    X : table (N, D)
        Array, frame of any library, `Table`; `Batches`, the path of a Parquet file or a folder of them, and Arrow
        datasets, which are never all in memory: they are read, scaled and sampled once for all fits, and
        ``inference="laplace"`` finds their posterior, evidence and, by a sample of the rows, elpd.
    n_components : int, iterable of int, or "auto"
        Numbers of components K to fit. "auto" goes up from 1 until two components in a row have gained nothing, neither
        evidence nor predictive density, or to 12, which it then says.
    covariance_type : str or sequence of str
        One structure, or several to compare. With one component "tied" is "full" and "EEI" is "diag": each is
        fitted once.
    component, noise : as in `BayesianGMM`, or sequences of these
        Every combination is compared: ``component=["normal", "t"], noise=[False, True]`` are four kinds of mixture.
    prior, standardize, missing, sample_weight, weight_type, inference, n_init, draws, tune, chains
        As in `BayesianGMM`, the same for every fit.
    secondary : bool
        Add cross-validated likelihood of the EM fit, k-means' within-cluster sum of squares and the silhouette.
    effort : {"default", "full"}
        By default fits that need long sampling, and that the answer does not depend on, stay rough, which
        ``table["status"]`` and the recommendation say; and where NUTS over 50,000 rows or more would take minutes for
        each K, Laplace's approximation, checked by importance weights, is made in its place, which is said. "full"
        samples every fit until it meets the convergence criteria, or for minutes.
    max_seconds : float or None
        When they are over, the answer is that of the fits there are, and says what it lacks; so it is at Ctrl-C. The
        fit with the fewest components is finished all the same.
    n_jobs : int or None
        Fits at once, in processes of joblib; None is 1, or what ``joblib.parallel_config`` says. Pays off with more
        processors than chains: a single fit uses all of them already.
    backend : str or None
        A joblib backend; None is joblib's choice.
    cores : int or None
        Chains of a fit run at once; None is every processor, shared between the fits that run at once.
    checkpoint : path or None
        A folder in which every finished fit is saved at once. Called again with the same data and options, what is
        there is not fitted again.
    random_seed : int or None
        Same seed, same table.
    progressbar : bool
        Show what is done: on a terminal and in a notebook a bar, elsewhere plain lines on standard error.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If the data or an option cannot be used, or a checkpoint is of other data or options.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.datasets.load_faithful()
    >>> cmp = bg.compare_components(X, [1, 2], draws=500, random_seed=1, progressbar=False)
    >>> cmp.recommendation.headline
    '2 Gaussian components (full) that describe 2 clusters.'
    """
    auto = isinstance(n_components, str)
    numbers, kinds = numbers_of(n_components), kinds_of(covariance_type, component, noise)
    options: dict[str, Any] = {
        "prior": prior, "standardize": standardize, "missing": missing, "inference": inference, "n_init": n_init,
        "draws": draws, "tune": tune, "chains": chains, "random_seed": random_seed, "weight_type": weight_type,
    }  # fmt: skip
    # Everything is checked before any work, and the table for the largest K, or that which "auto" has to try.
    surely = 2 if auto else max(numbers)
    BayesianGMM(max(numbers), cores=cores, progressbar=progressbar, **options)._check_options()
    check_flag(secondary, "secondary")
    check_choice(effort, "effort", EFFORTS)
    if max_seconds is not None:
        check_number(max_seconds, "max_seconds", "be None or a number of seconds above 0", above=0.0)
    check_parallel(n_jobs, backend)
    if isinstance(X, Table) and sample_weight is not None:
        raise InputError("sample_weight: the table has its own weights; give them to prepare_table.")
    began, prepared = time.perf_counter(), None
    if (batches := as_batches(Batches(X) if isinstance(X, (str, PathLike)) else X)) is not None:
        with working(progressbar=progressbar):
            prepared = prepare_comparison(
                batches, kinds, options, surely, sample_weight=sample_weight, secondary=secondary, checkpoint=checkpoint
            )
        X = prepared.table
    X = X if isinstance(X, Table) else as_pandas(X)
    table = X if isinstance(X, Table) else prepare_table(
        X, standardize=standardize, sample_weight=sample_weight, n_components=surely,
        resolution=(prior or MixturePrior()).stated_steps, missing=missing, weight_type=weight_type,
    )  # fmt: skip
    check_enough_rows(table.used_rows, surely)
    if table.known is not None:
        raise InputError(
            "A table with known labels has its number of components: fit it, with BayesianGMM(...).fit(X, y)."
        )
    resolved = (prior or MixturePrior()).resolve(table) if prepared is None else prepared.prior
    for kind in kinds:
        problem = Problem(table, structure_for(table, *kind), resolved)
        check_reach(problem, surely)
        check_bounded(problem, surely)
    if auto:
        numbers = numbers_of(AUTO, min(CEILING, max(surely, len(table.used_rows) // ROWS_EACH)))
    saved = None if checkpoint is None else Checkpoint.open(
        checkpoint, fingerprint(table, options | {"secondary": secondary})
    )  # fmt: skip
    pairs = pairs_of(numbers, kinds)
    names, source = (text_names(X), table) if prepared is None else (table.feature_names, prepared)
    ready = {pair: saved.read(*pair) for pair in pairs} if saved is not None else {}
    if effort == "full":
        ready = {
            pair: None if r is not None and "kept_short" in r[0].posterior_.attrs else r for pair, r in ready.items()
        }
    if saved is not None and None in ready.values():
        saved.check_writable()
    options |= {"cores": share_of_cores(cores, n_jobs, backend, len(pairs)), "progressbar": progressbar}
    most = SHORT_WORK if effort == "default" else math.inf
    found: dict[Pair, Scored] = {}
    ended = ""
    left_over = math.inf if max_seconds is None else max(max_seconds - (time.perf_counter() - began), 0.0)
    with working(max_seconds=left_over, progressbar=progressbar):
        try:
            for wanted_now in rounds(pairs, found, auto):
                jobs = [(pair, (source, names, options, secondary, ready.get(pair), most)) for pair in wanted_now]
                for pair, fit, candidate in run_fits(jobs, n_jobs=n_jobs, backend=backend, finish_first=not found):
                    found[pair] = fit, candidate
                    partial = bool(fit.posterior_.attrs["partial"])
                    if saved is not None and ready[pair] is None and not partial:  # it would be read as finished
                        saved.write(fit, candidate.seconds, candidate.secondary)
                    if partial and not out_of_time():
                        raise KeyboardInterrupt
                if out_of_time():
                    break
            refined: set[Pair] = set()  # each once
            while effort == "default" and not out_of_time():
                best = predict_as_well({f"{k} {kind}": c for (k, kind), (_, c) in found.items()})
                wanted = next((p for p in found if [f"{p[0]} {p[1]}"] == best[:1] and found[p][1].rough), None)
                if wanted is None or wanted in refined:
                    break
                refined.add(wanted)
                before, rest = found[wanted][1].seconds, (source, names, options, secondary, None, REFINING_WORK)
                for pair, fit, unfinished in run_fits([(wanted, rest)], finish_first=False):
                    candidate = replace(unfinished, seconds=before + unfinished.seconds)
                    found[pair] = fit, candidate
                    if saved is not None and not fit.posterior_.attrs["partial"]:
                        saved.write(fit, candidate.seconds, candidate.secondary)
        except KeyboardInterrupt:
            if not found:
                raise
            ended = "The comparison was interrupted"
        if not ended and out_of_time():
            ended = f"The {max_seconds:g} seconds allowed were over"
    left = _unfinished(ended, pairs, found, auto)
    if auto and not ended:
        left = at_ceiling(pairs, found)
    return gather([found[pair] for pair in pairs if pair in found], left)


def _unfinished(ended: str, pairs: list[Pair], found: dict[Pair, Scored], auto: bool) -> tuple[str, ...]:
    """What is missing when the work was ended, in a sentence."""
    if not ended:
        return ()
    if auto:
        most = max((k for k, _ in found), default=0)
        return (f"{ended}: no K above {most} was tried, so this is the best answer so far.",)
    several = len({kind for _, kind in pairs}) > 1
    missing = [f"{k} ({kind})" if several else str(k) for k, kind in pairs if (k, kind) not in found]
    lacks = f"K = {', '.join(missing)} not fitted" if missing else "fits that were sampled briefly stay rough"
    return (f"{ended}: {lacks}, so this is the best answer so far.",)


def gather(finished: Iterable[Scored], unfinished: tuple[str, ...] = ()) -> Comparison:
    """A `Comparison` from fits and their scores, in the order given, and what was left undone."""
    pairs = list(finished)
    several = len({c.kind for _, c in pairs}) > 1
    labels: list[Label] = [f"{c.n_components} {c.kind}" if several else c.n_components for _, c in pairs]
    return Comparison(
        fits={label: fit for label, (fit, _) in zip(labels, pairs, strict=True)},
        candidates={label: candidate for label, (_, candidate) in zip(labels, pairs, strict=True)},
        unfinished=unfinished,
    )
