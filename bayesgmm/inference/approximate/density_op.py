"""The log posterior of one flat decoupled vector as a PyTensor operation on the compiled density.

`LogPosterior` returns value and gradient from one pass over the rows, so a graph with one flat variable and this one
node compiles in seconds whatever N, D and K. `MinibatchLogPosterior` makes the pass over a few rows and weighs them by
N / B: an unbiased estimate, noisy in value and gradient. Both run inside compiled numba graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.variable import TensorVariable

from bayesgmm.kernels.compiled import compiled, source_version
from bayesgmm.kernels.rows import rows_of
from bayesgmm.model.density.decoupled import log_posterior_decoupled
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.layout import D, N, with_rows

__all__ = ["LogPosterior", "MinibatchLogPosterior", "log_posterior_node"]

# PyTensor caches compiled graphs under this number: they are compiled anew when the kernels change.
_VERSION = source_version("kernels", "model/density", "inference/approximate")


@compiled
def _value_and_gradient(u, ints, floats):
    gradient = np.empty(u.shape[0])
    value = log_posterior_decoupled(u.copy(), gradient, ints, floats)  # a copy is contiguous: one specialisation
    return np.asarray(value), gradient


@compiled
def _minibatch_value_and_gradient(u, rows, ints, floats):
    """The same for a problem that holds `rows` only, each weighing N / B times as much."""
    n, d, n_batch = ints[N], ints[D], rows.shape[0]
    batch = np.empty(n_batch * (d + 1) + floats.shape[0] - n * (d + 1))
    for b in range(n_batch):
        row = rows[b]
        for j in range(d):
            batch[j * n_batch + b] = floats[j * n + row]
        batch[d * n_batch + b] = floats[d * n + row] * n / n_batch
    batch[n_batch * (d + 1) :] = floats[n * (d + 1) :]
    header = with_rows(ints, rows_of(batch[: n_batch * d].reshape(d, n_batch)))
    gradient = np.empty(u.shape[0])
    value = log_posterior_decoupled(u.copy(), gradient, header, batch)
    return np.asarray(value), gradient


class _DensityOp(Op):
    """The vector comes first among the inputs; outputs are the value and its gradient by the vector."""

    __props__ = ()

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [(), shapes[0]]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        reason = "only the value is differentiable, by the vector"
        refused = [grad_not_implemented(self, i, inputs[i], reason) for i in range(len(inputs))]
        if not isinstance(cotangents[1].type, DisconnectedType):
            return refused
        return [cotangents[0] * outputs[1], *refused[1:]]


class LogPosterior(_DensityOp):
    """Inputs: decoupled vector (n,), packed problem `Density.ints` and `Density.floats`."""

    def make_node(self, u: Any, ints: Any, floats: Any) -> Apply:
        inputs = [pt.as_tensor(u, dtype="float64"), pt.as_tensor(ints), pt.as_tensor(floats)]
        return Apply(self, inputs, [pt.dscalar(), inputs[0].type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        output_storage[0][0], output_storage[1][0] = _value_and_gradient(*inputs)


class MinibatchLogPosterior(_DensityOp):
    """Inputs: decoupled vector (n,), row numbers (B,), packed problem `Density.ints` and `Density.floats`."""

    def make_node(self, u: Any, rows: Any, ints: Any, floats: Any) -> Apply:
        inputs = [pt.as_tensor(u, dtype="float64"), *(pt.as_tensor(x) for x in (rows, ints, floats))]
        return Apply(self, inputs, [pt.dscalar(), inputs[0].type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        output_storage[0][0], output_storage[1][0] = _minibatch_value_and_gradient(*inputs)


@register_funcify_default_op_cache_key(LogPosterior)
def _funcify(op: LogPosterior, node: Apply | None = None, **kwargs: Any) -> tuple[Any, int]:
    @numba_njit
    def value_and_gradient(u, ints, floats):
        return _value_and_gradient(u, ints, floats)

    return value_and_gradient, _VERSION


@register_funcify_default_op_cache_key(MinibatchLogPosterior)
def _funcify_minibatch(op: MinibatchLogPosterior, node: Apply | None = None, **kwargs: Any) -> tuple[Any, int]:
    @numba_njit
    def value_and_gradient(u, rows, ints, floats):
        return _minibatch_value_and_gradient(u, rows, ints, floats)

    return value_and_gradient, _VERSION


def log_posterior_node(density: Density, u: Any, rows: Any = None) -> TensorVariable:
    """Log posterior density of a decoupled vector (n_dim,), Jacobian included, as a node of a PyTensor graph.

    Parameters
    ----------
    density : Density
        The problem; its arrays are shared with the graph, not built into it.
    u : tensor (n_dim,)
    rows : integer tensor (B,), optional
        Rows of a mini-batch; the value is then an estimate.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesgmm as bg
    >>> from bayesgmm.model.density.density import Density
    >>> from bayesgmm.inference.approximate.density_op import log_posterior_node
    >>> from bayesgmm.model.problem import Problem
    >>> from bayesgmm.model.structure import get_structure
    >>> table = bg.prepare_table([[0.0], [1.0], [2.0], [4.0]])
    >>> reference = bg.MixtureParams(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    >>> problem = Problem(table, get_structure("full"), bg.MixturePrior().resolve(table))
    >>> density = Density.build(problem, reference)
    >>> value = float(log_posterior_node(density, np.zeros(2)).eval(mode="FAST_COMPILE"))
    >>> value == density.value_and_gradient(np.zeros(2))[0]  # the reference is the origin
    True
    """
    packed = (pytensor.shared(density.ints, borrow=True), pytensor.shared(density.floats, borrow=True))
    node = LogPosterior().make_node(u, *packed) if rows is None else MinibatchLogPosterior().make_node(u, rows, *packed)
    return cast(TensorVariable, node.outputs[0])
