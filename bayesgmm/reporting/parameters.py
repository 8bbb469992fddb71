"""The parameters of a fit as a table for a terminal: digits by standard deviations, of many correlations the strong."""

from __future__ import annotations

import pandas as pd

from bayesgmm.reporting.numbers import count, fixed, to_sd

__all__ = ["mle_elsewhere", "notable", "parameter_text"]

_ALL = 30  # correlations up to which all are shown
_ELSEWHERE = 6.0  # posterior sds between a proportion or mean and its maximum-likelihood estimate
_STRONG, _MOST = 0.5, 20  # size from which one is notable, and how many of them are shown


def parameter_text(summary: pd.DataFrame) -> str:
    """A line a parameter, each number to two digits of the parameter's standard deviation.

    Parameters
    ----------
    summary : DataFrame
        As ``fit.summary()`` gives it.
    """
    shown = summary.loc[notable(summary)]
    bounds = [str(name) for name in summary.columns if str(name).startswith("ci_")]
    text = pd.DataFrame(
        {
            **{
                name: [to_sd(x, sd) for x, sd in zip(shown[name], shown["sd"], strict=True)]
                for name in ("mle", "mean", "sd", *bounds)
            },
            **{name: [count(x) for x in shown[name]] for name in ("ess_bulk", "ess_tail")},
            "r_hat": [fixed(x, 3) for x in shown["r_hat"]],
            "ok": ["yes" if ok else "NO" for ok in shown["ok"]],
        },
        index=shown.index,
    )
    lines = [text.to_string()]
    n_left = len(summary) - len(shown)
    if n_left:
        lines.append(
            f"{n_left} correlations are not shown: those whose posterior mean is below {_STRONG:g} in size, whose "
            f"interval holds 0, or that are not among the {_MOST} strongest. All are in the report (--out), with "
            "--json, and in fit.summary()."
        )
    return "\n".join(lines)


def notable(summary: pd.DataFrame) -> list[str]:
    """Names of the parameters to show: all but weak correlations where there are many.

    >>> names = ["means[0, a]", *(f"corr[0, a, b{j}]" for j in range(40))]
    >>> means = [5.0, 0.9, *[0.1] * 39]
    >>> table = pd.DataFrame({"mean": means, "ci_2.5%": means, "ci_97.5%": means}, index=names)
    >>> notable(table)
    ['means[0, a]', 'corr[0, a, b0]']
    """
    names = [str(name) for name in summary.index]
    correlations = [name for name in names if name.startswith("corr[")]
    if len(correlations) <= _ALL:
        return names
    low, high = [summary[name] for name in summary.columns if str(name).startswith("ci_")]
    size = summary["mean"].abs()[correlations]
    strong = size[(size >= _STRONG) & ((low > 0) | (high < 0))[correlations]]
    kept = set(strong.nlargest(_MOST).index)
    return [name for name in names if not name.startswith("corr[") or name in kept]


def mle_elsewhere(summary: pd.DataFrame) -> list[str]:
    """A sentence where the maximum of the likelihood is another solution than the one that the posterior is about.

    >>> names = ["weights[0]", "means[0, a]"]
    >>> table = pd.DataFrame({"mle": [0.11, 2.0], "mean": [0.35, 2.1], "sd": [0.03, 0.1]}, index=names)
    >>> (said,) = mle_elsewhere(table)
    >>> said.split(": ", 1)[1]
    "weights[0] is 0.110 there, 0.350 (sd 0.030) here. Intervals are the posterior's."
    """
    some = summary[summary.index.str.startswith(("weights[", "means["))]
    far = ((some["mle"] - some["mean"]).abs() / some["sd"]).where(some["sd"] > 0.0)
    if not far.max() > _ELSEWHERE:
        return []
    name = str(far.idxmax())
    mle, mean, sd = (to_sd(float(some[c][name]), float(some["sd"][name])) for c in ("mle", "mean", "sd"))
    return [
        "The maximum-likelihood estimate (column mle) is another solution than the posterior's: "
        f"{name} is {mle} there, {mean} (sd {sd}) here. Intervals are the posterior's."
    ]
