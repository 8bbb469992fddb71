"""The options of a fit, checked before any work."""

from __future__ import annotations

from typing import Any

from bayesgmm.arguments import check_choice, check_count, check_flag, check_instance, check_probability, check_seed
from bayesgmm.data.table import MISSING, WEIGHT_TYPES
from bayesgmm.em.candidates import MOST_STARTS
from bayesgmm.inference.escalation import check_inference
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.structure import COMPONENTS, get_structure

__all__ = ["check_fit_options"]

# More would take days, or memory that nobody has.
_MOST = {"draws": 10**7, "tune": 10**7, "chains": 1000, "n_init": MOST_STARTS}


def check_fit_options(fit: Any) -> None:
    """Refuse options of a `BayesianGMM` that cannot be used.

    Raises
    ------
    InputError
    """
    check_inference(fit.inference, fit.sampler)
    get_structure(fit.covariance_type)
    check_count(fit.n_components, "n_components")
    for name, most in _MOST.items():
        check_count(getattr(fit, name), name, most=most)
    for name in ("cores", "batch_size"):
        if getattr(fit, name) is not None:
            check_count(getattr(fit, name), name)
    check_choice(fit.component, "component", COMPONENTS)
    for name in ("noise", "standardize", "escalate", "log_likelihood", "progressbar"):
        check_flag(getattr(fit, name), name)
    check_choice(fit.missing, "missing", MISSING)
    check_choice(fit.weight_type, "weight_type", WEIGHT_TYPES)
    check_seed(fit.random_seed)
    check_probability(fit.target_accept, "target_accept", usual=0.8)
    if fit.prior is not None:
        check_instance(fit.prior, "prior", MixturePrior, "None or a bayesgmm.MixturePrior")
