"""Python that makes a fit or a comparison again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.scale_families import ScaleFamily

__all__ = ["as_code", "call", "changed_options"]

_WIDTH = 100


def as_code(value: Any) -> str:
    """Python for an option of a fit.

    >>> from bayesgmm.model.scale_families import HalfNormal
    >>> as_code(MixturePrior(mean_scale=[1.0, 2.0], sd=HalfNormal(1.5)))
    'bg.MixturePrior(mean_scale=(1.0, 2.0), sd=bg.priors.HalfNormal(scale=1.5))'
    """
    if isinstance(value, MixturePrior):
        default = MixturePrior()
        given = {f.name: getattr(value, f.name) for f in fields(value)}
        inside = {n: v for n, v in given.items() if not _same(v, getattr(default, n))}
        return f"bg.MixturePrior({_options(inside)})"
    if isinstance(value, ScaleFamily):
        return f"bg.priors.{type(value).__name__}({_options(value.hyperparameters())})"
    if isinstance(value, (np.ndarray, np.generic)):
        return repr(value.tolist())
    return repr(dict(value) if isinstance(value, Mapping) else value)


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and not isinstance(a, np.ndarray) and a == b)


def _options(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={as_code(value)}" for name, value in given.items())


def call(function: str, positional: Sequence[str], options: Mapping[str, Any]) -> str:
    """A call, over several lines where it is long.

    >>> call("f", ["x"], {"a": 1})
    'f(x, a=1)'
    """
    parts = [*positional, *(f"{name}={as_code(value)}" for name, value in options.items())]
    line = f"{function}({', '.join(parts)})"
    return line if len(line) <= _WIDTH else f"{function}(\n    {',\n    '.join(parts)},\n)"


def changed_options(fit: Any, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """The options of an estimator that are not its defaults."""
    known = inspect.signature(type(fit).__init__).parameters
    return {
        name: getattr(fit, name)
        for name, p in known.items()
        if name not in ("self", *leave_out) and hasattr(fit, name) and not _same(getattr(fit, name), p.default)
    }
