"""From convergence tables to a status, a sentence and advice.

=========== ============ ============== =====================================================
(a)         (b) raw      (b) relabelled status
=========== ============ ============== =====================================================
ok          ok           ok             ``converged``
ok          bad          ok             ``label_switching``: undone, results stand
ok          any          bad            ``slow_components`` if R-hat < 1.05, else ``not_identified``; but
                                        ``not_converged`` where the labels are certain
bad         any          any            ``several_modes``, ``too_few_draws`` or ``not_converged``
=========== ============ ============== =====================================================

(a) holds label-invariant quantities, (b) component parameters. Components also count as not identified when
most draws could be relabelled in more than one way. Where hardly any could, labels are no reason for chains to
disagree about a parameter: they have not explored it. Nor have they if it never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.posterior.diagnostics.convergence import ESS_MIN, MIN_DRAWS, R_HAT_MAX

__all__ = ["FEW_AMBIGUOUS", "MOSTLY_AMBIGUOUS", "classify", "explain", "mode_table", "sampler_advice", "worst"]

Array = NDArray[np.float64]

MOSTLY_AMBIGUOUS = 0.5
FEW_AMBIGUOUS = 0.05
_IDENTIFIED_R_HAT = 1.05
_HOPELESS_R_HAT = 1.1
_BFMI_MIN = 0.3


def classify(
    table: pd.DataFrame,
    components: pd.DataFrame,
    *,
    ambiguous_share: float,
    n_modes: int,
    n_chains: int,
    n_draws: int,
) -> str:
    """The status: the first row of the module's table that applies."""
    if n_draws < MIN_DRAWS:
        return "too_few_draws"
    if table["ok"].all():
        failed = components[~components["ok"]]
        if len(unexplored(components, ambiguous_share)):
            return "not_converged"
        if ambiguous_share > MOSTLY_AMBIGUOUS or not (failed["r_hat"] < _IDENTIFIED_R_HAT).all():
            return "not_identified"
        if len(failed):
            return "slow_components"
        return "label_switching" if (components["r_hat_raw"] >= R_HAT_MAX).any() else "converged"
    if n_modes > 1:
        return "several_modes"
    # NaN compares false: a quantity that is not finite must not pass for a shortage of draws.
    failed = table[~table["ok"]]
    limit = R_HAT_MAX if n_chains * n_draws > ESS_MIN else _HOPELESS_R_HAT
    return "too_few_draws" if (failed["r_hat"] < limit).all() else "not_converged"


def unexplored(components: pd.DataFrame, ambiguous_share: float) -> pd.DataFrame:
    """Parameters of components, as rows of their table, that chains have not explored although labels are certain."""
    if not ambiguous_share <= FEW_AMBIGUOUS:  # NaN: not known
        return components.iloc[:0]
    stuck = (components["note"] == "constant") & ~components.index.str.startswith("weights")
    apart = ~components["ok"] & ~(components["r_hat"] < _IDENTIFIED_R_HAT)
    return components[stuck | apart]


def worst(table: pd.DataFrame, called: Callable[[str], str] = str) -> str:
    """The quantity that fails by most, with its numbers."""
    broken = table[table["note"] == "not finite"]
    if len(broken):
        return f"{called(str(broken.index[0]))} is not finite"
    failed = table[~table["ok"]]
    by_r_hat = failed["r_hat"].max() >= R_HAT_MAX
    ess = failed[["ess_bulk", "ess_tail"]].min(axis=1)
    place = int(np.nanargmax(failed["r_hat"]) if by_r_hat else np.nanargmin(ess))
    name = called(str(failed.index[place]))
    return f"{name} has R-hat {failed['r_hat'].iloc[place]:.3f} and ESS {ess.iloc[place]:.0f}"


def explain(
    status: str,
    table: pd.DataFrame,
    components: pd.DataFrame,
    modes: pd.DataFrame | None,
    n_total: int,
    ambiguous_share: float,
    called: Callable[[str], str] = str,
) -> tuple[str, list[str]]:
    """The verdict, without a full stop, and advice; `called` names a quantity of table (a)."""
    met = f"(all R-hat < {R_HAT_MAX}, all ESS > {ESS_MIN:.0f})"
    if status == "converged":
        return f"The chains converged {met}", []
    if status == "label_switching":
        return f"The chains converged {met}. Label switching was corrected by relabelling (Stephens 2000)", []
    if status == "slow_components":
        head = f"The chains converged for the density {met}, but parameters of single components need more draws"
        return head, [f"Run longer for credible intervals of the components: {worst(components)}."]
    if status == "not_identified":
        head = "The density has converged, but the components are not identified: their labels cannot be matched"
        report = (
            "Report the density, the co-clustering of observations and the number of occupied components; credible "
            "intervals of single components mean little. Fewer components may describe the data as well."
        )
        failed = () if components["ok"].all() else (f"After relabelling, {worst(components)}.",)
        return head, [report, *failed]
    if status == "several_modes":
        assert modes is not None
        return _explain_modes(modes)
    if status == "too_few_draws":
        return _explain_too_few(table, n_total, called)
    longer = (
        "Run longer (draws, tune), or with more starting values (n_init); if that does not help, try fewer components."
    )
    bad = int((~table["ok"]).sum())
    if not bad:
        left = unexplored(components, ambiguous_share)
        found = f"{left.index[0]} has not moved" if left["ok"].any() else worst(left)
        head = f"Not converged: {found}, and labels are certain, so the chains have not explored this parameter"
        return f"{head} ({len(left)} of {len(components)} parameters)", [longer]
    fail = f"{bad} of {len(table)} label-invariant quantities do not meet the convergence criteria"
    return f"Not converged: {worst(table, called)} ({fail})", [longer]


def _explain_modes(modes: pd.DataFrame) -> tuple[str, list[str]]:
    sets = " | ".join(", ".join(map(str, chains)) for chains in modes["chains"])
    head = f"Not converged: the chains are in {len(modes)} different modes (chains {sets}) and do not move between them"
    advice = []
    for row in modes.to_dict("records"):
        single = len(row["chains"]) == 1
        advice.append(
            f"Chain{'' if single else 's'} {', '.join(map(str, row['chains']))}: mean log-likelihood "
            f"{row['log_likelihood']:.1f}, mixing proportions {', '.join(f'{w:.2f}' for w in row['weights'])}."
        )
    advice.append(
        "The number of chains in a mode does not say how probable it is: compare the modes by evidence, run longer, or "
        "use more starting values (n_init)."
    )
    return head, advice


def _explain_too_few(table: pd.DataFrame, n_total: int, called: Callable[[str], str]) -> tuple[str, list[str]]:
    ess = table[["ess_bulk", "ess_tail"]].min(axis=1)
    if not np.isfinite(ess.min()):
        return f"Too few draws: a chain needs at least {MIN_DRAWS} for any diagnostic", ["Draw 1000 a chain."]
    if n_total <= ESS_MIN:
        head = f"Too few draws: {n_total} in total cannot be expected to give an ESS above {ESS_MIN:.0f}"
    else:
        smallest = f"{ess.min():.0f}, of the {called(str(ess.idxmin()))}"
        head = f"Too few draws: all R-hat < {R_HAT_MAX}, but the smallest ESS is {smallest}"
    return head, [f"Draw about {int(np.ceil(1.3 * ESS_MIN / max(ess.min(), 1.0)))} times as many."]


def mode_table(groups: Sequence[Sequence[int]], values: Mapping[str, Array], weights: Array) -> pd.DataFrame:
    """One row a mode, best first: its chains, mean log-likelihood (and log posterior) and sorted weights.

    Parameters
    ----------
    groups : chains of each mode
    values : label-invariant quantities, arrays (chains, draws)
    weights : array (chains, draws, K)
        Draws of the weights, in any order of labels.
    """
    ranked = np.sort(weights, axis=-1)[..., ::-1].mean(axis=1)  # (C, K)
    rows = []
    for chains in groups:
        row: dict[str, object] = {"chains": tuple(chains)}
        for name in ("log_likelihood", "log_posterior"):
            if name in values:
                row[name] = float(values[name][list(chains)].mean())
        rows.append({**row, "weights": tuple(ranked[list(chains)].mean(axis=0).tolist())})
    order = "log_posterior" if "log_posterior" in values else "log_likelihood"
    return pd.DataFrame(rows).sort_values(order, ascending=False, ignore_index=True)


def sampler_advice(stats: Mapping[str, NDArray[Any]]) -> list[str]:
    """What tree depth and energy say about a Hamiltonian sampler."""
    advice = []
    saturated = float(np.mean(stats["maxdepth_reached"])) if "maxdepth_reached" in stats else 0.0
    if saturated > 0.0:
        advice.append(
            f"{saturated:.1%} of draws stopped at the maximum tree depth: slow rather than wrong; tune longer."
        )
    energy = stats.get("energy")
    if energy is not None and energy.shape[1] >= MIN_DRAWS:
        with np.errstate(all="ignore"):
            bfmi = np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1, ddof=1)
        if (bfmi < _BFMI_MIN).any():
            advice.append(
                f"The energy of chain {int(np.nanargmin(bfmi))} moves slowly (E-BFMI {np.nanmin(bfmi):.2f} "
                f"< {_BFMI_MIN}): tails may be missed; tune longer."
            )
    return advice
