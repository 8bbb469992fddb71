"""Label-invariant quantities called by what they are."""

from __future__ import annotations

__all__ = ["quantity_in_words"]

_WORDS = {
    "log_likelihood": "log-likelihood",
    "log_posterior": "log posterior density",
    "sum_squared_weights": "sum of squared mixing proportions",
    "noise_weight": "mixing proportion of noise",
    "log_df": "mean log degrees of freedom",
    "mixture_mean": "mixture mean of",
    "mixture_log_det_covariance": "log determinant of the mixture covariance",
    "log_density": "log density of observation",
    "log_det_covariance": "log determinant of the covariance at observation",
    "classification_entropy": "classification entropy",
    "co_clustering": "co-clustering probability of observations",
}
_OF_OBSERVATIONS = ("log_density", "log_det_covariance", "co_clustering")


def quantity_in_words(name: str, numbered: bool = False) -> str:
    """What a quantity of `label_invariants` is; `numbered` says that observations have numbers for names, from 0.

    >>> quantity_in_words("co_clustering[277, 338]", numbered=True)
    'co-clustering probability of observations 277 and 338 (numbered from 0)'
    >>> quantity_in_words("sorted_weights[0]"), quantity_in_words("mixture_mean[x]"), quantity_in_words("sd[0, x]")
    ('largest mixing proportion', 'mixture mean of x', 'sd[0, x]')
    """
    kind, bracket, rest = name.partition("[")
    inside = rest.removesuffix("]")
    if kind == "sorted_weights":
        place = int(inside)
        return "largest mixing proportion" if place == 0 else f"mixing proportion number {place + 1} by size"
    if kind not in _WORDS:
        return name
    if kind == "co_clustering":
        inside = inside.replace(", ", " and ")
    said = f"{_WORDS[kind]}{' ' * bool(bracket)}{inside}"
    return f"{said} (numbered from 0)" if numbered and kind in _OF_OBSERVATIONS else said
