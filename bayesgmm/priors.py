"""Families for the sd of a component, to be named in `bayesgmm.MixturePrior`."""

from bayesgmm.model.scale_families import Exponential, HalfCauchy, HalfNormal, InverseGamma, LogNormal

__all__ = ["Exponential", "HalfCauchy", "HalfNormal", "InverseGamma", "LogNormal"]
