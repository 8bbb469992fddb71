"""The answer of a report as sentences and tables: the headline, the clusters, who belongs where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.posterior.tree import read_draws
from bayesgmm.reporting.numbers import Grid, count, fixed, join, percent, significant, tally, to_sd

if TYPE_CHECKING:
    from bayesgmm.model_selection.fit import Fit

__all__ = ["assignment", "clusters", "headline"]

Array = NDArray[np.float64]

CERTAIN = 0.9
_UNCERTAIN_ROWS = 10
_SHOWN_COLUMNS = 5
_ABREAST = 4  # components side by side in a table that still fits a printed page


def headline(fit: Fit, probabilities: Array, ci_prob: float) -> dict[str, Any]:
    """The answer in sentences: what was fitted, how large the components are, and whether to believe it."""
    table, diagnosis, k = fit.table_, fit.diagnose(), fit.n_components
    weights = read_draws(fit.posterior_).weights.reshape(-1, k)
    low, high = np.quantile(weights, [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob], axis=0)
    used = table.weights > 0
    copies = table.weights[used]
    n_used, total = int(used.sum()), float(copies.sum())
    components = []
    for c in range(k) if k > 1 else ():
        line = (
            f"Component {c} holds {percent(fit.weights_[c])} of the population ({percent(ci_prob)} interval "
            f"{percent(low[c])} to {percent(high[c])})"
        )
        if table.n_features <= _SHOWN_COLUMNS:
            sds = np.sqrt(np.diagonal(fit.covariances_[c]))
            centre = [
                f"{name} = {to_sd(m, sd)}" for name, m, sd in zip(table.feature_names, fit.means_[c], sds, strict=True)
            ]
            line += f", centred at {join(centre)}"
        if low[c] * total < 1.0:
            line += "; it may hold no rows at all"
        components.append(f"{line}.")
    summary = [
        f"A mixture of {k} Gaussian component{'s' * (k > 1)} ({fit.covariance_type} covariance) was fitted to "
        f"{count(n_used)} rows{'' if total == n_used else f' that count as {tally(total)}'} of {table.n_features} "
        f"column{'s' * (table.n_features > 1)}. The number of "
        "components was given, not estimated."
    ]
    if k > 1:
        certain = float(copies @ (probabilities[used].max(axis=1) > CERTAIN)) / total
        summary.append(f"{percent(certain)} of the rows belong to one component with probability above {CERTAIN:g}.")
    return {"summary": summary, "components": components, "verdict": diagnosis.verdict}


def clusters(fit: Fit, ci_prob: float) -> dict[str, Any]:
    """What each component looks like: a profile, a column a component, and the table of all parameters."""
    draws, k = read_draws(fit.posterior_), fit.n_components
    weights = draws.weights.reshape(-1, k)
    means = draws.means.reshape(len(weights), k, -1)
    sds = np.sqrt(np.diagonal(draws.covariances, axis1=3, axis2=4)).reshape(means.shape)
    tail = [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob]

    def cells(values: Array) -> list[str]:
        low, high = np.quantile(values, tail, axis=0)
        out = []
        for c in range(k):
            sd = float(values[:, c].std())
            mean, a, b = (to_sd(float(v), sd) for v in (values[:, c].mean(), low[c], high[c]))
            out.append(f"{mean} [{a}, {b}]" if a != b else mean)
        return out

    profile = [["weight", *cells(weights)]]
    for j, name in enumerate(fit.table_.feature_names):
        profile.append([f"mean of {name}", *cells(means[:, :, j])])
    for j, name in enumerate(fit.table_.feature_names):
        profile.append([f"sd of {name}", *cells(sds[:, :, j])])

    table = fit.summary(ci_prob=ci_prob)
    bounds = [c for c in table.columns if str(c).startswith("ci_")]
    rows = []
    for parameter, row in table.iterrows():
        numbers = [to_sd(row[c], row["sd"]) for c in ("mle", "mean", "sd", *bounds)]
        numbers += [count(row["ess_bulk"]), count(row["ess_tail"]), fixed(row["r_hat"], 3)]
        rows.append([str(parameter), *numbers, "yes" if row["ok"] else "NO"])
    limits = [str(c).removeprefix("ci_") for c in bounds]
    header = ["parameter", "MLE", "mean", "sd", *limits, "ESS bulk", "ESS tail", "R-hat", "reliable"]
    groups = [range(first, min(k, first + _ABREAST)) for first in range(0, k, _ABREAST)]
    return {
        "profile": [
            Grid.of(["", *[f"component {c}" for c in some]], [[row[0], *[row[1 + c] for c in some]] for row in profile])
            for some in groups
        ],
        "summary": Grid.of(header, rows),
        "ci": percent(ci_prob),
    }


def assignment(fit: Fit, probabilities: Array) -> dict[str, Any] | None:
    """How surely the rows belong where they belong, and the rows of which it is least sure; None for K = 1."""
    table, k = fit.table_, fit.n_components
    if k == 1:
        return None
    used = np.flatnonzero(table.weights > 0)
    p, copies = probabilities[used], table.weights[used]
    total = float(copies.sum())
    label, certainty = p.argmax(axis=1), p.max(axis=1)
    rows = []
    for c in range(k):
        mine, of_mine = certainty[label == c], copies[label == c]
        n_mine = float(of_mine.sum())
        sure = [
            f"{tally(n_sure)} ({percent(n_sure / n_mine)})" if n_mine > 0.0 else "0"
            for n_sure in (float(of_mine[mine > t].sum()) for t in (0.9, 0.99))
        ]
        rows.append([f"component {c}", tally(n_mine), f"{copies @ p[:, c]:,.1f}", *sure])
    header = ["", "rows assigned", "rows expected", "p > 0.9", "p > 0.99"]
    n_sure = float(copies[certainty > CERTAIN].sum())
    sentence = (
        f"{tally(n_sure)} of {tally(total)} rows ({percent(n_sure / total)}) belong to one component with "
        f"posterior probability above {CERTAIN:g}"
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
            f"component {first} ({p[i, first]:.2f})", f"component {second} ({p[i, second]:.2f})",
            *[significant(v, 5) for v in table.values[used[i], :_SHOWN_COLUMNS]],
        ]
        for i, (first, second) in zip(order, ranked[:, :2], strict=True)
    ]  # fmt: skip
    return {
        "sentence": sentence,
        "components": Grid.of(header, rows),
        "least": Grid.of(["row", "most probable", "next", *columns], least, n_text=3) if least else None,
    }
