"""A fit in a notebook: convergence, what was fitted and the mixing proportions, above scikit-learn's box."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.fitted_base import FittedBase
from bayesgmm.model.structure import Kind
from bayesgmm.record import html_of

__all__ = ["FittedBox"]

_CI_PROB = 0.95


class FittedBox(FittedBase):
    """Extends the box of scikit-learn's `ReprHTMLMixin`, which both ways of showing an estimator go through."""

    def _html_repr(self) -> str:
        box: str = super()._html_repr()  # type: ignore[misc]
        return self._answers() + box if hasattr(self, "posterior_") else box

    def _answers(self) -> str:
        diagnosis, table, a = self._once("diagnosis", self._diagnose), self.table_, self._arrays
        kind = Kind(self.covariance_type, self.component, self.noise).counted(a.n_components)
        used = f"{kind} ({self.covariance_type}); {str(table)[:-1]}"
        used += f"; {self.posterior_.attrs.get('method', '')}".rstrip("; ")
        return html_of(f"{used}.", {"Mixing proportions": self._proportions()}, (diagnosis.verdict, diagnosis.ok))

    def _proportions(self) -> pd.DataFrame:
        shares = self._arrays.weights[:, : self._arrays.n_classes]
        low, high = np.quantile(shares, [0.5 - 0.5 * _CI_PROB, 0.5 + 0.5 * _CI_PROB], axis=0)
        columns: dict[str, Any] = {
            "proportion": shares.mean(axis=0), f"{100 * _CI_PROB:g} % from": low, "to": high,
        }  # fmt: skip
        names = ["noise" if k < 0 else f"component {k}" for k in self._arrays.class_labels]
        return pd.DataFrame(columns, index=names)
