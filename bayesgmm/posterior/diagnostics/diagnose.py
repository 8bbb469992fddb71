"""Can the draws be believed? Two tables and one verdict.

(a) The convergence criteria: label-invariant quantities (`posterior.diagnostics.invariants`) have R-hat below 1.01,
bulk and tail ESS above 400. (b) Component parameters after relabelling, beside their R-hat before it. Relabelling
minimises the differences between draws, so (b) alone would be optimistic.

`posterior.diagnostics.verdicts` turns the two into a status, a sentence and advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.posterior.diagnostics.approximation import APPROXIMATIONS, approximation_fault
from bayesgmm.posterior.diagnostics.convergence import MIN_DRAWS, convergence_table, group_chains, r_hat
from bayesgmm.posterior.diagnostics.gate import Gate, gate_of_tree
from bayesgmm.posterior.diagnostics.quantities import quantity_in_words
from bayesgmm.posterior.diagnostics.verdicts import FEW_AMBIGUOUS, classify, explain, mode_table, sampler_advice
from bayesgmm.posterior.levels import levels
from bayesgmm.posterior.scalars import component_scalars
from bayesgmm.posterior.tree import MixtureDraws, observed_rows, read_draws, read_sample_stats
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["AMBIGUOUS", "Diagnosis", "diagnose", "with_reservation"]

Array = NDArray[np.float64]

AMBIGUOUS = 0.1  # a draw whose relabelling is wrong with more than this probability


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Record):
    """What the draws allow; ``str()`` says it in sentences.

    Attributes
    ----------
    table : DataFrame
        Table (a), a row a label-invariant quantity: ``mean, sd, r_hat, ess_bulk, ess_tail, ok, note``.
    components : DataFrame
        Table (b), a row a component parameter, with ``r_hat_raw`` before relabelling besides.
    verdict : str
        One sentence.
    status : str
        ``converged``, ``label_switching``, ``slow_components``, ``not_identified``, ``several_modes``,
        ``too_few_draws`` or ``not_converged``: see `posterior.diagnostics.verdicts`.
    ok : bool
        The convergence criteria are met, no parameter is unexplored whose labels are certain, nothing diverged, the run
        is complete and, for an approximation, its Pareto k < 0.7 and its importance weights are worth at least 400
        draws.
    advice : tuple of str
        What to do and what to keep in mind, a sentence each.
    n_divergences : int
    ambiguous_share : float
        Share of draws whose relabelling is wrong with probability above 0.1; NaN if not recorded.
    modes : DataFrame or None
        For ``several_modes``: the chains of each mode, its mean log-likelihood (and log posterior) and
        weights, best first.
    n_chains, n_draws : int
        Chains, and draws of each.
    """

    table: pd.DataFrame
    components: pd.DataFrame
    verdict: str
    status: str
    ok: bool
    advice: tuple[str, ...]
    n_divergences: int
    ambiguous_share: float
    modes: pd.DataFrame | None
    n_chains: int
    n_draws: int
    _numbered: bool = False  # observations have numbers for names

    def __str__(self) -> str:
        numbers = f"{self.n_chains} chain{'s' * (self.n_chains != 1)} of {self.n_draws} draws"
        moving = self.table[self.table["r_hat"].notna()]
        if len(moving):
            ess = moving[["ess_bulk", "ess_tail"]].min(axis=1)
            worst = [quantity_in_words(str(name)) for name in (moving["r_hat"].idxmax(), ess.idxmin())]
            numbers += (
                f": largest R-hat {moving['r_hat'].max():.3f} ({worst[0]}), smallest ESS {ess.min():.0f} ({worst[1]})"
            )
            if self._numbered and "observation" in "".join(worst):
                numbers += ", observations numbered from 0"
        numbers += f"; {self.n_divergences} divergent transition{'s' * (self.n_divergences != 1)}"
        if np.isfinite(self.ambiguous_share):
            numbers += f"; {self.ambiguous_share:.1%} of draws with ambiguous labels"
        return "\n".join([self.verdict, numbers + ".", *self.advice])


def diagnose(tree: xarray.DataTree, gate: Gate | None = None) -> Diagnosis:
    """Judge the draws of a fit.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``: relabelled draws, the data, and sampler statistics where there are any.
    gate : Gate, optional
        Of the same draws, where it is known already (`posterior.diagnostics.gate`); by default it is found from the
        tree.

    Returns
    -------
    Diagnosis

    Notes
    -----
    The log posterior is log-likelihood plus ``sample_stats["log_prior"]`` where that exists, else ``logp``: a
    sampler's ``logp`` is only comparable between chains that sample in the same coordinates.

    With one chain, R-hat compares its halves and the verdict says what one chain cannot show. The costly
    quantities use at most 300 rows and are streamed over the draws.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from bayesgmm.posterior.diagnostics.diagnose import diagnose
    >>> rng, lead = np.random.default_rng(0), ("chain", "draw")
    >>> posterior = {
    ...     "weights": ((*lead, "component"), np.ones((4, 300, 1))),
    ...     "means": ((*lead, "component", "feature"), rng.normal(size=(4, 300, 1, 1))),
    ...     "covariances": ((*lead, "component", "feature", "feature_bis"), np.ones((4, 300, 1, 1, 1))),
    ...     "log_likelihood_total": (lead, rng.normal(size=(4, 300))),
    ... }
    >>> data = xr.Dataset({"obs": (("obs_id", "feature"), [[-1.0], [1.0]])}, {"obs_id": [0, 1]})
    >>> tree = xr.DataTree.from_dict(
    ...     {"posterior": xr.Dataset(posterior, {"feature": ["x"]}), "observed_data": data}
    ... )
    >>> print(diagnose(tree).verdict)
    The chains converged (all R-hat < 1.01, all ESS > 400).
    """
    stats, draws = read_sample_stats(tree), read_draws(tree)
    gate = gate_of_tree(tree) if gate is None else gate
    values, table = gate.values, gate.table
    components = _component_table(draws, stats.get("permutation"))
    share = float(np.mean(stats["relabel_ambiguity"] > AMBIGUOUS)) if "relabel_ambiguity" in stats else np.nan
    n_chains, n_draws = draws.log_likelihood.shape

    inference = str(tree.attrs.get("inference", ""))
    moving = [values[name] for name in table.index[table["r_hat"].notna()]]  # not what is constant, or as good as
    groups = group_chains(np.stack(moving)) if moving and not table["ok"].all() else None
    status = classify(
        table,
        components,
        ambiguous_share=share,
        n_modes=len(groups or ()),
        n_chains=n_chains,
        n_draws=n_draws,
    )
    modes = mode_table(groups, values, draws.weights) if groups and status == "several_modes" else None
    names = observed_rows(tree)[2]
    numbered = np.array_equal(names, np.arange(len(names)))
    called = partial(quantity_in_words, numbered=numbered)
    head, advice = explain(status, table, components, modes, n_chains * n_draws, share, called)

    gate_ok = bool(table["ok"].all()) and status != "not_converged"
    n_divergences = int(np.sum(stats.get("diverging", 0)))
    reservations = []
    if n_divergences:
        reservations.append(f"{n_divergences} of {n_chains * n_draws} draws diverged")
        advice.append("Divergences bias the posterior: raise target_accept or tune longer.")
    if tree.attrs.get("partial", 0):
        reservations.append("the run was ended before it was done")
        advice.append("The run is partial: let it finish before using its credible intervals.")
    if inference in APPROXIMATIONS:
        fault = approximation_fault(tree.attrs)
        if fault:
            reservations.append(f"{fault}, so intervals are not trustworthy")
    elif n_chains == 1:
        head += "; one chain cannot show whether there are several modes"
        advice.append("Run at least 4 chains: R-hat between chains does not exist for one.")
    if not tree.attrs.get("relabelling_converged", 1):
        advice.append("Relabelling stopped before it settled: treat labels as ambiguous.")
    if share > FEW_AMBIGUOUS and status != "not_identified":
        advice.append(
            f"{share:.0%} of draws have ambiguous labels: credible intervals of the components are too narrow."
        )
    return Diagnosis(
        table=table,
        components=components,
        verdict=_verdict(head, reservations, gate_ok),
        status=status,
        ok=gate_ok and not reservations,
        advice=(*advice, *levels(tree), *sampler_advice(stats), *filter(None, [str(tree.attrs.get("notes", ""))])),
        n_divergences=n_divergences,
        ambiguous_share=share,
        modes=modes,
        n_chains=n_chains,
        n_draws=n_draws,
        _numbered=numbered,
    )


def with_reservation(diagnosis: Diagnosis, reasons: Sequence[str]) -> Diagnosis:
    """The diagnosis of a fit that must not be relied on whatever its chains show: its posterior is improper, say."""
    if not reasons:
        return diagnosis
    head = diagnosis.verdict[0].lower() + diagnosis.verdict[1:]
    verdict = f"Not reliable: {' '.join(reasons)} Otherwise {head}"
    return replace(diagnosis, verdict=verdict, ok=False)


def _verdict(head: str, reservations: list[str], gate_ok: bool) -> str:
    if not reservations:
        return f"{head}."
    if gate_ok:
        return f"Not reliable yet: {' and '.join(reservations)}; otherwise {head[0].lower()}{head[1:]}."
    return f"{head}; besides, {' and '.join(reservations)}."


def _component_table(draws: MixtureDraws, permutation: NDArray[Any] | None) -> pd.DataFrame:
    """Table (b): component parameters, with their R-hat before relabelling."""
    named = draws.feature_names, draws.structure
    table = convergence_table(component_scalars(draws.heads, draws.means, draws.covariances, *named))
    table.insert(5, "r_hat_raw", table["r_hat"])
    n_draws = draws.log_likelihood.shape[1]
    if permutation is None or n_draws < MIN_DRAWS or (permutation == permutation[0, 0]).all():
        return table
    # New component k was old component permutation[k], so the inverse puts the old order back.
    raw = component_scalars(*draws.reorder(np.argsort(permutation, axis=-1)), *named)
    table["r_hat_raw"] = [r_hat(x) if np.isfinite(x).all() else np.nan for x in raw.values()]
    return table
