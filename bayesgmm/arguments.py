"""Arguments checked before any work: what cannot be used is refused in one line that names it and says what to do."""

from __future__ import annotations

import math
import reprlib
import shlex
from collections.abc import Collection, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.visible import one_line

__all__ = [
    "MOST_SAMPLES", "as_names", "as_numbers", "check_choice", "check_count", "check_flag", "check_instance",
    "check_number", "check_probability", "check_seed", "lacking", "like", "no_column", "shown",
]  # fmt: skip

MOST = 10**9  # of what is counted
MOST_SAMPLES = 10**8  # rows that are simulated; more would not fit into memory
_MOST_NAMES = 30  # of columns that an error lists
_REPR = reprlib.Repr(maxstring=60, maxother=80)


def shown(value: Any) -> str:
    """The value in a few characters of one line.

    >>> shown(np.zeros((2, 2)))
    'array([[0., 0.], [0., 0.]])'
    >>> shown(10**400)[:6]
    '100000'
    """
    try:
        text = _REPR.repr(value)
    except Exception:  # a repr may raise anything
        text = f"a {type(value).__name__}"
    text = one_line(text)
    return text if len(text) <= 100 else f"{text[:60]} ... {text[-30:]}"


def check_flag(value: Any, name: str) -> None:
    """True or False.

    >>> check_flag(True, "standardize")
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={shown(value)} must be True or False.")


def check_count(value: Any, name: str, least: int = 1, most: int = MOST) -> None:
    """A whole number from `least` to `most`.

    >>> check_count(3, "n_runs")
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name}={shown(value)} must be an integer of at least {least}.")
    if value > most:
        raise InputError(f"{name}={shown(value)} must be at most {most:,}.")


def check_seed(random_seed: Any) -> None:
    """None or an integer from 0 to 2**63 - 1."""
    whole = isinstance(random_seed, (int, np.integer)) and not isinstance(random_seed, bool)
    if random_seed is not None and not (whole and 0 <= random_seed < 2**63):
        raise InputError(f"random_seed={shown(random_seed)} must be None or an integer from 0 to 2**63 - 1.")


def check_number(
    value: Any,
    name: str,
    must: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """The float of a finite number within bounds; `must` says in words what it must do.

    >>> check_number(2, "tol", "be a positive number", above=0.0)
    2.0
    """
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) else math.nan
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and least <= number and above < number < below):
        raise InputError(f"{name}={shown(value)} must {must}.")
    return number


def check_probability(value: Any, name: str = "ci_prob", usual: float = 0.95) -> float:
    """A probability strictly between 0 and 1.

    >>> check_probability(0.95)
    0.95
    """
    return check_number(value, name, f"lie between 0 and 1; {usual:g} is usual", above=0.0, below=1.0)


def check_choice(value: Any, name: str, known: Collection[str]) -> None:
    """One of some names.

    >>> check_choice("vi", "loss", ("vi", "binder"))
    """
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name}={shown(value)} is unknown; use one of {', '.join(map(repr, known))}.")


def check_instance(value: Any, name: str, kind: type, what: str) -> None:
    """A value of a class; `what` says in words where one comes from.

    >>> check_instance(2.0, "x", float, "a number")
    """
    if not isinstance(value, kind):
        raise InputError(f"{name}={shown(value)} must be {what}.")


def like(given: str, known: Sequence[str]) -> list[str]:
    """At most three of the known names that may be meant: those that hold what was given or are in it, else those that
    are spelt alike.

    >>> like("weight", ["Weight (lb)", "Height (in)", "Year"]), like("hieght", ["Height", "Year"])
    (['Weight (lb)'], ['Height'])
    """
    from difflib import get_close_matches

    plain = {name: name.casefold().strip() for name in known}
    wanted = given.casefold().strip()
    holding = [
        name
        for name, text in plain.items()
        if (len(wanted) > 1 and wanted in text) or (len(text) > 2 and text in wanted)
    ]
    near = get_close_matches(wanted, plain.values())
    return (holding or [name for text in near for name in known if plain[name] == text])[:3]


def no_column(given: Sequence[Any], known: Sequence[str]) -> str:
    """That columns are not there, which may be meant, and which there are, as they can be typed.

    >>> no_column(["hieght"], ["height", "Income, gross"])
    "there is no column 'hieght' (did you mean height?); the columns are height, 'Income, gross'."
    """
    words = []
    for name in given:
        meant = [shlex.quote(other) for other in like(name, known)] if isinstance(name, str) else []
        words.append(shown(name) + f" (did you mean {' or '.join(meant)}?)" * bool(meant))
    some = [shlex.quote(name) for name in known[:_MOST_NAMES]]
    more = f" and {len(known) - len(some)} more" if len(known) > len(some) else ""
    return f"there is no column {', '.join(words)}; the columns are {', '.join(some)}{more}."


def lacking(missing: Sequence[str], known: Sequence[str], given: Sequence[Any]) -> str:
    """That the columns given lack some of the known ones, and which of the others may be these.

    >>> lacking(["eruptions"], ["eruptions", "waiting"], ["Eruptions (min)", "waiting"])
    "the column 'eruptions': give the columns eruptions, waiting; if 'Eruptions (min)' is one of them, rename it."
    """
    others = [name for name in given if isinstance(name, str) and name not in known]
    near = like(missing[0], others)[:1] or [name for name in missing[1:] for name in like(name, others)[:1]][:1]
    hint = f"; if {shown(near[0])} is one of them, rename it" if near else ""
    more = f" and {len(missing) - 5} more" * (len(missing) > 5)
    columns = f"column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing[:5]))}{more}"
    return f"the {columns}: give the columns {', '.join(known)}{hint}."


def as_names(value: Any, name: str, known: Sequence[str]) -> list[str]:
    """Names of columns, each one of the known and none twice; a single one may stand alone.

    >>> as_names("b", "features", ("a", "b"))
    ['b']
    """
    try:
        names = [value] if isinstance(value, str) else [c if isinstance(c, str) else shown(c) for c in value]
    except TypeError:
        raise InputError(f"{name}={shown(value)} must be names among {', '.join(known)}.") from None
    for given in names:
        if given not in known:
            raise InputError(f"{name}: {no_column([given], known)}")
    if not names or len(set(names)) < len(names):
        raise InputError(f"{name}={shown(value)} must name at least one column, and none of them twice.")
    return names


def as_numbers(value: Any, name: str, must: str = "be numbers") -> NDArray[np.float64]:
    """Real numbers of any shape as a float array; NaN and inf are for the caller to judge, `must` is for the message.

    >>> as_numbers([1, 2.5], "values")
    array([1. , 2.5])
    """
    wrong = f"{name}={shown(value)} must {must}"
    if np.ma.is_masked(value):
        raise InputError(f"{wrong}, and some are masked: fill them in or leave them out.")
    try:
        array = np.asarray(value)
        number = (Real, Decimal) if array.ndim else Real
        if array.dtype.kind == "O" and all(isinstance(cell, number) for cell in array.flat):
            array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{wrong}.") from None
    if array.dtype.kind not in ("biuf" if array.ndim else "iuf"):
        raise InputError(f"{wrong}.")
    return array.astype(np.float64, copy=False)
