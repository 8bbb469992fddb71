"""What a mixture has besides normal components, in sentences: noise, and the tails of t components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.posterior.tree import read_draws
from bayesgmm.reporting.numbers import percent, significant, tally
from bayesgmm.wording import plural, probability

if TYPE_CHECKING:
    from bayesgmm.model_selection.fit import Fit

__all__ = ["NEARLY_NORMAL", "noise_and_tails_in_words", "tails_in_words"]

NEARLY_NORMAL = 30.0  # degrees of freedom from which no table that is usual tells tails from normal ones


def noise_and_tails_in_words(fit: Fit, ci_prob: float = 0.95) -> list[str]:
    """Sentences on the share of noise and on tails; none of a mixture of normal components."""
    draws, tail = read_draws(fit.posterior_), [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob]
    out = []
    if draws.noise_weight is not None:
        low, high = np.quantile(draws.noise_weight, tail)
        n = float(fit.table_.weights[fit.labels_ == -1].sum())
        out.append(
            f"Noise has mixing proportion {probability(float(draws.noise_weight.mean()))} ({percent(ci_prob)} credible "
            f"interval {probability(low)} to {probability(high)}); {tally(n)} {plural(n, 'observation')} "
            f"{'is' if n == 1 else 'are'} most probably noise."
        )
    if draws.df is not None:
        df = draws.df.reshape(-1, draws.df.shape[-1])
        each = zip(df.mean(axis=0), *np.quantile(df, tail, axis=0), strict=True)
        some = df.shape[1] > 1 or fit.n_components == 1
        out += [
            f"The tails of {f'component {c}' if some else 'all components'} are those of a t distribution with "
            f"{significant(mean, 2)} degrees of freedom ({percent(ci_prob)} credible interval {significant(low, 2)} to "
            f"{significant(high, 2)}): {tails_in_words(low, high)}."
            for c, (mean, low, high) in enumerate(each)
        ]
        out[-1] += f" Above about {NEARLY_NORMAL:.0f} degrees of freedom tails are hardly different from normal ones."
    return out


def tails_in_words(low: float, high: float) -> str:
    """What an interval of degrees of freedom says of tails.

    >>> tails_in_words(3.0, 8.0), tails_in_words(8.0, 60.0), tails_in_words(35.0, 90.0)
    ('heavier than normal', 'perhaps heavier than normal', 'hardly different from normal')
    """
    if high < NEARLY_NORMAL:
        return "heavier than normal"
    return "perhaps heavier than normal" if low < NEARLY_NORMAL else "hardly different from normal"
