"""The first two answers, each from one number: which fit predicts best, and which is most probable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bayesgmm.model.structure import Kind
from bayesgmm.model_selection.candidate import SCALES, Candidate
from bayesgmm.model_selection.ranking import (
    Label,
    elpd_table,
    predict_as_well,
    probabilities,
    ranked,
    scale_table,
)
from bayesgmm.wording import probability, probability_of

__all__ = ["by_prediction", "by_probability", "name_of", "shapes_of"]


def by_prediction(candidates: Mapping[Label, Candidate]) -> tuple[Label | None, str]:
    """The simplest fit that predicts about as well as the best, and a sentence."""
    near = predict_as_well(candidates)
    if not near:
        return None, "The expected log predictive density is not known: no fit has LOO."
    table = elpd_table(candidates)
    best = max(near, key=lambda label: table["elpd_diff"][label])
    label = near[0]
    top = candidates[best]
    assert top.loo is not None
    said = f"{name_of(candidates, best)} has the highest expected log predictive density (elpd {top.loo.elpd:.1f})"

    def lower(name: Label) -> str:
        return f"lower by {abs(table['elpd_diff'][name]):.1f} (SE {table['diff_se'][name]:.1f})"

    if label != best:
        simplest = f"{name_of(candidates, label)}, {lower(label)}, is the simplest that predicts about as well"
        return label, f"{said}; {simplest}."
    others = [n for n in ranked(candidates) if n != best and candidates[n].loo is not None]
    rivals = [n for n in others if candidates[n].n_components < top.n_components] or others
    if not rivals:
        return label, f"{said}."
    rival = max(rivals, key=lambda n: table["elpd_diff"][n])
    return label, f"{said}; {name_of(candidates, rival)} is {lower(rival)}."


def by_probability(candidates: Mapping[Label, Candidate]) -> tuple[Label | None, bool | None, str]:
    """The most probable fit, whether it is so at other scales of the prior too, and sentences."""
    p = probabilities(candidates).dropna()
    if not len(p):
        return None, None, "p(K | y) is not known: no fit has a log evidence that may be used."
    order = p.sort_values(ascending=False, kind="stable")
    likely = next(name for name in candidates if name == order.index[0])
    name, shapes = name_of(candidates, likely), shapes_of(c.kind for c in candidates.values())
    if len(p) == 1:
        return likely, None, f"p(K | y) is not known: {name} alone has a log evidence."
    others = [
        f"{name_of(candidates, n)}: {probability(v)}"
        for n, v in zip(list(order.index[1:]), order.iloc[1:], strict=True)
        if v >= 0.05
    ]
    said = f"If every cluster is {shapes}, {name} is most probable, {probability_of('p(K | y)', p[likely])}"
    said += f" ({', '.join(others)})." if others else "."
    stable, dependence = _dependence_on_the_prior(candidates, likely)
    return likely, stable, f"{said} {dependence}"


def _dependence_on_the_prior(candidates: Mapping[Label, Candidate], likely: Label) -> tuple[bool | None, str]:
    """Whether the same fit is most probable under narrower and wider priors of the means; None if not known."""
    table, name = scale_table(candidates), name_of(candidates, likely)
    other = [scale for scale in SCALES if scale != 1.0]
    known = [scale for scale in other if table[scale].notna().any()]
    first = {scale: list(candidates)[int(table[scale].fillna(-1.0).to_numpy().argmax())] for scale in known}
    highest = {scale: probability_of("p", float(table[scale].max())) for scale in known}
    changed = [
        f"{name_of(candidates, first[scale])} is most probable when it is {_factor(scale)} ({highest[scale]})"
        for scale in known
        if first[scale] != likely
    ]
    missing = " or ".join(_factor(scale) for scale in other if scale not in known)
    unknown = f" The answer with the prior SD of the means {missing} is not known: fit again with that mean_scale."
    if changed:
        said = f"This depends on the prior SD of the means: {' and '.join(changed)}."
        return False, said + unknown * bool(missing)
    if not known:
        return None, unknown.strip()
    low = probability_of("p", min(float(table[scale][likely]) for scale in SCALES if scale in known))
    least = f"{low}{'' if '>' in low else ' or more'}"
    factors = " or ".join(map(_factor, known))
    said = f"{name} remains most probable when the prior SD of the means is {factors} ({least})."
    return (None, said + unknown) if missing else (True, said)


def _factor(scale: float) -> str:
    return {0.5: "halved", 2.0: "doubled"}.get(scale, f"multiplied by {scale:g}")


def name_of(candidates: Mapping[Label, Candidate], label: Label) -> str:
    """``"K = 3"``, with the structure where several are compared."""
    c = candidates[label]
    several = len({other.kind for other in candidates.values()}) > 1
    return f"K = {c.n_components} ({c.kind})" if several else f"K = {c.n_components}"


def shapes_of(kinds: Iterable[Kind]) -> str:
    """What clusters are taken to be.

    >>> shapes_of([Kind("full"), Kind("diag", "t_each"), Kind("diag", "t")])
    'Gaussian or t-shaped'
    """
    return " or ".join(dict.fromkeys("Gaussian" if kind.component == "normal" else "t-shaped" for kind in kinds))
