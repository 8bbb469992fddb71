"""Modes that chains do not leave: how much of the posterior each holds, by its evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import InputError
from bayesgmm.model.problem import Problem
from bayesgmm.model_selection.evidence.bridge_sampling import log_evidence, mode_weights
from bayesgmm.posterior.diagnostics.diagnose import Diagnosis

if TYPE_CHECKING:
    import xarray

__all__ = ["weigh_modes"]


def weigh_modes(diagnosis: Diagnosis, tree: xarray.DataTree, problem: Problem) -> Diagnosis:
    """Add the share of each mode, and its standard error, to a diagnosis whose chains sit in several.

    The evidence of a mode is bridged from the draws of the chains in it, relabelled on their own. Where one of them
    cannot be told (`Evidence.ok`) the diagnosis says so and has no shares. A diagnosis of another status comes back as
    it is.
    """
    if diagnosis.status != "several_modes" or diagnosis.modes is None:
        return diagnosis
    try:
        evidences = [log_evidence(tree, problem, chains=list(c)) for c in diagnosis.modes["chains"]]
        why = next((str(e) for e in evidences if not e.ok), None)
    except InputError as error:
        why = str(error)
    if why is not None:
        said = f"The posterior probability of each mode could not be estimated: {why}"
        return replace(diagnosis, advice=(*diagnosis.advice, said))
    shares, errors = mode_weights(evidences)
    modes = diagnosis.modes.assign(log_evidence=[e.value for e in evidences], share=shares, share_se=errors)
    parts = "; ".join(
        f"chains {', '.join(map(str, chains))}: {share:.1%} (standard error {error:.1%})"
        for chains, share, error in zip(modes["chains"], shares, errors, strict=True)
    )
    best = ", ".join(map(str, modes["chains"].iloc[int(np.argmax(shares))]))
    said = (
        f"Posterior probabilities of the modes by their evidence: {parts}. The draws are not weighted accordingly: use "
        f"those of chains {best} for the most probable mode."
    )
    return replace(diagnosis, modes=modes, advice=(*diagnosis.advice, said))
