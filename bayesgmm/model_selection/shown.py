"""What results of `bayesgmm.model_selection` show of themselves."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayesgmm.model_selection.averaging import ModelAverage
from bayesgmm.model_selection.candidate import Candidate
from bayesgmm.model_selection.comparison import ComparedFits
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
from bayesgmm.model_selection.evidence.empty_components import EmptyComponentRatio
from bayesgmm.model_selection.loo.kfold import KFoldResult
from bayesgmm.model_selection.loo.loo import LooResult
from bayesgmm.model_selection.loo.waic import P_UNSTABLE, WaicResult
from bayesgmm.model_selection.recommend import Recommendation
from bayesgmm.record import attributes, numbers, reliable, sentences, tables

numbers.register(LooResult, attributes("elpd", "se", "p", "n_bad"))
numbers.register(WaicResult, attributes("elpd", "se", "p", "n_unstable"))
numbers.register(KFoldResult, attributes("elpd", "se", "n_folds", "ok"))
numbers.register(Evidence, attributes("value", "mcse", "n_components", "ok"))
numbers.register(EmptyComponentRatio, attributes("value", "mcse", "n_components", "ok"))
numbers.register(Recommendation, attributes("label", "n_components", "n_clusters", "stable", "agree"))
numbers.register(Candidate, attributes("n_components", "kind", "status", "bic"))


@reliable.register
def _(loo: LooResult) -> tuple[str, bool]:
    n = len(loo.ok_i)
    if loo.ok:
        return f"The scores of all {n:,} observations can be trusted.", True
    return f"The scores of {loo.n_bad:,} of {n:,} observations cannot be trusted.", False


@tables.register
def _(loo: LooResult) -> dict[str, pd.DataFrame]:
    columns = {"pareto_k": loo.pareto_k, "elpd": loo.elpd_i, "method": loo.method_i, "ok": loo.ok_i}
    rows = pd.DataFrame(columns, index=pd.Index(loo.row_names))
    return {"Observations, largest Pareto k first": rows.sort_values("pareto_k", ascending=False, kind="stable")}


@reliable.register
def _(waic: WaicResult) -> tuple[str, bool]:
    n = len(waic.p_i)
    if waic.ok:
        return f"All {n:,} observations have p_waic of at most {P_UNSTABLE:g}.", True
    return f"Not to be trusted: {waic.n_unstable:,} of {n:,} observations have p_waic above {P_UNSTABLE:g}.", False


@reliable.register
def _(ratio: EmptyComponentRatio | Evidence | KFoldResult) -> tuple[str, bool]:
    return str(ratio), ratio.ok


@reliable.register
def _(candidate: Candidate) -> tuple[str, bool]:
    return candidate.verdict, candidate.converged


@sentences.register
def _(candidate: Candidate) -> str:
    scores = [str(score) for score in (candidate.loo, candidate.evidence) if score is not None]
    kind = f"{candidate.kind.counted(candidate.n_components)} ({candidate.kind.covariance_type})."
    return "\n".join([kind, candidate.verdict, *scores])


@tables.register
def _(average: ModelAverage) -> dict[str, pd.DataFrame]:
    likely = average.n_clusters.to_frame()
    return {"Share of each fit": average.weights.to_frame(), "Probability of each number of clusters": likely}


@numbers.register
def _(average: ModelAverage) -> dict[str, Any]:
    return {"by": average.by, "weights": average.weights.round(3).to_dict()}


@reliable.register
def _(compared: ComparedFits) -> tuple[str, bool] | None:
    failed = [str(label) for label, c in compared.candidates.items() if c.status == "not converged"]
    sampled = [str(label) for label, c in compared.candidates.items() if c.status == "sample"]
    if failed or sampled:
        parts = (("Not converged", failed), ("Of a sample of the observations", sampled))
        return " ".join(f"{what}: K = {', '.join(labels)}." for what, labels in parts if labels), False
    rough = [str(label) for label, c in compared.candidates.items() if c.status == "rough"]
    return f"Converged{f', but for the rough fits of K = {", ".join(rough)}' if rough else ''}.", True


@tables.register
def _(compared: ComparedFits) -> dict[str, pd.DataFrame]:
    return {"Fits": compared.table}
