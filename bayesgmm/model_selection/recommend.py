"""How many clusters, in three answers, because there are three questions.

1. Density: the smallest K whose elpd is within one standard error of the paired difference of the best, or within 4
   nats, below which a difference is too small for its standard error to be believed (`model_selection.ranking`).
2. Components, if clusters are Gaussian: p(K | y), and whether it stays as the prior of the means is made narrower and
   wider.
3. Clusters: the components of the fit of (1), merged where they overlap (`clustering.merging`).

Where clusters are not Gaussian, the first two count too many (Cai, Campbell, Broderick 2021, ICML), and the third
is the answer to "how many groups are there".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayesgmm.errors import InputError
from bayesgmm.model_selection.candidate import SCALES, Candidate
from bayesgmm.model_selection.ranking import (
    Label,
    depends_on,
    elpd_table,
    predict_as_well,
    probabilities,
    ranked,
    scale_table,
)

__all__ = ["Recommendation", "recommend"]

_RATIO_ERRORS = 3.0  # standard errors by which two estimates of one Bayes factor may differ


@dataclass(frozen=True, eq=False)
class Recommendation:
    """How many components, and how many clusters they describe.

    Attributes
    ----------
    headline : str
        Answers 1 and 3 in a phrase.
    label : int or str
        The fit that answer 1 recommends, a key of ``Comparison.fits``.
    n_components : int
        Its number of components.
    n_clusters : int
        Most probable number of clusters of that fit; where its components are levels of a column, as the headline
        then says, a number of groups of levels.
    cluster_probability : float
        Posterior probability of that number.
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
        If there is no fit, or none of the ranked ones has LOO or evidence.
    """
    names = ranked(candidates)
    if not names:
        raise InputError("there is no fit to compare: give at least one number of components.")
    density, said_density = _density(candidates)
    likely, stable, said_components = _components(candidates)
    label = density if density is not None else likely
    if label is None:
        raise InputError("no fit has LOO or evidence: fit with more draws, and with log_likelihood=True.")
    chosen = candidates[label]
    merged = chosen.merging
    k, m = chosen.n_components, merged.best
    bic = min(names, key=lambda name: candidates[name].bic)
    agree = len({name for name in (density, likely, bic) if name is not None}) == 1
    all_failed = not any(c.converged or c.rough for c in candidates.values())
    shape = "Gaussian component" if chosen.kind.component == "normal" else "t component"
    headline = f"{_counted(k, shape)}{' and noise' * chosen.kind.noise} ({chosen.kind.covariance_type})"
    if chosen.levels:
        headline += ", some of which are levels of a column: the number of clusters is not known from them."
        said_clusters = f"Clusters: not to be counted, since some components are levels. Merged by overlap, {merged}"
    else:
        headline += f" that describe{'s' if k == 1 else ''} {_counted(m, 'cluster')}."
        said_clusters = f"Clusters: {merged}"
    sentences = [
        said_density,
        said_components,
        said_clusters,
        *(f"{_name(candidates, label)}: {said}" for said in chosen.levels),
        *_disagreement(candidates, names, label, likely, bic, agree),
        *unfinished,
        *_saved(candidates, label),
        *_failures(candidates, all_failed),
        *_cross_check(candidates, names),
    ]
    return Recommendation(
        headline=f"Not to be relied on, no fit converged: {headline}" if all_failed else headline,
        label=label, n_components=k, n_clusters=m, cluster_probability=float(merged.n_clusters[m]),
        most_probable=likely, stable=stable, agree=agree, sentences=tuple(s for s in sentences if s),
    )  # fmt: skip


def _density(candidates: Mapping[Label, Candidate]) -> tuple[Label | None, str]:
    near = predict_as_well(candidates)
    if not near:
        return None, "Density: no fit has LOO, so there is no answer."
    table = elpd_table(candidates)
    best = max(near, key=lambda label: table["elpd_diff"][label])
    label = near[0]
    top = candidates[best]
    assert top.loo is not None
    said = f"Density: {_name(candidates, best)} predicts best, elpd_loo {top.loo.elpd:.1f}"
    if label == best:
        others = [n for n in ranked(candidates) if candidates[n].n_components < top.n_components]
        return label, said + (", and no smaller K comes near it." if others else ".")
    gap, se = table["elpd_diff"][label], table["diff_se"][label]
    return label, (
        f"{said}; {_name(candidates, label)} is the smallest that predicts about as well "
        f"({-gap:.1f} lower, standard error of the difference {se:.1f})."
    )


def _components(candidates: Mapping[Label, Candidate]) -> tuple[Label | None, bool | None, str]:
    p = probabilities(candidates).dropna()
    if not len(p):
        return None, None, "Components: no fit has a log evidence that may be used, so p(K | y) is not known."
    order = p.sort_values(ascending=False, kind="stable")
    likely = next(name for name in candidates if name == order.index[0])
    said = (
        f"Components, if clusters are Gaussian: {_name(candidates, likely)} has posterior probability {p[likely]:.2f}"
    )
    others = [
        f"{_name(candidates, n)} {v:.2f}"
        for n, v in zip(list(order.index[1:]), order.iloc[1:], strict=True)
        if v >= 0.05
    ]
    said += f" ({', '.join(others)})" if others else ""
    if len(p) == 1:
        return likely, None, said + "; it is the only one with a log evidence."
    table = scale_table(candidates)
    known = [s for s in SCALES if s != 1.0 and table[s].notna().any()]
    first = {s: list(candidates)[int(table[s].fillna(-1.0).to_numpy().argmax())] for s in known}
    answers = [
        f"{_name(candidates, first[s])} at {_factor(s)} ({table[s].max():.2f})" for s in known if first[s] != likely
    ]
    missing = [_factor(s) for s in SCALES if s != 1.0 and s not in known]
    tail = f"; at {' and '.join(missing)} it is not known (fit again with that mean_scale)" if missing else ""
    if answers:
        return (
            likely,
            False,
            f"{said}; not stable, with the prior scale of the means it becomes {' and '.join(answers)}{tail}.",
        )
    if missing:
        return likely, None, said + tail + "."
    low = table.loc[likely].min()
    return (
        likely,
        True,
        f"{said}; stable, at half and twice the prior scale of the means it is first too (at least {low:.2f}).",
    )


def _factor(scale: float) -> str:
    return {0.5: "half the scale", 2.0: "twice the scale"}.get(scale, f"{scale:g} times the scale")


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
        parts = [f"{_listed(v)} for {_name(candidates, name)}" for name, v in votes.items()]
        out.append(f"The criteria disagree: {'; '.join(parts)}.")
    if chosen.merging.best < chosen.n_components and not chosen.levels:
        out.append(
            "There are fewer clusters than components: some cluster is not Gaussian, or components overlap too much to "
            "be told apart; criteria of density count components, not clusters."
        )
    largest = max(candidates[n].n_components for n in names)
    if chosen.n_components == largest and largest > min(candidates[n].n_components for n in names):
        out.append(f"The answer is the largest K that was ranked, {largest}: compare more components.")
    return out


def _saved(candidates: Mapping[Label, Candidate], label: Label) -> list[str]:
    """Where effort was saved, and whether the answer hangs on it."""
    rough = [name for name, c in candidates.items() if c.rough]
    if not rough:
        return []
    errors = ", ".join(f"{_name(candidates, n)} (elpd to {candidates[n].elpd_mcse:.1f})" for n in rough)
    said = f"Rough, sampled only as long as the comparison seemed to need: {errors}."
    open_ = depends_on(candidates)
    if label in rough:
        return [f"{said} The fit that is recommended is among them: its own intervals need effort='full'."]
    if open_ is not None:
        return [f"{said} The answer could change with {_name(candidates, open_)}: compare again with effort='full'."]
    return [f"{said} The answer would be the same if they were off by two standard errors."]


def _failures(candidates: Mapping[Label, Candidate], all_failed: bool) -> list[str]:
    out = []
    for label, c in candidates.items():
        name = _name(candidates, label)
        if not c.converged and not c.rough:
            out.append(f"{name} failed its convergence gate{'' if all_failed else ' and is not ranked'}: {c.verdict}")
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
                f"Two estimates of the log Bayes factor of K = {below[0]} against {below[0] + 1} differ, {bridge:.2f} "
                f"by bridge sampling and {c.empty_ratio.value:.2f} from empty components: sample more draws."
            )
    return out


def _name(candidates: Mapping[Label, Candidate], label: Label) -> str:
    """``"K = 3"``, with the structure where several are compared."""
    c = candidates[label]
    several = len({other.kind for other in candidates.values()}) > 1
    return f"K = {c.n_components} ({c.kind})" if several else f"K = {c.n_components}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
