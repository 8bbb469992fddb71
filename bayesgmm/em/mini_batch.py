"""EM of rows that are seen once: after each batch the mixture moves a little, and the rows are forgotten.

Cappé, O., Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. Journal of the Royal
Statistical Society B 71, 593-613. The sufficient statistics s of the complete data are a moving average,

    s <- (1 - g) s + g s(batch),        g = (weight of the batch / weight of all rows until now)^0.6,

and the mixture is the M-step of s. What is reported is the M-step of the average of s over the stream, each batch
counted by the weight of what had been seen (Polyak and Ruppert): it is as precise, to first order, as the maximum of
the likelihood of all rows, if their order is random. The first rows are kept, and searched by EM from many starts.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_count
from bayesgmm.data.cells import finite_values
from bayesgmm.data.checks import row_weights
from bayesgmm.data.frames import as_frame, as_pandas
from bayesgmm.data.table import prepare_table
from bayesgmm.data.table_blocks import as_features
from bayesgmm.em.candidates import check_em_options, fit_em_candidates
from bayesgmm.em.moments import Moments, moments_of
from bayesgmm.em.result import EMResult
from bayesgmm.em.row_order import RowOrder
from bayesgmm.em.spikes import smallest_sd
from bayesgmm.em.state import State
from bayesgmm.em.steps import e_step
from bayesgmm.errors import InputError, NotConvergedWarning, warn
from bayesgmm.kernels.rows import rows_of
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.structure import Structure, get_structure

__all__ = ["SEEN_ONCE", "MiniBatchEM"]

Array = NDArray[np.float64]

SEEN_ONCE = "each was seen once, so that the log-likelihood of all is not known."
_POWER = 0.6


class MiniBatchEM:
    """Gaussian mixture by EM over batches of rows, each seen once (Cappé and Moulines 2009).

    For streams, and for tables whose passes are dear. Where rows can be read again, `fit_em` of `Batches` finds the
    maximum itself. Rows must come in random order: if the means of batches differ more than those of random samples
    would, the result says so and is not converged.

    Parameters
    ----------
    n_components : int
        Number of components K.
    covariance_type : str
        As in `fit_em`.
    first_rows : int, optional
        Rows that are kept, and searched by EM from many starts, before the first step; by default 100 for each free
        parameter, at least 5,000 and at most 50,000.
    batch_size : int
        Rows of a step; `partial_fit` divides what it is given.
    n_init, reg_covar, random_seed
        As in `fit_em`.

    Attributes
    ----------
    n_seen_ : int
        Rows until now.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesgmm as bg
    >>> rng = np.random.default_rng(0)
    >>> em = bg.MiniBatchEM(2, first_rows=2000, random_seed=1)
    >>> for _ in range(20):
    ...     em = em.partial_fit(rng.normal([[0.0], [8.0]] * 500, 1.0))
    >>> em.result().params.means.round(1).ravel(), em.n_seen_
    (array([0., 8.]), 20000)
    """

    def __init__(
        self, n_components: int, *, covariance_type: str | Structure = "full", first_rows: int | None = None,
        batch_size: int = 256, n_init: int = 20, reg_covar: float = 1e-12, random_seed: int | None = None,
    ) -> None:  # fmt: skip
        check_count(n_components, "n_components")
        check_count(batch_size, "batch_size")
        check_em_options(n_init, 1000, 1e-6, reg_covar, random_seed)
        if first_rows is not None:
            check_count(first_rows, "first_rows")
        self.n_components, self.structure = n_components, get_structure(covariance_type)
        self.covariance_type, self.first_rows, self.n_init = covariance_type, first_rows, n_init
        self.batch_size = batch_size
        self.reg_covar, self.random_seed = reg_covar, random_seed
        self.n_seen_ = 0
        self._names: tuple[str, ...] = ()
        self._first: list[tuple[Array, Array]] = []
        self._first_fit: EMResult | None = None
        self._trace: list[float] = []

    def partial_fit(self, X: Any, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Take a batch of rows into account, and forget it.

        Parameters
        ----------
        X : array_like or frame (n, D)
            Complete rows, the same columns each time.
        y : ignored
        sample_weight : array_like (n,), optional

        Raises
        ------
        InputError
            Rows that cannot be used, or other columns than before.
        """
        frame = as_frame(as_pandas(X))
        names = self._names or tuple(frame.columns)
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise InputError(f"the column {missing[0]!r} is missing: every batch takes the same columns.")
        values = finite_values(frame[list(names)])
        weights, self._names = row_weights(sample_weight, len(values)), names
        for start in range(0, len(values), self.batch_size):
            piece = slice(start, start + self.batch_size)
            self.n_seen_ += len(values[piece])
            if self._first_fit is None:
                self._keep(values[piece], weights[piece])
            else:
                self._step(values[piece], weights[piece])
        return self

    def result(self) -> EMResult:
        """The mixture so far.

        Returns
        -------
        EMResult
            Its log-likelihood and criteria are NaN: rows that were seen once cannot be asked again. The trace has, of
            each batch, the mean log-likelihood of a row before the mixture learnt from it, in nats.

        Warns
        -----
        NotConvergedWarning
            The order of the rows was not random, or a component collapsed.

        Raises
        ------
        InputError
            No rows, or too few for the components.
        """
        found = self._fit_of_first() if self._first_fit is None else self._of_stream(self._first_fit)
        if not found.converged:
            warn(found.message, NotConvergedWarning)
        return found

    def _of_stream(self, first: EMResult) -> EMResult:
        (state, floored), structure = self._average.state(self.structure, self.reg_covar), self.structure
        params = MixtureParams.of_head(state.weights, state.means, state.covariances, structure)
        params = params.permute(np.argsort(-params.weights, kind="stable")).rescale(self._center, self._scale)
        units = self._scale / self._sd
        return EMResult(
            params=params, feature_names=self._names, log_likelihood=math.nan, aic=math.nan, bic=math.nan, icl=math.nan,
            converged=first.converged and not (floored or self._order.strays()), n_iter=len(self._trace),
            log_likelihood_trace=np.array(self._trace) - float(np.log(self._scale).sum()),
            starts=first.starts, n_reached_best=first.n_reached_best, message=self._told(first, floored),
            min_sd_relative=float(smallest_sd(state.covariances * np.outer(units, units)).min()),
        )  # fmt: skip

    def _keep(self, values: Array, weights: Array) -> None:
        """A batch of the first rows; the fit of them once there are enough."""
        self._first.append((values, weights))
        wanted = self.first_rows
        if wanted is None:
            wanted = int(np.clip(100 * self.structure.n_parameters(self.n_components, values.shape[1]), 5000, 50_000))
        if self.n_seen_ >= wanted:
            self._begin()

    def _fit_of_first(self) -> EMResult:
        if not self._first:
            raise InputError("no rows have been seen: call partial_fit with some.")
        rows, weights = (np.concatenate([part[i] for part in self._first]) for i in (0, 1))
        table = prepare_table(
            rows, feature_names=self._names, sample_weight=weights, n_components=self.n_components, resolution=None,
            standardize=False, missing="error",
        )  # fmt: skip
        return fit_em_candidates(
            table, self.n_components, structure=self.structure, n_init=self.n_init, reg_covar=self.reg_covar,
            random_seed=self.random_seed, resolution_known=False, look_further=False,
        )[0]  # fmt: skip

    def _begin(self) -> None:
        self._first_fit = first = self._fit_of_first()
        rows, weights = (np.concatenate([part[i] for part in self._first]) for i in (0, 1))
        self._first.clear()
        self._weight = float(weights.sum())
        self._center = weights @ rows / self._weight
        self._sd = np.sqrt(weights @ (rows - self._center) ** 2 / self._weight)
        self._order = RowOrder(self._center, self._sd, self._weight, float(weights @ weights))
        self._scale = np.full_like(self._sd, np.sqrt(np.mean(self._sd**2))) if self.structure.one_sd else self._sd
        params = first.params.rescale(-self._center / self._scale, 1.0 / self._scale)
        self._state = State(params.head, params.means, params.cholesky, params.scaling)
        self._moments = self._average = self._statistics(rows, weights)
        self._averaged = 0.5 * self._weight**2

    def _statistics(self, values: Array, weights: Array) -> Moments:
        rows = rows_of(as_features(values, self._center, self._scale))
        statistics, log_likelihood = e_step(rows, weights, self._state, self.structure)
        self._trace.append(log_likelihood / float(weights.sum()))
        return moments_of(statistics, float(weights.sum()))

    def _step(self, values: Array, weights: Array) -> None:
        here = float(weights.sum())
        if not here > 0.0:
            return
        self._order.take(values, weights)
        self._weight += here
        step = (here / self._weight) ** _POWER
        self._moments = self._moments.moved(self._statistics(values, weights), step)
        self._state, _ = self._moments.state(self.structure, self.reg_covar)
        # By the weight of all that had been seen: the mixture of the beginning is soon forgotten.
        counts = here * self._weight
        self._averaged += counts
        self._average = self._average.moved(self._moments, counts / self._averaged)

    def _told(self, first: EMResult, floored: bool) -> str:
        said = f"One pass over {self.n_seen_:,} observations, {self._order.n_batches:,} steps of mini-batch EM after a "
        said += f"search of the first ones by EM; {SEEN_ONCE}"
        if self._order.strays():
            column = self._names[self._order.worst]
            said += f" Not converged: the order of the rows is not random (column {column!r}): shuffle them."
        if not first.converged:
            said += f" Of the first ones: {first.message}"
        if floored:
            said += " Not converged: a variance fell to the smallest that is allowed (`reg_covar`)."
        return said
