"""From a request to draws: which sampler runs, and what runs next where the convergence criteria are not met.

NUTS is quick and exact where the posterior has one mode up to relabelling. Where it has more, or components are
empty, its chains disagree, or agree on a part of the posterior. So, unless `escalate` is off:

1. modes with empty components that hold more than a hundredth of the posterior call for Gibbs sampling at once;
2. NUTS runs, and is judged by the convergence criteria;
3. chains that sat in negligible modes start again from those that matter;
4. a run that is merely short is made again, as much longer as it fell short, with smaller steps;
5. Gibbs sampling, of normal mixtures with moves between modes; not for fractions of rows under t components.

Where a comparison leaves no time for NUTS over 50,000 rows or more, the Laplace approximation stands in for it, and is
judged by its importance weights.

Nothing runs again where the criteria are met. Each stage leaves a sentence in `Draws.notes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from bayesgmm.arguments import check_choice
from bayesgmm.errors import InputError
from bayesgmm.inference.draws_within_memory import draws_within_memory
from bayesgmm.inference.judging import Judgement
from bayesgmm.inference.request import Request
from bayesgmm.kernels.folders import pytensor_folder
from bayesgmm.model.draws import Draws
from bayesgmm.model.problem import Problem
from bayesgmm.progress import rough_will_do, work_allowed

__all__ = ["INFERENCES", "check_inference", "draw_posterior", "has_gibbs"]

INFERENCES = ("nuts", "gibbs", "laplace", "advi", "fullrank_advi", "auto")
SAMPLERS = ("nutpie", "pymc")
_NUTS_WORK, _STEPS = 2e12, 10.0  # multiply-adds, minutes on two cores; gradients a draw, roughly
_ROUGH_DRAWS = 400  # of each chain, kept of a fit that is rough
_LONGEST = 5  # times the draws asked for
_FEWEST = 25  # draws of a chain
_AS_GOOD_AS_EXACT = 0.5  # Pareto k
_LIKELIER = 3.0  # nats
_NO_TIME = "NUTS over so many rows takes minutes for each fit, so Laplace's approximation was made for this comparison."


def check_inference(inference: str, sampler: str) -> None:
    """Refuse an unknown way of sampling."""
    for name, value, known in (("inference", inference, INFERENCES), ("sampler", sampler, SAMPLERS)):
        check_choice(value, name, known)


def draw_posterior(
    request: Request, *, inference: str = "nuts", sampler: str = "nutpie", escalate: bool = True
) -> tuple[Draws, str]:
    """Draws of the posterior, those that meet the criteria if any stage's do, and how: `inference`, or auto's."""
    check_inference(inference, sampler)
    table = request.problem.table
    n, said = draws_within_memory(
        request.draws, request.chains, request.n_components, table.n_features, request.judge.ess_min
    )
    request = replace(request, draws=n)
    draws, inference = _drawn(request, inference, sampler, escalate)
    return (replace(draws, notes=(said, *draws.notes)) if said else draws), inference


def _drawn(request: Request, inference: str, sampler: str, escalate: bool) -> tuple[Draws, str]:
    if inference == "gibbs":
        if not has_gibbs(request.problem):
            raise InputError("inference='gibbs' takes whole weights of rows under t components: take inference='nuts'.")
        return _gibbs(request), inference
    if inference in ("laplace", "advi", "fullrank_advi"):
        return _approximation(request, inference), inference
    if request.blocks is not None:  # nothing else goes through rows that are not in memory
        return _approximation(request, "laplace"), "laplace"
    too_long = sampler == "nutpie" and request.is_large and _nuts_work(request) > work_allowed(math.inf)
    if inference == "auto" or too_long:
        draws, why = _laplace(request)
        if draws is not None and inference == "auto" and not why:
            return draws, "laplace"
        if draws is not None and too_long:
            notes = (_NO_TIME, *([why] if why else []), *draws.notes)
            return replace(draws, notes=notes, extra=draws.extra | {"in_place_of_nuts": 1}), "laplace"
        draws = _by_nuts(request, sampler, escalate)
        return replace(draws, notes=(why, *draws.notes)), "nuts"
    return _by_nuts(request, sampler, escalate), inference


def _by_nuts(request: Request, sampler: str, escalate: bool) -> Draws:
    request, said = _affordable(request)
    run = _nuts(request, sampler)
    if said:
        draws = run()
        return replace(draws, notes=(said, *draws.notes))
    return _escalated(request, run, sampler) if escalate and request.can_pass else run()


def _nuts_work(request: Request) -> float:
    return request.gradient_work * _STEPS * (request.draws + request.tune) * request.chains


def _affordable(request: Request) -> tuple[Request, str]:
    """The request with as many draws of NUTS as minutes allow, and a sentence if they are fewer than asked for."""
    asked = _nuts_work(request)
    if asked <= _NUTS_WORK:
        return request, ""
    share = _NUTS_WORK / asked
    draws, tune = max(_FEWEST, int(share * request.draws)), max(50, int(share * request.tune))
    if draws >= request.draws and tune >= request.tune:
        return request, ""
    said = (
        f"With so large a table NUTS would take very long for {request.draws} draws per chain: {draws} were made after "
        f"{tune} warm-up iterations, and no other sampler was tried. inference='laplace' suits long tables."
    )
    return replace(request, draws=min(draws, request.draws), tune=min(tune, request.tune)), said


def _approximation(request: Request, inference: str) -> Draws:
    names = ("draws", "chains", "cores", "random_seed", "progressbar")
    options: dict[str, Any] = {name: getattr(request, name) for name in names}
    if inference != "advi":
        from bayesgmm.inference.approximate.at_modes import check_affordable

        check_affordable(request.problem, request.n_components, inference)
    if inference == "laplace" and request.is_large:
        from bayesgmm.inference.approximate.one_less import large_posterior

        return large_posterior(request.problem, request.candidates, request.blocks, **options)
    if inference == "laplace":
        from bayesgmm.inference.approximate.laplace import sample_laplace

        draws = sample_laplace(request.problem, request.modes, **options)
    else:
        from bayesgmm.inference.approximate.advi import sample_advi

        draws = sample_advi(request.problem, request.modes, method=inference, batch_size=request.batch_size, **options)
    empty = _empty_components(request)
    if empty is None:
        return draws
    said = f"{empty}, which this approximation leaves out: use inference='gibbs'."
    return replace(draws, notes=(*draws.notes, said))


def _laplace(request: Request) -> tuple[Draws | None, str]:
    """Laplace draws, if they can be made, and a sentence unless importance sampling vouches for them and no mode is
    left out."""
    if not request.is_large and _empty_components(request) is not None:
        return None, "The Laplace approximation was not tried: components may be empty."
    try:
        draws = _approximation(request, "laplace")
    except InputError:
        return None, "The Laplace approximation cannot be made for this table."
    pareto_k, worth = float(draws.extra["pareto_k"]), float(draws.extra["importance_ess"])
    if "surplus" in draws.extra:
        return draws, f"The Laplace approximation is not enough: {draws.extra['surplus']}."
    if pareto_k < _AS_GOOD_AS_EXACT and worth >= request.judge.ess_min:
        said = f"The Laplace approximation with importance resampling was kept (Pareto k {pareto_k:.2f})."
        return replace(draws, notes=(*draws.notes, said)), ""
    return draws, f"The Laplace approximation is not enough: its Pareto k is {pareto_k:.2f}."


def _nuts(request: Request, sampler: str) -> Callable[..., Draws]:
    """NUTS on the compiled density or on the PyMC model; sampler packages are imported here, when needed."""
    sample: Callable[..., Draws]
    if sampler == "nutpie":
        from bayesgmm.inference.nuts.sample import sample_nuts

        sample = sample_nuts
    else:
        pytensor_folder()
        from bayesgmm.inference.nuts.pymc import sample_pymc

        sample = sample_pymc
    options = request.options | {"target_accept": request.target_accept}
    if sampler == "nutpie":
        options["max_steps"] = 4.0 * _NUTS_WORK / request.gradient_work
    return partial(sample, request.problem, request.modes, **options)


def has_gibbs(problem: Problem) -> bool:
    """Rows of t components are completed copy by copy: a fraction of a copy is not normal given its precision."""
    table, structure, _ = problem
    return structure.component == "normal" or bool((table.weights == np.floor(table.weights)).all())


def _sweeps(request: Request) -> str:
    normal = request.problem.structure.is_normal
    return "Gibbs sampling with moves between modes" if normal else "Gibbs sampling"


def _gibbs(request: Request, notes: tuple[str, ...] = ()) -> Draws:
    from bayesgmm.inference.first_use import finish
    from bayesgmm.inference.gibbs.sample import MAX_WORK, sample_gibbs

    finish(request.meanwhile)
    most = MAX_WORK if request.can_pass else MAX_WORK / 100.0
    work = work_allowed(most)
    draws = sample_gibbs(
        request.problem,
        request.modes,
        empty=request.empty_modes,
        judge=request.judge,
        max_work=work,
        rough=rough_will_do(),
        **request.options,
    )
    notes = (*notes, *draws.notes)
    if work < most and not request.judge(draws).ok:
        step = max(1, draws.shape[1] // _ROUGH_DRAWS)
        said = "Sampling was kept short and does not meet the convergence criteria: estimates are rough."
        if step > 1:
            said += f" One draw in {step} was kept."
        extra = draws.extra | {"kept_short": 1, "likely_occupied": _likely_occupied(request)}
        return replace(draws.thinned(step), notes=(*notes, said), extra=extra)
    return replace(draws, notes=notes)


def _escalated(request: Request, run: Callable[..., Draws], sampler: str) -> Draws:
    from bayesgmm.inference.nuts.sample import NEGLIGIBLE, negligible_starts

    empty = _empty_components(request)
    if empty is not None:
        return _gibbs(request, (f"{empty}, which NUTS does not reach; {_sweeps(request)} was used.",))
    notes: tuple[str, ...] = ()
    draws = run()
    gate = request.judge(draws)
    stuck = None if _content(draws, gate) else negligible_starts(draws)
    if stuck is not None:
        notes, run = (stuck,), partial(run, mode_window=NEGLIGIBLE)
        draws = replace(run(), notes=notes)
        gate = request.judge(draws)
    if not _content(draws, gate) and (gate.ok or gate.shortfall <= _LONGEST):
        draws = _longer(request, run, gate, notes)
        notes, gate = draws.notes, request.judge(draws)
    if _content(draws, gate) or not has_gibbs(request.problem):
        return draws
    said = f"NUTS did not meet the convergence criteria; {_sweeps(request)} was used."
    return _better(request, draws, gate, _gibbs(request, (*notes, said)))


def _better(request: Request, before: Draws, gate: Judgement, after: Draws) -> Draws:
    """The draws of the last stage, or those that they were to replace, if they are no better.

    They are better if they pass, if their chains agree more closely, or if one of them found a mode of the posterior
    that is likelier than any of those before: then what came before agreed on a part of it.
    """
    found = request.judge(after)
    if found.ok or after.partial or "kept_short" in after.extra or found.disagreement < gate.disagreement:
        return after
    typical = [np.median(x, axis=1).max() for x in (found.values["log_posterior"], gate.values["log_posterior"])]
    if not typical[0] < typical[1] + _LIKELIER:
        return after
    said = (
        "Gibbs sampling, tried because NUTS did not meet the convergence criteria, ended with a larger R-hat "
        f"({found.disagreement:.2f} after {gate.disagreement:.2f}): the draws of NUTS were kept."
    )
    return replace(before, notes=(*before.notes, said))


def _content(draws: Draws, gate: Judgement) -> bool:
    """Nothing more to do: the criteria are met without divergences, or the user interrupted."""
    return draws.partial or (gate.ok and not np.any(draws.stats.get("diverging", False)))


def _longer(request: Request, run: Callable[..., Draws], gate: Judgement, notes: tuple[str, ...]) -> Draws:
    times = int(np.clip(np.ceil(gate.shortfall), 2, _LONGEST))
    said = (
        f"The convergence criteria were not met, so the chains were run again, {times} times as long with smaller "
        f"steps, thinned by {times}."
    )
    options = {"draws": times * request.draws, "target_accept": max(request.target_accept, 0.9)}
    return replace(run(**options).thinned(times), notes=(*notes, said))


def _empty_components(request: Request) -> str | None:
    """A clause if modes with empty components matter: NUTS would not visit them, and would not notice."""
    from bayesgmm.inference.empty_modes import empty_in_words

    if request.n_components == 1 or not has_gibbs(request.problem):
        return None
    return empty_in_words(request.modes[0].log_evidence, request.empty_modes, request.n_components)


def _likely_occupied(request: Request) -> int:
    """Components that are occupied where most of the posterior probability is, by Laplace."""
    from bayesgmm.inference.empty_modes import emptier

    share, n_empty = emptier(request.modes[0].log_evidence, request.empty_modes)
    return request.n_components - (n_empty if share > 0.5 else 0)
