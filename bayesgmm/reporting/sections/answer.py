"""The answer, in three sentences: how many, how large, how sure."""

from __future__ import annotations

import numpy as np

from bayesgmm.posterior.tree import read_draws
from bayesgmm.reporting.document.blocks import Block, Box, Section, Text
from bayesgmm.reporting.numbers import join, percent, to_sd
from bayesgmm.reporting.results import headline
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["answer"]

_EACH = 6  # components whose proportions are said one by one


def answer(subject: Subject) -> Section:
    """Three sentences, and the verdict on convergence."""
    said = headline(subject.fit, subject.probabilities, subject.ci_prob, given=subject.compared is None)
    summary, *sure = said["summary"]
    first = summary if subject.compared is None else f"{_chosen(subject)} {subject.compared.recommendation.headline}"
    sentences = [first, _sizes(subject), *sure]
    blocks: list[Block] = [Text(" ".join(line for line in sentences if line))]
    if subject.alarm:
        blocks.append(Text("Not converged: what follows describes these draws, not the posterior.", strong=True))
    elif not subject.caution:
        blocks.append(Text(subject.diagnosis.verdict, strong=True))
    return Section("answer", "Answer", (Box("answer", tuple(blocks)),))


def _chosen(subject: Subject) -> str:
    """Among what the answer was chosen."""
    numbers = sorted({fit.n_components for fit in subject.fits.values()})
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        several = f"K = {numbers[0]} to {numbers[-1]}"
    else:
        several = f"K = {join([str(k) for k in numbers])}"
    return f"Of {len(subject.fits)} fit{'s' * (len(subject.fits) > 1)} with {several}, the data support this one:"


def _sizes(subject: Subject) -> str:
    """Mixing proportions with intervals; of one component, its centre."""
    fit, tail = subject.fit, [0.5 - 0.5 * subject.ci_prob, 0.5 + 0.5 * subject.ci_prob]
    draws = read_draws(fit.posterior_)
    if fit.n_components == 1:
        means = draws.means.reshape(-1, fit.table_.n_features)
        centre = [
            f"{name} = {to_sd(float(m), float(s))}"
            for name, m, s in zip(fit.table_.feature_names, means.mean(axis=0), means.std(axis=0), strict=True)
        ]
        return f"The mean of the component is at {join(centre, 6)}."
    weights = draws.weights.reshape(-1, fit.n_components)
    low, high = np.quantile(weights, tail, axis=0)
    mean = weights.mean(axis=0)
    if fit.n_components > _EACH:
        return f"The mixing proportions of the components run from {mean.min():.2f} to {mean.max():.2f}."
    each = [f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in zip(mean, low, high, strict=True)]
    return (
        f"Component{'s' * (fit.n_components > 1)} {join([str(k) for k in range(fit.n_components)])} have the mixing "
        f"proportions {join(each)}, with {percent(subject.ci_prob)} credible intervals."
    )
