"""What the answers of a fit share: its records, what is computed once, and new rows in the order of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.batches import as_batches, columns_of
from bayesgmm.data.engine import Batch
from bayesgmm.data.frames import as_pandas, default_names, text_names
from bayesgmm.data.table import Table, check_new_rows
from bayesgmm.data.write_parquet import named_columns, write_parquet
from bayesgmm.em.result import EMResult
from bayesgmm.errors import warn
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.streaming import mean_responsibilities
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import Structure
from bayesgmm.posterior.tree import PosteriorArrays, model_rows, posterior_arrays, structure_of
from bayesgmm.record import Record, warned

if TYPE_CHECKING:
    import xarray as xr

    from bayesgmm.posterior.diagnostics.diagnose import Diagnosis

__all__ = ["FittedBase"]

Array = NDArray[np.float64]

# Multiply-adds of what is averaged over the draws for many rows, which all draws know nearly alike: ten seconds.
_MOST_WORK, _FEWEST_DRAWS = 2e10, 25


class FittedBase:
    """What a fit has: ``posterior_``, ``em_``, ``table_`` and ``prior_``."""

    posterior_: xr.DataTree
    em_: EMResult
    table_: Table
    prior_: ResolvedPrior
    covariance_type: str
    component: str
    noise: bool
    random_seed: int | None
    progressbar: bool
    cores: int | None
    _cache: dict[str, Any]

    def _once(self, name: str, compute: Callable[[], Any]) -> Any:
        """Compute on first use and keep; scikit-learn forbids new attributes after `fit`."""
        check_is_fitted(self, "posterior_")
        if name not in self._cache:
            self._cache[name] = compute()
        return self._cache[name]

    @property
    def _arrays(self) -> PosteriorArrays:
        return self._once("arrays", lambda: posterior_arrays(self.posterior_))

    @property
    def _own_responsibilities(self) -> Array:
        return self._once("responsibilities", lambda: self._responsibilities(None))

    @property
    def _problem(self) -> Problem:
        return Problem(self.table_, self._structure, self.prior_)

    @property
    def _structure(self) -> Structure:
        return structure_of(self.posterior_).moved(np.log(self.table_.scale))

    def _named_rows(self, X: Any) -> tuple[Array | None, Any]:
        """New rows and their names, or the fit's own."""
        self._check_fitted()
        if X is None:
            return None, self.table_.row_names
        X = as_pandas(X)
        return self._rows(X), X.index if isinstance(X, pd.DataFrame) else None

    def _diagnose(self) -> Diagnosis:
        raise NotImplementedError

    def _judged[R: Record](self, result: R) -> R:
        """The result, which says first in a notebook where the fit has not converged."""
        diagnosis = self._once("diagnosis", self._diagnose)
        return result if diagnosis.ok else warned(result, diagnosis.verdict)

    def _check_fitted(self) -> None:
        check_is_fitted(self, "posterior_")

    def _name_features(self, names: tuple[str, ...] | None) -> None:
        """Keep the names of the columns, as scikit-learn does where all of them are text."""
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _rows(self, X: Any) -> Array:
        """New rows by the names of their columns; scikit-learn's warning where one side alone has names."""
        self._check_fitted()
        X = as_pandas(X)
        named, seen = text_names(X), getattr(self, "feature_names_in_", None)
        names = self.table_.feature_names
        by_order = names == default_names(len(names)) and not set(named or ()) & set(names)
        what = f"{type(self).__name__} was fitted {'with' if named is None else 'without'} feature names"
        if named is None and seen is not None:
            warn(f"X does not have valid feature names, but {what}: columns go by order.")
        elif named is not None and seen is None and by_order:
            warn(f"X has feature names, but {what}: columns go by order.")
        return check_new_rows(X, self.table_)

    def _arrays_for(self, n_rows: int) -> PosteriorArrays:
        """The draws, or as many evenly spaced ones as passes over so many rows allow.

        A probability has a posterior sd of up to about 5 / sqrt(rows of the fit), so that these draws at least tell its
        mean to a thousandth.
        """
        a = self._arrays
        work = float(max(n_rows, 1)) * a.n_components * (a.means.shape[2] ** 2 + 10)
        n = max(_FEWEST_DRAWS, int(25e6 / self.table_.weights.sum()), int(_MOST_WORK / work))
        if n >= len(a.weights):
            return a
        some = evenly_spaced(len(a.weights), n)
        weights, means, cholesky, scaling = (
            np.ascontiguousarray(x[some]) for x in (a.weights, a.means, a.cholesky, a.scaling)
        )
        return replace(a, weights=weights, means=means, cholesky=cholesky, scaling=scaling)

    def _of_rows(self, X: Any, to: Any, compute: Callable[[Array], Any], names: Sequence[str]) -> Any:
        """`compute` of new rows (n, D), of a table in batches a batch at a time, where it lies; returned, or written to
        Parquet under these names of columns. What `compute` holds is sent to where the batches lie: never the fit."""
        batches = as_batches(X)
        if batches is None and to is None:
            return compute(self._rows(X))
        self._check_fitted()
        wanted = self.table_.feature_names

        def results() -> Iterator[Any]:
            if batches is None:
                return (compute(rows) for rows in [self._rows(X)])
            return batches.engine.map(partial(_of_batch, compute=compute, chosen=columns_of(batches, wanted)))

        if to is None:
            found = list(results())
            return pd.concat(found, ignore_index=True) if isinstance(found[0], pd.DataFrame) else np.concatenate(found)
        write_parquet(to, (named_columns(part, names) for part in results()))
        return None

    def _responsibilities(self, rows: Array | None) -> Array:
        a = self._arrays_for(self.table_.n_rows if rows is None else len(rows))
        return mean_responsibilities(
            model_rows(self.posterior_, a, rows), a.weights, a.means, a.scaling, row_model=a.row_model
        )

    def _given_draws(self, X: Any, compute: Callable[..., Any]) -> Callable[[Array], Any]:
        """``compute(rows, a=draws)`` as a function of rows, by as many draws as those of `X`, or of a batch, allow."""
        batches = as_batches(X)
        if batches is None:
            return lambda rows: compute(rows, a=self._arrays_for(len(rows)))
        a = self._arrays_for(batches.batch_size)
        return partial(compute, a=replace(a, cholesky=a.scaling[:0]))  # which nothing here asks for

    def _label(self, p: Array) -> NDArray[np.int64]:
        """(N,) component of the largest of p (N, R); -1 for the background."""
        return self._arrays.class_labels[p.argmax(axis=1)]


def _of_batch(batch: Batch, number: int, compute: Callable[[Array], Any], chosen: list[int]) -> Any:
    return compute(np.ascontiguousarray(batch[0][:, chosen]))
