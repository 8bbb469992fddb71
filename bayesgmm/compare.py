"""`compare_components`: fit every number of components and structure, score each, and answer how many clusters."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.candidate import Candidate, score_candidate
from bayesgmm.checkpoint import Checkpoint, fingerprint
from bayesgmm.comparison import Comparison
from bayesgmm.data import Table, prepare_table
from bayesgmm.errors import InputError, NotConvergedWarning
from bayesgmm.prior import MixturePrior
from bayesgmm.ranking import Label
from bayesgmm.secondary import secondary_scores
from bayesgmm.structure import get_structure
from bayesgmm.threads import available_cores

if TYPE_CHECKING:
    from bayesgmm.estimator import BayesianGMM

__all__ = ["compare_components", "gather"]

Finished = tuple["BayesianGMM", float, dict[str, float]]


def compare_components(
    X: Any,
    n_components: int | Iterable[int] = range(1, 7),
    *,
    covariance_type: str | Sequence[str] = "full",
    prior: MixturePrior | None = None,
    standardize: bool = True,
    sample_weight: ArrayLike | None = None,
    inference: str = "nuts",
    n_init: int = 20,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    secondary: bool = False,
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
        Array, DataFrame or `Table`.
    n_components : int or iterable of int
        Numbers of components K to fit.
    covariance_type : str or sequence of str
        One structure, or several to compare. With one component "tied" is "full", and is fitted once.
    prior, standardize, sample_weight, inference, n_init, draws, tune, chains
        As in `BayesianGMM`, the same for every fit.
    secondary : bool
        Add cross-validated likelihood of the EM fit, k-means' within-cluster sum of squares and the silhouette.
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
        Show progress over the fits on a terminal or in a notebook.

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
    numbers, structures = _numbers(n_components), _structures(covariance_type)
    if prior is not None and not isinstance(prior, MixturePrior):
        raise InputError(f"prior={prior!r} must be None or a bayesgmm.MixturePrior.")
    # Checked before any work, for the largest K.
    table = X if isinstance(X, Table) else prepare_table(
        X, standardize=standardize, sample_weight=sample_weight, n_components=max(numbers)
    )  # fmt: skip
    if table.n_rows < max(numbers):
        raise InputError(f"n_components={max(numbers)} is more than the {table.n_rows} rows: compare fewer components.")
    options: dict[str, Any] = {
        "prior": prior, "standardize": standardize, "inference": inference, "n_init": n_init, "draws": draws,
        "tune": tune, "chains": chains, "random_seed": random_seed,
    }  # fmt: skip
    saved = None if checkpoint is None else Checkpoint.open(
        checkpoint, fingerprint(table, options | {"secondary": secondary})
    )  # fmt: skip
    pairs = _pairs(numbers, structures)
    ready = {pair: saved.read(*pair) for pair in pairs} if saved is not None else {}
    options |= {"cores": _share(cores, n_jobs, len(pairs))}

    def finish(pair: tuple[int, str], outcome: Finished) -> None:
        if saved is not None and ready[pair] is None:
            saved.write(*outcome)

    jobs = [(pair, (X, sample_weight, options, secondary, ready.get(pair))) for pair in pairs]
    found = _run(jobs, finish, n_jobs=n_jobs, backend=backend, progressbar=progressbar)
    return gather([found[pair] for pair in pairs])


def gather(finished: Iterable[tuple[BayesianGMM, Candidate]]) -> Comparison:
    """A `Comparison` from fits and their scores, in the order given."""
    pairs = list(finished)
    several = len({fit.covariance_type for fit, _ in pairs}) > 1
    labels: list[Label] = [f"{f.n_components} {f.covariance_type}" if several else f.n_components for f, _ in pairs]
    return Comparison(
        fits={label: fit for label, (fit, _) in zip(labels, pairs, strict=True)},
        candidates={label: candidate for label, (_, candidate) in zip(labels, pairs, strict=True)},
    )


def _fit_and_score(
    pair: tuple[int, str], X: Any, sample_weight: Any, options: dict[str, Any], secondary: bool, ready: Finished | None
) -> tuple[tuple[int, str], BayesianGMM, Candidate, list[tuple[str, type[Warning]]]]:
    """One fit with its scores, in whatever process joblib chose; warnings come back as text."""
    from bayesgmm.estimator import BayesianGMM

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if ready is None:
            began = time.perf_counter()
            fit = BayesianGMM(pair[0], covariance_type=pair[1], progressbar=False, **options)
            fit.fit(X, sample_weight=sample_weight)
            fit.diagnose()
            more = (
                secondary_scores(fit.table_, *pair, fit.labels_, random_seed=options["random_seed"])
                if secondary
                else {}
            )
            unfinished = score_candidate(fit, seconds=0.0, secondary=more)
            candidate = replace(unfinished, seconds=time.perf_counter() - began)
        else:
            fit, seconds, more = ready
            candidate = score_candidate(fit, seconds=seconds, secondary=more)
    told: list[tuple[str, type[Warning]]] = [
        (str(w.message), w.category)
        for w in caught
        if issubclass(w.category, UserWarning) and not issubclass(w.category, NotConvergedWarning)
    ]
    return pair, fit, candidate, told


def _run(
    jobs: list[tuple[tuple[int, str], tuple[Any, ...]]],
    finish: Callable[[tuple[int, str], Finished], None],
    *,
    n_jobs: int | None,
    backend: str | None,
    progressbar: bool,
) -> dict[tuple[int, str], tuple[BayesianGMM, Candidate]]:
    from joblib import Parallel, delayed, effective_n_jobs

    # The largest first where several run at once: nothing waits for it in the end.
    if effective_n_jobs(n_jobs) > 1:
        jobs = sorted(jobs, key=lambda job: -job[0][0])
    parallel = Parallel(n_jobs=n_jobs, backend=backend, batch_size=1)
    if getattr(parallel._backend, "supports_return_generator", False):
        parallel = Parallel(n_jobs=n_jobs, backend=backend, batch_size=1, return_as="generator_unordered")
    found: dict[tuple[int, str], tuple[BayesianGMM, Candidate]] = {}
    told: dict[tuple[str, type[Warning]], None] = {}
    with _progress(progressbar, len(jobs)) as advance:
        for pair, fit, candidate, messages in parallel(delayed(_fit_and_score)(pair, *rest) for pair, rest in jobs):
            finish(pair, (fit, candidate.seconds, candidate.secondary))
            found[pair] = fit, candidate
            told |= dict.fromkeys(messages)
            advance(f"K = {pair[0]} ({pair[1]})")
    for message, category in told:
        warnings.warn(message, category, stacklevel=3)
    return found


@contextmanager
def _progress(enabled: bool, total: int) -> Iterator[Callable[[str], None]]:
    """Yield ``advance(what)``; a bar over the fits when there is somewhere to show it."""
    if not (enabled and (sys.stderr.isatty() or "ipykernel" in sys.modules)):
        yield lambda what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("comparing", total=total)
        yield lambda what: progress.update(task, advance=1, description=f"{what} done")


def _share(cores: int | None, n_jobs: int | None, n_fits: int) -> int | None:
    """Processors of each fit: all, or an equal share where several fits run at once."""
    from joblib import effective_n_jobs

    at_once = min(effective_n_jobs(n_jobs), n_fits)
    return cores if cores is not None or at_once <= 1 else max(1, available_cores() // at_once)


def _numbers(n_components: Any) -> list[int]:
    """The numbers of components, increasing and without repetition."""
    values = [n_components] if isinstance(n_components, (int, np.integer)) else n_components
    try:
        numbers = list(values)
    except TypeError:
        numbers = []
    whole = all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k >= 1 for k in numbers)
    if not numbers or not whole:
        raise InputError(f"n_components={n_components!r} must be integers of at least 1, such as range(1, 7).")
    return sorted({int(k) for k in numbers})


def _pairs(numbers: list[int], structures: list[str]) -> list[tuple[int, str]]:
    """Every number with every structure, each model once.

    >>> _pairs([1, 2], ["full", "tied"])
    [(1, 'full'), (2, 'full'), (2, 'tied')]
    """
    twice = (1, "tied") if "full" in structures else None
    return [pair for k in numbers for structure in structures if (pair := (k, structure)) != twice]


def _structures(covariance_type: Any) -> list[str]:
    names = [covariance_type] if isinstance(covariance_type, str) else list(covariance_type)
    if not names:
        raise InputError("covariance_type: give at least one structure.")
    return list(dict.fromkeys(get_structure(name).name for name in names))
