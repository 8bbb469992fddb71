"""How many clusters, in three answers, because there are three questions.

1. Prediction: the smallest K whose elpd is within one standard error of the paired difference of the best, or within 4
   nats, below which a difference is too small for its standard error to be believed (`model_selection.ranking`).
2. Components, if clusters are Gaussian: p(K | y), and whether it stays as the prior of the means is made narrower and
   wider.
3. Clusters: the components of the fit of (1), merged where they overlap (`clustering.merging`); more than one number
   where it depends on how far apart groups must be to count as clusters.

Where clusters are not Gaussian, the first two count too many (Cai, Campbell, Broderick 2021, ICML), and the third
is the answer to "how many groups are there".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayesgmm.clustering.merging_words import clusters_in_words
from bayesgmm.errors import InputError
from bayesgmm.model_selection.answers import by_prediction, by_probability, name_of, shapes_of
from bayesgmm.model_selection.candidate import Candidate
from bayesgmm.model_selection.ranking import Label, depends_on, elpd_table, ranked
from bayesgmm.record import Record

__all__ = ["Recommendation", "recommend"]

_RATIO_ERRORS = 3.0  # standard errors by which two estimates of one Bayes factor may differ


@dataclass(frozen=True, eq=False, repr=False)
class Recommendation(Record):
    """How many components, and how many clusters they describe.

    Attributes
    ----------
    headline : str
        Answers 1 and 3 in a phrase.
    label : int or str
        The fit that answer 1 recommends, a key of ``Comparison.fits``; without LOO and evidence that of the lowest BIC.
    n_components : int
        Its number of components.
    n_clusters : int
        Number of clusters of ``Comparison.labels_``: the most probable at a separation of 2.5 sds, or, where the
        headline names several numbers, of 2 sds, the finest in question (``Candidate.merging``). Where components are
        levels of a column, as the headline then says, it is a number of groups of levels.
    cluster_probability : float
        Posterior probability of that number at that separation.
    most_probable : int, str or None
        The fit with the largest p(K | y); None without evidence.
    stable : bool or None
        Whether it is the same at prior scales 1/2, 1 and 2; None where that is not known.
    agree : bool
        Whether elpd within one standard error, p(K | y) and BIC name one fit.
    sentences : tuple of str
        Evidence for each answer, disagreement, and what failed.
    """

    headline: str
    label: Label
    n_components: int
    n_clusters: int
    cluster_probability: float
    most_probable: Label | None
    stable: bool | None
    agree: bool
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.headline, *self.sentences])


def recommend(candidates: Mapping[Label, Candidate], unfinished: Sequence[str] = ()) -> Recommendation:
    """The three answers from the scores of all fits; `unfinished` says what was left undone.

    Raises
    ------
    InputError
        If there is no fit.
    """
    names = ranked(candidates)
    if not names:
        raise InputError("there is no fit to compare: give at least one number of components.")
    density, said_density = by_prediction(candidates)
    likely, stable, said_components = by_probability(candidates)
    bic = min(names, key=lambda name: candidates[name].bic)
    label = density if density is not None else likely if likely is not None else bic
    chosen = candidates[label]
    merged = chosen.merging
    k, m = chosen.n_components, merged.best
    agree = len({name for name in (density, likely, bic) if name is not None}) == 1
    all_failed = not any(c.converged or c.rough for c in candidates.values())
    headline = f"{chosen.kind.counted(k)} ({chosen.kind.covariance_type})"
    if chosen.levels:
        headline += ", some of which are levels of a column: the number of clusters is not known from them."
        said_clusters = f"Clusters: not to be counted, since some components are levels. Merged by overlap, {merged}"
    else:
        headline += f" that describe{'s' if k == 1 else ''} {clusters_in_words(merged.numbers)}"
        headline += "." if merged.stable else ", depending on how far apart clusters must be."
        said_clusters = f"Clusters: {merged}"
    by_bic = f"By BIC, which is all that is known of every fit, it is {name_of(candidates, bic)}."
    sentences = [
        said_density,
        by_bic if density is None and likely is None else "",
        said_components,
        said_clusters,
        *_heavier_tails(candidates, names, label),
        *(f"{name_of(candidates, label)}: {said}" for said in chosen.levels),
        *_disagreement(candidates, names, label, likely, bic, agree),
        *([] if unfinished else _larger(candidates, names, label)),
        *unfinished,
        *_saved(candidates, label),
        *_approximated(candidates),
        *_failures(candidates, all_failed),
        *_cross_check(candidates, names),
    ]
    return Recommendation(
        headline=f"No fit converged, do not rely on this: {headline}" if all_failed else headline,
        label=label, n_components=k, n_clusters=m, cluster_probability=merged.best_probability,
        most_probable=likely, stable=stable, agree=agree, sentences=tuple(s for s in sentences if s),
    )  # fmt: skip


def _disagreement(
    candidates: Mapping[Label, Candidate],
    names: list[Label],
    label: Label,
    likely: Label | None,
    bic: Label,
    agree: bool,
) -> list[str]:
    chosen = candidates[label]
    out = []
    if not agree:
        icl = min(names, key=lambda name: candidates[name].icl)
        votes: dict[Label, list[str]] = {}
        for criterion, name in (("elpd", label), ("p(K | y)", likely), ("BIC", bic), ("ICL", icl)):
            if name is not None:
                votes.setdefault(name, []).append(criterion)
        parts = [f"{_listed(v)} for {name_of(candidates, name)}" for name, v in votes.items()]
        out.append(f"The criteria disagree: {'; '.join(parts)}.")
    if max(chosen.merging.numbers) < chosen.n_components and not chosen.levels:
        out.append(
            f"There are fewer clusters than components: some cluster is not {shapes_of([chosen.kind])}, or components "
            "overlap too much to be told apart; criteria of density count components, not clusters."
        )
    return out


def _larger(candidates: Mapping[Label, Candidate], names: list[Label], label: Label) -> list[str]:
    """Where the answer is the largest number that was ranked, what to do about larger ones."""
    ranked_k = [candidates[n].n_components for n in names]
    largest, tried = max(ranked_k), max(c.n_components for c in candidates.values())
    if candidates[label].n_components < largest or largest == min(ranked_k):
        return []
    said = f"K = {largest} is the largest number of components that was ranked"
    if tried > largest:
        return [f"{said}: larger ones were fitted and did not converge, see below, so they are not ruled out."]
    return [f"{said}: compare larger ones."]


def _heavier_tails(candidates: Mapping[Label, Candidate], names: list[Label], label: Label) -> list[str]:
    """Where fewer t components predict as well as more normal ones: a merge that needs no separation."""
    chosen = candidates[label]
    table = elpd_table(candidates)
    normal = [n for n in names if candidates[n].kind.component == "normal" and candidates[n].loo is not None]
    if chosen.kind.component == "normal" or not normal:
        return []
    best = max(normal, key=lambda n: table["elpd_diff"][n])
    if candidates[best].n_components <= chosen.n_components:
        return []
    return [
        f"{candidates[best].kind.counted(candidates[best].n_components)} predict no better than "
        f"{chosen.kind.counted(chosen.n_components)}: the others describe tails, not clusters."
    ]


def _saved(candidates: Mapping[Label, Candidate], label: Label) -> list[str]:
    """Where effort was saved, and whether the answer hangs on it."""
    rough = [name for name, c in candidates.items() if c.rough]
    if not rough:
        return []
    fits = ", ".join(f"{name_of(candidates, n)} (Monte Carlo SE of elpd {candidates[n].elpd_mcse:.1f})" for n in rough)
    said = f"Sampled briefly, so that their estimates are rough: {fits}."
    open_ = depends_on(candidates)
    if label in rough:
        return [f"{said} The recommended fit is among them: for its credible intervals use effort='full'."]
    if open_ is not None:
        changing = name_of(candidates, open_)
        return [f"{said} {changing} could change the recommendation: compare again with effort='full'."]
    return [f"{said} Errors of two standard errors would not change the recommendation."]


def _approximated(candidates: Mapping[Label, Candidate]) -> list[str]:
    """Where an approximation stands in for the sampler that was asked for."""
    fits = [name_of(candidates, name) for name, c in candidates.items() if c.in_place_of_nuts]
    if not fits:
        return []
    return [
        f"Of {_listed(fits)} Laplace's approximation, checked by importance weights, was made in place of NUTS, which "
        "takes minutes for each over so many rows: effort='full' takes NUTS."
    ]


def _failures(candidates: Mapping[Label, Candidate], all_failed: bool) -> list[str]:
    out = []
    for label, c in candidates.items():
        name = name_of(candidates, label)
        if not c.converged and not c.rough:
            out.append(f"{name}{':' if all_failed else ' is not ranked.'} {c.verdict}")
        out += [f"{name}: {problem}" for problem in c.problems]
    return out


def _cross_check(candidates: Mapping[Label, Candidate], names: list[Label]) -> list[str]:
    """Where bridge sampling and the empty-component ratio contradict each other."""
    out = []
    for label in names:
        c = candidates[label]
        below = (c.n_components - 1, c.kind)
        smaller = [o for n in names if ((o := candidates[n]).n_components, o.kind) == below]
        if not smaller or c.empty_ratio is None or not c.empty_ratio.ok or c.evidence is None:
            continue
        if c.log_evidence is None or smaller[0].log_evidence is None or smaller[0].evidence is None:
            continue
        bridge = smaller[0].log_evidence - c.log_evidence
        error = float(np.sqrt(c.evidence.mcse**2 + smaller[0].evidence.mcse ** 2 + c.empty_ratio.mcse**2))
        if abs(bridge - c.empty_ratio.value) > _RATIO_ERRORS * error + 0.1:
            out.append(
                f"The log Bayes factor of K = {below[0]} against K = {below[0] + 1} is {bridge:.2f} by bridge sampling "
                f"and {c.empty_ratio.value:.2f} by empty components (Nobile): sample more draws."
            )
    return out


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
