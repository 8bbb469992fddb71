"""Which mixtures a comparison fits: numbers of components and kinds, given or found on the way.

With ``n_components="auto"`` numbers go up from one, for each kind of mixture until a further component has gained
nothing twice in a row, or to a ceiling. A component gains nothing where the evidence falls clearly below that of a
smaller K, by three nats (odds of twenty to one), and the predictive density does not rise clearly above it. That
density need not fall: surplus components cost it little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bayesgmm.arguments import check_choice, check_flag, shown
from bayesgmm.compare_fits import Pair
from bayesgmm.errors import InputError
from bayesgmm.model.structure import COMPONENTS, Kind, get_structure
from bayesgmm.model_selection.candidate import Candidate
from bayesgmm.model_selection.ranking import NEGLIGIBLE_ELPD, elpd_difference

__all__ = ["AUTO", "CEILING", "at_ceiling", "kinds_of", "numbers_of", "pairs_of", "rounds"]

AUTO, CEILING = "auto", 12
_CLEARLY, _TWICE = 3.0, 2  # nats of evidence, and how often


def numbers_of(n_components: Any, most: int = CEILING) -> list[int]:
    """The numbers of components, increasing and without repetition; all up to `most` for "auto"."""
    if isinstance(n_components, str) and n_components == AUTO:
        return list(range(1, most + 1))
    values = [n_components] if isinstance(n_components, (int, np.integer)) else n_components
    try:
        numbers = [] if isinstance(values, str) else list(values)
    except TypeError:
        numbers = []
    whole = all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k >= 1 for k in numbers)
    if not numbers or not whole:
        raise InputError(
            f'n_components={shown(n_components)} must be integers of at least 1, such as range(1, 7), or "auto".'
        )
    return sorted({int(k) for k in numbers})


def kinds_of(covariance_type: Any, component: Any, noise: Any) -> list[Kind]:
    """Every kind of mixture that is asked for, once."""
    structures = [get_structure(name).name for name in _several(covariance_type, "covariance_type", str)]
    components, with_noise = _several(component, "component", str), _several(noise, "noise", (bool, np.bool_))
    for name in components:
        check_choice(name, "component", COMPONENTS)
    for flag in with_noise:
        check_flag(flag, "noise")
    found = (Kind(s, c, bool(n)) for c in components for n in with_noise for s in structures)
    return list(dict.fromkeys(found))


def _several(values: Any, name: str, one: Any) -> list[Any]:
    try:
        out = [values] if isinstance(values, one) else list(values)
    except TypeError:
        out = [values]
    if not out:
        raise InputError(f"{name}: give at least one.")
    return out


def pairs_of(numbers: list[int], kinds: list[Kind]) -> list[Pair]:
    """Every number with every kind, each model once.

    >>> [(k, str(kind)) for k, kind in pairs_of([1, 2], [Kind("full"), Kind("tied")])]
    [(1, 'full'), (2, 'full'), (2, 'tied')]
    """
    first: dict[Any, Kind] = {}  # of one component, those not shared, if any
    for kind in sorted(kinds, key=lambda kind: get_structure(kind.covariance_type).shared):
        density = "t" if kind.component == "t_each" else kind.component
        first.setdefault((get_structure(kind.covariance_type).alone, density, kind.noise), kind)
    return [(k, kind) for k in numbers for kind in kinds if k > 1 or kind in first.values()]


def rounds(pairs: list[Pair], found: Mapping[Pair, tuple[Any, Candidate]], auto: bool) -> Iterator[list[Pair]]:
    """What to fit next, until `found`, which fills in between, says that it is enough: all at once unless `auto`."""
    if not auto:
        yield pairs
        return
    for number in sorted({k for k, _ in pairs}):
        wanted = [(k, kind) for k, kind in pairs if k == number and not _enough(found, kind)]
        if not wanted:
            return
        yield wanted


def at_ceiling(pairs: list[Pair], found: Mapping[Pair, tuple[Any, Candidate]]) -> tuple[str, ...]:
    """A sentence if further components still gained at the largest number that "auto" goes to."""
    most = max(k for k, _ in pairs)
    going_on = [str(kind) for k, kind in pairs if k == most and (k, kind) in found and not _enough(found, kind)]
    if not going_on:
        return ()
    return (
        f"Every added component still improved the fit at K = {most}, where the search ends ({'; '.join(going_on)}): "
        "give larger numbers of components, or look at the clusters that they describe.",
    )


def _enough(found: Mapping[Pair, tuple[Any, Candidate]], kind: Kind) -> bool:
    """The last components of a kind, twice in a row, gained nothing."""
    of_kind = [c for (_, other), (_, c) in sorted(found.items(), key=lambda item: item[0][0]) if other == kind]
    if len(of_kind) <= _TWICE:
        return False
    return all(_gained_nothing(of_kind[:i], of_kind[i]) for i in range(len(of_kind) - _TWICE, len(of_kind)))


def _gained_nothing(smaller: list[Candidate], candidate: Candidate) -> bool:
    known = [c.log_evidence for c in smaller if c.log_evidence is not None]
    own = candidate.log_evidence
    fell = own is None or not known or own < max(known) - _CLEARLY
    scored = [c.loo for c in smaller if c.loo is not None]
    if not scored or candidate.loo is None:
        return fell
    gain, se = elpd_difference(max(scored, key=lambda loo: loo.elpd), candidate.loo)
    return fell and gain <= max(NEGLIGIBLE_ELPD, se)
