"""The mixture likelihood as a PyTensor operation on the compiled kernel.

`MixtureLogDensity` returns the log density of every row and, from the same pass over the rows, the gradient
of their sum. For a cotangent g (N,) the chain rule asks for sum_n g_n d log p_n, and

    d log p_n / d log weight_k = r_nk                                  of the background too
    d log p_n / d mean_k       = S_k' (r_nk u_nk y_nk)                 S_k = inverse of Cholesky factor L_k
    d log p_n / d L_k          = lower triangle of S_k' (r_nk (u_nk y_nk y_nk' - I))

with responsibilities r, whitened residuals y = S (x - mean), and u = 1 or, of t components, the expectation of the
precision (`kernels.row_model`; `df_slope` by degrees of freedom), so it is the same pass with row weights g.
`MixturePullback` makes that pass only when g is not constant; for a sum over rows (g = 1) one pass gives
value and gradient. Both operations run inside compiled numba graphs without returning to Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.variable import TensorVariable

from bayesgmm.kernels.compiled import compiled, source_version
from bayesgmm.kernels.row_model import NORMAL, RowModel, df_slope, log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.triangular import invert_lower

__all__ = ["MixtureLogDensity", "MixturePullback", "mixture_log_density"]

# PyTensor caches compiled graphs under this number: they are compiled anew when the kernels change.
_VERSION = source_version("kernels", "model/pymc_face")


@compiled
def _density_and_gradient(rows, row_weights, log_head, means, cholesky, row_model):
    """Weighted log density of each row, and the gradient of their sum by the logarithm of the head, means and
    factors."""
    n_rows, d = rows.shape
    n_components, n_head = means.shape[0], log_head.shape[0]
    classes = n_classes(row_model, n_components)
    n_df = n_head - classes
    features = np.empty((d, n_rows))
    for b in range(n_rows):
        for j in range(d):
            features[j, b] = rows[b, j]
    scaling = np.empty((n_components, d, d))
    log_norm, counts = np.empty(n_head), np.empty(classes + (2 * n_components if n_df > 0 else 0))
    sums, outers = np.empty((n_components, d)), np.empty((n_components, d, d))
    density = np.empty(n_rows)
    # Copies are contiguous whatever layout the graph hands over: one specialisation of the kernel.
    invert_lower(cholesky.copy(), scaling)
    log_normalizers(log_head.copy(), scaling, row_model, log_norm)
    mixture_pass(rows_of(features), row_weights.copy(), log_norm, means.copy(), scaling, row_model,
                 counts, sums, outers, density, np.empty((0, 0)))  # fmt: skip
    for b in range(n_rows):
        density[b] *= row_weights[b]
    grad_head = np.empty(n_head)
    for i in range(classes):
        grad_head[i] = counts[i]
    for i in range(n_df):
        df = log_norm[classes + i]
        grad_head[classes + i] = df * df_slope(df, i, n_df, counts, classes)
    grad_means, grad_cholesky = np.zeros((n_components, d)), np.zeros((n_components, d, d))
    for k in range(n_components):
        for i in range(d):
            outers[k, i, i] -= counts[k]
        for j in range(d):
            for i in range(j, d):
                grad_means[k, j] += scaling[k, i, j] * sums[k, i]
                for m in range(i, d):
                    grad_cholesky[k, i, j] += scaling[k, m, i] * outers[k, m, j]
    return density, grad_head, grad_means, grad_cholesky


@compiled
def _pull_back(cotangent, grad_head, grad_means, grad_cholesky,
               rows, row_weights, log_head, means, cholesky, row_model):  # fmt: skip
    """Gradient of sum cotangent * log density, from the saved one when the cotangent is constant."""
    first = cotangent[0]
    for b in range(len(cotangent)):
        if cotangent[b] != first:
            weights = cotangent * row_weights
            _, h, m, f = _density_and_gradient(rows, weights, log_head, means, cholesky, row_model)
            return h, m, f
    return first * grad_head, first * grad_means, first * grad_cholesky


class _OfRows(Op):
    """An operation with a row model, told apart from others by what of it can be hashed.

    Parameters
    ----------
    row_model : RowModel
        The density of a row given its component.
    """

    __props__ = ("diagonal", "background")

    def __init__(self, row_model: RowModel) -> None:
        self.diagonal = bool(row_model.diagonal)
        self.background = tuple(row_model.background.tolist())

    @property
    def row_model(self) -> RowModel:
        return RowModel(self.diagonal, np.array(self.background))


class MixtureLogDensity(_OfRows):
    """Row-weighted log density of each row under a mixture.

    Inputs: rows (N, D), row weights (N,), the logarithm of a head (H,), means (K, D), lower Cholesky factors
    (K, D, D). Outputs: log densities (N,), each times its row weight, and the gradient of their sum by the logarithm of
    the head, means and factors, kept for the pullback.
    """

    gufunc_signature = "(n,d),(n),(h),(k,d),(k,d,d)->(n),(h),(k,d),(k,d,d)"

    def make_node(self, *inputs: Any) -> Apply:
        variables = [pt.as_tensor(value, dtype="float64") for value in inputs]
        if [v.type.ndim for v in variables] != [2, 1, 1, 2, 3]:
            raise TypeError("inputs have shapes (N, D), (N,), (H,), (K, D), (K, D, D)")
        density = pt.tensor(dtype="float64", shape=(variables[0].type.shape[0],))
        return Apply(self, variables, [density, *(variable.type() for variable in variables[2:])])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [(shapes[0][0],), shapes[2], shapes[3], shapes[4]]

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        values = _density_and_gradient(*inputs, self.row_model)
        for storage, value in zip(output_storage, values, strict=True):
            storage[0] = value

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        reason = "only the density is differentiable, by the head, means and Cholesky factors"
        refused = [grad_not_implemented(self, i, inputs[i], reason) for i in range(len(inputs))]
        if not all(isinstance(g.type, DisconnectedType) for g in cotangents[1:]):
            return refused
        pullback = MixturePullback(self.row_model).make_node(cotangents[0], *outputs[1:], *inputs)
        return [*refused[:2], *pullback.outputs]


class MixturePullback(_OfRows):
    """Gradient of sum_n g_n log p_n, for any g (N,), by the logarithm of the head, means and Cholesky factors.

    Inputs: g (N,), then the three gradients and the five inputs of `MixtureLogDensity`.
    """

    gufunc_signature = "(n),(h),(k,d),(k,d,d),(n,d),(n),(h),(k,d),(k,d,d)->(h),(k,d),(k,d,d)"

    def make_node(self, *inputs: Any) -> Apply:
        variables = [pt.as_tensor(value, dtype="float64") for value in inputs]
        return Apply(self, variables, [variable.type() for variable in variables[1:4]])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return list(shapes[1:4])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        values = _pull_back(*inputs, self.row_model)
        for storage, value in zip(output_storage, values, strict=True):
            storage[0] = value


@register_funcify_default_op_cache_key(MixtureLogDensity)
def _funcify_density(op: MixtureLogDensity, node: Apply | None = None, **kwargs: Any) -> tuple[Any, int]:
    diagonal, background = op.row_model

    @numba_njit
    def log_density(rows, row_weights, log_head, means, cholesky):
        row_model = RowModel(diagonal, background.copy())  # a constant cannot be written to: it is a type of its own
        return _density_and_gradient(rows, row_weights, log_head, means, cholesky, row_model)

    return log_density, _VERSION


@register_funcify_default_op_cache_key(MixturePullback)
def _funcify_pullback(op: MixturePullback, node: Apply | None = None, **kwargs: Any) -> tuple[Any, int]:
    diagonal, background = op.row_model

    @numba_njit
    def pull_back(g, grad_head, grad_means, grad_cholesky, rows, row_weights, log_head, means, cholesky):
        row_model = RowModel(diagonal, background.copy())
        return _pull_back(g, grad_head, grad_means, grad_cholesky,
                          rows, row_weights, log_head, means, cholesky, row_model)  # fmt: skip

    return pull_back, _VERSION


def mixture_log_density(
    rows: Any, weights: Any, means: Any, cholesky: Any, *, row_weights: Any = None, row_model: RowModel = NORMAL
) -> TensorVariable:
    """Log density (N,) of each row under a mixture, as a node of a PyTensor graph.

    Parameters
    ----------
    rows : tensor (N, D)
    weights, means, cholesky : tensors (H,), (K, D), (K, D, D)
        Head (see `kernels.row_model`; of normal components without a background the mixture weights), means and lower
        Cholesky factors of the covariances.
    row_weights : tensor (N,), optional
        Multiplies the log density of each row.
    row_model : RowModel
        The density of a row given its component.

    Returns
    -------
    TensorVariable
        Differentiable by head, means and Cholesky factors.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.model.pymc_face.likelihood_op import mixture_log_density
    >>> row = np.zeros((1, 1))
    >>> mixture_log_density(row, np.ones(1), means=row, cholesky=np.ones((1, 1, 1))).eval().round(4)
    array([-0.9189])
    """
    rows = pt.as_tensor(rows)
    row_weights = pt.ones(rows.shape[0]) if row_weights is None else row_weights
    node = MixtureLogDensity(row_model).make_node(rows, row_weights, pt.log(weights), means, cholesky)
    return cast(TensorVariable, node.outputs[0])
