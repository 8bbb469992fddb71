"""What options say: numbers of components, recording steps, structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bayesgmm.errors import InputError

__all__ = ["parse_components", "parse_kinds", "parse_steps", "parse_structures"]

_MOST = 100


def parse_components(text: str) -> list[int] | str:
    """Numbers of components: ``1:6`` is 1 to 6, ``2,3,5`` a list; parts may be combined; ``auto`` stays as it is.

    >>> parse_components("1:3,6"), parse_components("auto")
    ([1, 2, 3, 6], 'auto')
    """
    if text.strip() == "auto":
        return "auto"
    numbers: list[int] = []
    try:
        for part in text.split(","):
            first, colon, last = part.partition(":")
            low = int(first)
            high = int(last) if colon else low
            if low < 1 or high < low or high - low >= _MOST:
                raise ValueError
            numbers += range(low, high + 1)
    except ValueError:
        raise InputError(
            f"--components {text!r}: give auto, a range such as 1:6 or a list such as 2,3,5, at most {_MOST} numbers "
            "from 1."
        ) from None
    return sorted(set(numbers))


def parse_steps(texts: Sequence[str], columns: Sequence[str]) -> dict[str, float]:
    """Recording steps by column: ``width=0.1`` is that of one column, ``0.1`` that of all.

    >>> parse_steps(["1", "width=0.1"], ["length", "width"])
    {'length': 1.0, 'width': 0.1}
    """
    steps: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            steps |= dict.fromkeys([name] if name else columns, float(number))
        except ValueError:
            raise InputError(f"--resolution {text!r}: give COLUMN=STEP, or a STEP for all columns.") from None
    return steps


def parse_structures(text: str) -> list[str]:
    """Structures separated by commas; ``all`` is every one.

    >>> parse_structures("full, diag")
    ['full', 'diag']
    """
    from bayesgmm.model.structure import COVARIANCE_TYPES

    return _names(text, COVARIANCE_TYPES)


def parse_kinds(covariance: str, component: str, noise: str) -> dict[str, Any]:
    """What `compare_components` takes from the options that say which kinds of mixture to compare.

    >>> parse_kinds("full", "normal,t", "both")
    {'covariance_type': ['full'], 'component': ['normal', 't'], 'noise': [False, True]}
    """
    from bayesgmm.model.structure import COMPONENTS

    with_noise = {"no": [False], "yes": [True], "both": [False, True]}
    if noise not in with_noise:
        raise InputError(f"--noise {noise!r}: give no, yes or both.")
    return {
        "covariance_type": parse_structures(covariance),
        "component": _names(component, COMPONENTS),
        "noise": with_noise[noise],
    }


def _names(text: str, every: Sequence[str]) -> list[str]:
    if text.strip() == "all":
        return list(every)
    return [name.strip() for name in text.split(",") if name.strip()]
