"""The answer of a report as sentences and tables: the headline, the clusters, who belongs where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model_selection.fit import kind_of
from bayesgmm.posterior.tree import read_draws
from bayesgmm.reporting.noise_and_tails import noise_and_tails_in_words
from bayesgmm.reporting.numbers import (
    Grid,
    class_name,
    count,
    fixed,
    join,
    percent,
    significant,
    tally,
    to_sd,
)
from bayesgmm.wording import plural, probability

if TYPE_CHECKING:
    from bayesgmm.model_selection.fit import Fit

__all__ = ["assignment", "clusters", "headline"]

Array = NDArray[np.float64]

CERTAIN = 0.9
_UNCERTAIN_ROWS = 10
_LIKE_NOISE = 0.1  # probability of noise from which a row is listed
_SHOWN_COLUMNS = 5
_ABREAST = 4  # components side by side in a table that still fits a printed page


def headline(fit: Fit, probabilities: Array, ci_prob: float, given: bool = True) -> dict[str, Any]:
    """The answer in sentences: what was fitted, and how large the components are; `given` is whether their number was,
    or else chosen by a comparison."""
    table, k = fit.table_, fit.n_components
    weights = read_draws(fit.posterior_).weights.reshape(-1, k)
    low, high = np.quantile(weights, [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob], axis=0)
    used = table.weights > 0
    copies = table.weights[used]
    n_used, total = int(used.sum()), float(copies.sum())
    components = []
    for c in range(k) if k > 1 else ():
        line = (
            f"Component {c} has mixing proportion {probability(fit.weights_[c])} ({percent(ci_prob)} credible interval "
            f"{probability(low[c])} to {probability(high[c])})"
        )
        if table.n_features <= _SHOWN_COLUMNS:
            sds = np.sqrt(np.diagonal(fit.covariances_[c]))
            centre = [
                f"{name} = {to_sd(m, sd)}" for name, m, sd in zip(table.feature_names, fit.means_[c], sds, strict=True)
            ]
            line += f", centred at {join(centre)}"
        if low[c] * total < 1.0:
            line += "; it may be empty"
        components.append(f"{line}.")
    components += noise_and_tails_in_words(fit, ci_prob)
    kind = kind_of(fit)
    summary = [
        f"A mixture of {kind.counted(k)} ({fit.covariance_type} covariance) was fitted to "
        f"{count(n_used)} observations{'' if total == n_used else f' that count as {tally(total)}'} of "
        f"{table.n_features} {plural(table.n_features, 'variable')}."
        f"{' The number of components of this fit was fixed.' * given}"
    ]
    if probabilities.shape[1] > 1:
        certain = float(copies @ (probabilities[used].max(axis=1) > CERTAIN)) / total
        summary.append(
            f"{percent(certain)} of the observations belong to one component{' or to noise' * kind.noise} with "
            f"probability above {CERTAIN:g}."
        )
    return {"summary": summary, "components": components}


def clusters(fit: Fit, ci_prob: float) -> dict[str, Any]:
    """What each component looks like: a profile, a column a component and one of noise, and all parameters."""
    draws, k = read_draws(fit.posterior_), fit.n_components
    weights = draws.weights.reshape(-1, k)
    means = draws.means.reshape(len(weights), k, -1)
    sds = np.sqrt(np.diagonal(draws.covariances, axis1=3, axis2=4)).reshape(means.shape)
    tail = [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob]

    def cells(values: Array) -> list[str]:
        low, high = np.quantile(values, tail, axis=0)
        out = []
        for c in range(values.shape[1]):
            sd = float(values[:, c].std())
            mean, a, b = (to_sd(float(v), sd) for v in (values[:, c].mean(), low[c], high[c]))
            out.append(f"{mean} [{a}, {b}]" if a != b else mean)
        return out

    columns = [f"component {c}" for c in range(k)] + ["noise"] * kind_of(fit).noise
    shares = weights if draws.noise_weight is None else np.column_stack([weights, draws.noise_weight.ravel()])
    profile = [["weight", *cells(shares)]]
    if draws.df is not None:
        df = cells(draws.df.reshape(len(weights), -1))
        profile.append(["degrees of freedom", *(df if len(df) == k else df * k)])
    spread = "sd" if draws.df is None else "scale"
    for j, name in enumerate(fit.table_.feature_names):
        profile.append([f"mean of {name}", *cells(means[:, :, j])])
    for j, name in enumerate(fit.table_.feature_names):
        profile.append([f"{spread} of {name}", *cells(sds[:, :, j])])
    profile = [[*row, *[""] * (1 + len(columns) - len(row))] for row in profile]

    table = fit.summary(ci_prob=ci_prob)
    bounds = [c for c in table.columns if str(c).startswith("ci_")]
    rows = []
    for parameter, row in table.iterrows():
        numbers = [to_sd(row[c], row["sd"]) for c in ("mle", "mean", "sd", *bounds)]
        numbers += [count(row["ess_bulk"]), count(row["ess_tail"]), fixed(row["r_hat"], 3)]
        rows.append([str(parameter), *numbers, "yes" if row["ok"] else "NO"])
    limits = [str(c).removeprefix("ci_") for c in bounds]
    header = ["parameter", "MLE", "mean", "sd", *limits, "ESS bulk", "ESS tail", "R-hat", "reliable"]
    n = len(columns)
    groups = [range(first, min(n, first + _ABREAST)) for first in range(0, n, _ABREAST)]
    return {
        "profile": [
            Grid.of(["", *[columns[c] for c in some]], [[row[0], *[row[1 + c] for c in some]] for row in profile])
            for some in groups
        ],
        "notes": _notes(fit),
        "summary": Grid.of(header, rows),
        "ci": percent(ci_prob),
    }


def _notes(fit: Fit) -> list[str]:
    """How to read the numbers of t components."""
    if fit.component == "normal":
        return []
    return [
        "Degrees of freedom (df) say how heavy tails are: with 5, one observation in 33 lies further than 3 scales "
        "from the mean in a given column, with 30 one in 185, of a normal distribution one in 370. Scales, called sd "
        "in the table of all parameters, and correlations are those of the scale matrix; standard deviations are "
        "√(df / (df − 2)) times the scales."
    ]


def assignment(fit: Fit, probabilities: Array) -> dict[str, Any] | None:
    """How surely the rows belong where they belong, and the rows of which it is least sure; None of one class."""
    table, k = fit.table_, fit.n_components
    noise = kind_of(fit).noise
    classes = [*range(k), *[-1] * noise]
    if len(classes) == 1:
        return None
    used = np.flatnonzero(table.weights > 0)
    p, copies = probabilities[used], table.weights[used]
    total = float(copies.sum())
    label, certainty = p.argmax(axis=1), p.max(axis=1)
    rows = []
    for c, number in enumerate(classes):
        mine, of_mine = certainty[label == c], copies[label == c]
        n_mine = float(of_mine.sum())
        sure = [
            f"{tally(n_sure)} ({percent(n_sure / n_mine)})" if n_mine > 0.0 else "0"
            for n_sure in (float(of_mine[mine > t].sum()) for t in (0.9, 0.99))
        ]
        rows.append([class_name(number), tally(n_mine), f"{copies @ p[:, c]:,.1f}", *sure])
    header = ["", "assigned", "expected", "p > 0.9", "p > 0.99"]
    n_sure = float(copies[certainty > CERTAIN].sum())
    sentence = (
        f"{tally(n_sure)} of {tally(total)} observations ({percent(n_sure / total)}) belong to one component"
        f"{' or to noise' * noise} with posterior probability above {CERTAIN:g}"
    )
    undecided = float(copies[certainty < 0.6].sum())
    sentence += f"; {tally(undecided)} belong to none with probability above 0.6." if undecided else "."
    order = np.argsort(certainty, kind="stable")[:_UNCERTAIN_ROWS]
    order = order[certainty[order] < 0.99]
    ranked = np.argsort(-p[order], axis=1, kind="stable")
    columns = table.feature_names[:_SHOWN_COLUMNS]
    least = [
        [
            str(table.row_names[used[i]]),
            *[f"{class_name(classes[c])} ({probability(p[i, c])})" for c in two],
            *[significant(v, 5) for v in table.values[used[i], :_SHOWN_COLUMNS]],
        ]
        for i, two in zip(order, ranked[:, :2], strict=True)
    ]  # fmt: skip
    return {
        "sentence": sentence,
        "components": Grid.of(header, rows),
        "least": Grid.of(["observation", "most probable", "next", *columns], least, n_text=3) if least else None,
        "noise": _like_noise(fit, used, p) if noise else None,
    }


def _like_noise(fit: Fit, used: NDArray[np.intp], p: Array) -> Grid | None:
    """The rows that are noise, or most like it."""
    table, noise = fit.table_, p[:, -1]
    order = np.argsort(-noise, kind="stable")[:_UNCERTAIN_ROWS]
    rows = [
        [
            str(table.row_names[used[i]]), class_name(int(p[i, :-1].argmax())), probability(noise[i]),
            *[significant(v, 5) for v in table.values[used[i], :_SHOWN_COLUMNS]],
        ]
        for i in order[noise[order] > _LIKE_NOISE]
    ]  # fmt: skip
    header = ["observation", "else in", "probability of noise", *table.feature_names[:_SHOWN_COLUMNS]]
    return Grid.of(header, rows, n_text=2) if rows else None
