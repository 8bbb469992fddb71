"""Known labels: which component a row belongs to, where somebody has told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import shown
from bayesgmm.errors import InputError, warn
from bayesgmm.wording import plural

__all__ = ["check_known", "known_components", "known_labels_in_words"]


def known_components(y: Any, n_rows: int, n_components: int | None) -> tuple[NDArray[np.int64] | None, tuple[Any, ...]]:
    """Component of each row, -1 where unknown, and the class of each component that has a known row.

    If all labels are whole numbers from 0 to K - 1, they are numbers of components; other classes, and all where
    `n_components` is None, get numbers in sorted order. Unknown are -1, NaN and None. No labels at all, or none known,
    give None; so do, with a warning, labels known throughout of more classes than there are components: the pipelines
    of scikit-learn hand on whatever labels there are.

    >>> known_components(["b", None, "a", "b"], 4, 3)
    (array([ 1, -1,  0,  1]), ('a', 'b'))
    >>> known_components([2, -1, 0], 3, 3)[0]
    array([ 2, -1,  0])
    """
    if y is None:
        return None, ()
    try:
        cells = np.asarray(y, dtype=object) if hasattr(y, "__array__") else list(y)
        labels = pd.Series(list(cells), dtype=object)
    except (TypeError, ValueError):
        raise InputError(f"y={shown(y)} must be None or a label for each row, -1 or NaN where it is unknown.") from None
    if len(labels) != n_rows:
        raise InputError(
            f"y has {len(labels)} labels for {n_rows} rows: give one a row, -1 or NaN where it is unknown."
        )
    if not all(pd.api.types.is_hashable(label) for label in labels):
        raise InputError("y must hold one label a row: numbers or text, -1 or NaN where it is unknown.")
    known = ~(labels.isna() | labels.map(lambda label: _is_number(label) and label == -1)).to_numpy()
    if not known.any():
        return None, ()
    found = labels[known].unique().tolist()
    whole = all(_is_number(label) and float(label).is_integer() for label in found)
    if not whole and any(isinstance(label, (float, np.floating)) for label in found):
        raise InputError(
            "y holds fractions: it must hold classes, a whole number or a text for each row whose class is known."
        )
    classes = sorted(found, key=lambda label: (str(type(label)), label) if not whole else ("", label))
    if whole and n_components is None:
        raise InputError("y holds numbers: give n_components too, for those below it are numbers of components.")
    if whole and n_components is not None and min(classes) >= 0 and max(classes) < n_components:
        classes = list(range(int(max(classes)) + 1))
    if n_components is not None and len(classes) > n_components and known.all():
        warn(f"y has {len(classes)} classes, more than n_components={n_components}, and so is not used.", UserWarning)
        return None, ()
    number = {label: k for k, label in enumerate(classes)}
    out = np.full(n_rows, -1, dtype=np.int64)
    out[known] = [number[label] for label in labels[known]]
    if n_components is not None:
        check_known(out, n_components)
    return out, tuple(classes)


def check_known(known: NDArray[np.int64] | None, n_components: int) -> None:
    """Refuse known components (N,) that are more than there are."""
    if known is not None and known.max() >= n_components:
        raise InputError(
            f"y knows {int(known.max()) + 1} classes, and n_components={n_components}: every class is a component of "
            f"its own, so give at least {int(known.max()) + 1} components, or no y."
        )


def known_labels_in_words(known: NDArray[np.int64] | None, classes: tuple[Any, ...]) -> list[str]:
    """No sentence where no class is known, else how many are, and what is assumed.

    >>> known_labels_in_words(np.array([0, -1, 1]), ("a", "b"))[0]
    'The class of 2 of 3 observations is known: component 0 is a (1 observation), component 1 is b (1 observation).'
    """
    if known is None:
        return []
    counts = np.bincount(known[known >= 0], minlength=len(classes)).tolist()
    parts = [
        f"component {k} is {name} ({n:,} {plural(n, 'observation')})"
        for k, (name, n) in enumerate(zip(classes, counts, strict=True))
        if n
    ]
    return [
        f"The class of {sum(counts):,} of {len(known):,} observations is known: {', '.join(parts)}.",
        "These observations stay in the component of their class. Which ones were labelled may depend on their cells, "
        "but beyond those not on their class.",
    ]


def _is_number(label: Any) -> bool:
    return isinstance(label, (int, float, np.integer, np.floating)) and not isinstance(label, (bool, np.bool_))
