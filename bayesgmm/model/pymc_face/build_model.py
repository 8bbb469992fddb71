"""The posterior as a PyMC model: named variables that a user can read, change, extend and sample.

It is the density of `model.density.density`, stated in PyMC's natural parameters; tests hold the two equal.
The likelihood is one operation on the compiled kernel (`model.pymc_face.likelihood_op`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import ArrayLike, NDArray
from pymc.distributions.transforms import CholeskyCorrTransform
from pytensor.tensor.variable import TensorVariable

from bayesgmm.arguments import check_choice, check_count, check_flag, check_instance
from bayesgmm.data.checks import check_enough_rows
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.errors import InputError
from bayesgmm.model.background import Box, structure_for, table_box
from bayesgmm.model.density.coordinates import LEAST_DF
from bayesgmm.model.prior import MixturePrior, ResolvedPrior
from bayesgmm.model.pymc_face.likelihood_op import mixture_log_density
from bayesgmm.model.scale_families import Exponential, HalfCauchy, HalfNormal, InverseGamma, LogNormal, ScaleFamily
from bayesgmm.model.structure import COMPONENTS, Structure, get_structure

__all__ = ["build_model", "model_from_numbers"]

_FAMILIES: dict[type[ScaleFamily], Callable[..., TensorVariable]] = {
    HalfNormal: lambda name, a, b, **dims: pm.HalfNormal(name, sigma=a, **dims),
    HalfCauchy: lambda name, a, b, **dims: pm.HalfCauchy(name, beta=a, **dims),
    Exponential: lambda name, a, b, **dims: pm.Exponential(name, lam=a, **dims),
    LogNormal: lambda name, a, b, **dims: pm.LogNormal(name, mu=a, sigma=b, **dims),
    InverseGamma: lambda name, a, b, **dims: pm.InverseGamma(name, alpha=a, beta=b, **dims),
}


class _CorrelationTransform(CholeskyCorrTransform):
    """PyMC's own; an underscore in its name keeps PyMC 6.4 from finding the variable behind the transform."""

    name = "choleskycorr"


def build_model(
    X: Any,
    n_components: int,
    *,
    covariance_type: str = "full",
    component: str = "normal",
    noise: bool = False,
    prior: MixturePrior | None = None,
    standardize: bool = True,
    sample_weight: ArrayLike | None = None,
) -> pm.Model:
    """A Bayesian Gaussian mixture as a `pymc.Model`.

    Everything in the model is on its own scale: standardised columns, or original units with
    ``standardize=False``. Components carry no order, so chains may label them differently.

    Parameters
    ----------
    X : array (N, D), DataFrame or Table
        The data. A `Table` brings its own scaling and row weights.
    n_components : int
        Number of components K.
    covariance_type : str
        ``"full"``, ``"tied"``, ``"diag"``, ``"spherical"`` or ``"EEI"``.
    component : {"normal", "t", "t_each"}
        Density of a component; "t" has degrees of freedom that all of them share, "t_each" has one number each.
    noise : bool
        Whether rows may belong to no component but to noise, uniform over the box of the data.
    prior : MixturePrior, optional
        None takes the data-scaled defaults.
    standardize : bool
        Model columns of mean 0 and standard deviation 1.
    sample_weight : array (N,), optional
        Each row's log density is multiplied by its weight, in the likelihood and in the pointwise
        log-likelihood alike.

    Returns
    -------
    pymc.Model
        Variables, with dims: ``weights`` (component), ``means`` (component, feature), ``sds`` (component,
        feature; tied: feature; spherical: component), ``correlation_cholesky`` (lower Cholesky factor of
        the correlation matrix; full and tied with D > 1), ``covariances`` (component, feature,
        feature_bis) and the observed ``obs`` (obs_id, feature). Where a column was recorded in steps the
        prior's family is that of ``sds_true``, the sd before rounding, the correlations are those before rounding
        and ``covariances`` include its variance; an inverse-gamma family is that of ``variances`` or
        ``variances_true``. With noise, ``weights`` are ``1 - noise_weight`` times ``shares`` (component), which are
        the Dirichlet's. Of t components ``df`` are the degrees of freedom (t_each: component), and ``covariances``
        their scale matrices.

    Raises
    ------
    InputError
        For data, a structure or a prior that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.model.pymc_face.build_model import build_model
    >>> rows = np.random.default_rng(1).normal(size=(20, 2))
    >>> [v.name for v in build_model(rows, 2).free_RVs]
    ['weights', 'means', 'sds', 'correlation_cholesky']
    """
    check_choice(component, "component", COMPONENTS)
    check_flag(noise, "noise")
    structure = get_structure(covariance_type)
    check_count(n_components, "n_components")
    check_flag(standardize, "standardize")
    if prior is not None:
        check_instance(prior, "prior", MixturePrior, "None or a bayesgmm.MixturePrior")
    if not isinstance(X, Table):
        table = prepare_table(X, standardize=standardize, sample_weight=sample_weight)
    elif sample_weight is None:
        table = X
    else:
        raise InputError("sample_weight is already part of a Table; give it to prepare_table instead.")
    check_enough_rows(table.used_rows, n_components)
    numbers = (MixturePrior() if prior is None else prior).resolve(table)
    return model_from_numbers(table, structure_for(table, structure, component, noise), numbers, n_components)


def model_from_numbers(table: Table, structure: Structure, numbers: ResolvedPrior, n_components: int) -> pm.Model:
    """`build_model` for a table, a structure and a resolved prior."""
    if table.known is not None:
        raise InputError(
            "The PyMC model takes no known labels: fit such a table with BayesianGMM(K).fit(X, y), sampler='nutpie'."
        )
    k, d = n_components, table.n_features
    coords = {
        "component": range(k),
        "feature": table.feature_names,
        "feature_bis": table.feature_names,
        "obs_id": table.row_names.to_numpy(),
    }
    with pm.Model(coords=coords) as model:
        head = _head(structure, numbers, k)
        means = pm.Normal("means", numbers.mean_loc, numbers.mean_scale, dims=("component", "feature"))
        cholesky = _cholesky(structure, numbers, k, d)
        pm.Deterministic("covariances", cholesky @ cholesky.mT, dims=("component", "feature", "feature_bis"))

        values = table.standardized
        gaps = np.isnan(values)  # PyMC would take NaN among the observed for variables of its own

        def log_density(rows: TensorVariable, h: Any, m: Any, c: Any) -> TensorVariable:
            rows = pt.switch(gaps, np.nan, rows) if gaps.any() else rows
            return mixture_log_density(rows, h, m, c, row_weights=table.weights, row_model=structure.row_model)

        pm.CustomDist(
            "obs", head, means, cholesky, logp=log_density, class_name="GaussianMixture",
            dist=partial(_draw, k=k, structure=structure, box=table_box(table) if structure.has_background else None),
            signature="(h),(k,d),(k,d,d)->(d)", observed=np.where(gaps, 0.0, values), dims=("obs_id", "feature"),
        )  # fmt: skip
    return model


def _head(structure: Structure, prior: ResolvedPrior, k: int) -> TensorVariable:
    """(H,) head of the mixture, see `kernels.row_model`, from weights, the noise's weight and degrees of freedom."""
    (a, b), (shape, rate) = np.array(prior.noise), np.array(prior.df)  # of Python's floats PyTensor makes single ones
    parts = [_shares("shares" if structure.has_background else "weights", k, prior)]
    if structure.has_background:
        noise = pm.Beta("noise_weight", a, b)
        parts = [pm.Deterministic("weights", (1.0 - noise) * parts[0], dims="component"), noise[None]]
    if structure.component != "normal":
        dims = ("component",) if structure.component == "t_each" else ()
        df = pm.Truncated("df", pm.Gamma.dist(shape, rate), lower=LEAST_DF, dims=dims)
        parts.append(pt.atleast_1d(df))
    return pt.concatenate(parts) if len(parts) > 1 else parts[0]


def _shares(name: str, k: int, prior: ResolvedPrior) -> TensorVariable:
    if k == 1:  # a Dirichlet on one weight has no free dimension to sample
        return pm.Deterministic(name, pt.ones(1), dims="component")
    return pm.Dirichlet(name, np.full(k, prior.concentration), dims="component")


def _cholesky(structure: Structure, prior: ResolvedPrior, k: int, d: int) -> TensorVariable:
    """(K, D, D) lower Cholesky factors of the covariances, from sds and correlations before rounding."""
    floor = prior.rounding(structure)
    sds = _standard_deviations(structure, prior, floor)
    if "feature" not in structure.sd_dims:
        sds = sds[..., None]
    scale = pt.broadcast_to(sds, (k, d))[..., None]
    dims = structure.correlation_dims
    if not dims or d == 1:
        return pt.sqrt(scale**2 + floor[:, None]) * np.eye(d) if floor.any() else scale * np.eye(d)
    shape = (k, d, d)[-len(dims) :]
    # LKJCorr draws in a scan, which takes a fixed shape but not the lengths of dims.
    correlation = pm.LKJCorr(
        "correlation_cholesky", n=d, eta=prior.lkj_eta, shape=shape, dims=dims,
        default_transform=_CorrelationTransform(n=d),
    )  # fmt: skip
    latent = scale * correlation
    return pt.linalg.cholesky(latent @ latent.mT + np.diag(floor)) if floor.any() else latent


def _standard_deviations(structure: Structure, prior: ResolvedPrior, floor: NDArray[np.float64]) -> TensorVariable:
    """The component sds before rounding; with rounding, `sds` holds those after it."""
    a, b = prior.cells(structure)
    step: Any = floor
    dims = structure.sd_dims
    if "feature" not in dims:
        a, b, step = a[0], b[0], floor[0]
    on_variance = prior.family.on_variance
    name = ("variances" if on_variance else "sds") + ("_true" if floor.any() else "")
    free = _FAMILIES[type(prior.family)](name, a, b, dims=dims)
    if name == "sds":
        return free
    if not floor.any():
        return pm.Deterministic("sds", pt.sqrt(free), dims=dims)
    pm.Deterministic("sds", pt.sqrt((free if on_variance else free**2) + step), dims=dims)
    return pt.sqrt(free) if on_variance else free


def _draw(
    head: Any, means: Any, cholesky: Any, size: Any, *, k: int, structure: Structure, box: Box | None
) -> TensorVariable:
    """Rows drawn from the mixture, for predictive sampling."""
    classes = structure.n_classes(k)
    drawn = pm.Categorical.dist(head[:classes], size=size)
    component = pt.minimum(drawn, k - 1)
    z = pm.Normal.dist(size=(*component.shape, means.shape[-1]))
    if structure.component != "normal":
        half = 0.5 * pt.broadcast_to(head[classes:], (k,))[component]
        z = z / pt.sqrt(pm.Gamma.dist(half, half))[..., None]
    rows = means[component] + (cholesky[component] @ z[..., None])[..., 0]
    if box is None:
        return rows
    uniform = pm.Uniform.dist(box.low, box.high, size=z.shape) @ box.axes.T
    return pt.switch(pt.eq(drawn, k)[..., None], uniform, rows)
