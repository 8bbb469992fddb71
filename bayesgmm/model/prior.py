"""The prior of a mixture: a frozen record, and its numbers for one data set.

weights ~ Dirichlet(concentration); means_kj ~ Normal(mean_loc_j, mean_scale_j); sd_kj ~ a scale family;
correlations ~ LKJ(lkj_eta). With a recording step delta_j the component's variance is s_kj^2 + delta_j^2 / 12
(rounding adds that variance): the family and the LKJ are the prior of the covariance S_k before rounding, and

    covariance_k = S_k + diag(delta^2 / 12).

So no component can shrink, in any direction, onto rows that rounding has put on one value, line or plane: the
likelihood is bounded. (A floor for the sds alone would not do: rows on a line x1 = x2 let the correlation run to
one.) Defaults follow Richardson and Green
(1997): means over the range of each column; lognormal sds, which unlike half-normal ones vanish at zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, gammaincc, gammaln

from bayesgmm.arguments import as_numbers, check_choice, check_instance, check_number, shown
from bayesgmm.data.checks import mean_and_sd
from bayesgmm.data.resolution import column_resolution
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.model.scale_families import LogNormal, ScaleFamily, frozen_value, per_column, stated
from bayesgmm.model.structure import Structure
from bayesgmm.record import Record

__all__ = ["MixturePrior", "ResolvedPrior", "log_probability_empty"]

Array = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class MixturePrior(Record):
    """Prior of a Gaussian mixture, stated on the model's scale.

    The model's scale is standardised columns, or original units with ``standardize=False``.

    Parameters
    ----------
    mean_loc : float, array (D,) or None
        Centre of the means; None is the mid-range of each column.
    mean_scale : float, array (D,) or None
        Standard deviation of the means; None is the range of each column.
    sd : ScaleFamily
        Family of the component standard deviations, ``bayesgmm.priors``; None is
        ``LogNormal(log 0.5, 0.7)`` times the sd of the column.
    lkj_eta : float
        LKJ shape of the correlations, above 0; 1 is uniform, 2 prefers weak correlations.
    concentration : float
        Symmetric Dirichlet parameter of the weights.
    df : (float, float)
        Shape and rate of the gamma prior of the degrees of freedom of t components, truncated below at 2, where
        covariances exist (Juárez and Steel 2010).
    noise : (float, float)
        Beta prior of the share of rows of the noise component; the Dirichlet is that of what it leaves.
    resolution : None, "auto", float, array (D,) or mapping
        Recording step of each column on the model's scale; "auto" detects it, None leaves rounding out. A mapping from
        names of columns states steps in the units of the table; those of the other columns are detected.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> bg.MixturePrior(mean_loc=0.0, mean_scale=2.0, sd=bg.priors.HalfNormal(1.0)).lkj_eta
    2.0
    """

    mean_loc: ArrayLike | None = None
    mean_scale: ArrayLike | None = None
    sd: ScaleFamily | None = None
    lkj_eta: float = 2.0
    concentration: float = 1.0
    df: tuple[float, float] = (2.0, 0.1)
    noise: tuple[float, float] = (1.0, 19.0)
    resolution: ArrayLike | Mapping[str, float] | str | None = "auto"

    def __post_init__(self) -> None:
        bounds: dict[str, Any] = {"mean_loc": {}, "mean_scale": {"positive": True}, "resolution": {"least": 0.0}}
        for name, bound in bounds.items():
            value = getattr(self, name)
            if name == "resolution" and isinstance(value, str):
                check_choice(value, "prior resolution", ("auto",))
            elif name == "resolution" and isinstance(value, Mapping):
                for column, step in value.items():
                    check_instance(column, "a column of prior resolution", str, "the name of a column")
                    check_number(step, f"prior resolution of {column!r}", "be a finite step, 0 for none", least=0.0)
                object.__setattr__(self, name, dict(value))
            elif value is not None:
                object.__setattr__(self, name, frozen_value(value, name, **bound))
        for name in ("lkj_eta", "concentration"):
            check_number(getattr(self, name), f"prior {name}", "be one positive number", above=0.0)
        for name, what in (("df", "shape and rate of a gamma"), ("noise", "parameters of a beta")):
            pair = as_numbers(getattr(self, name), f"prior {name}", f"be two positive numbers, {what}")
            if pair.shape != (2,) or not (np.isfinite(pair).all() and (pair > 0.0).all()):
                raise InputError(f"prior {name}={shown(getattr(self, name))} must be two positive numbers, {what}.")
            object.__setattr__(self, name, (float(pair[0]), float(pair[1])))
        if self.sd is not None:
            check_instance(
                self.sd, "prior sd", ScaleFamily, "a family of bayesgmm.priors, such as priors.HalfNormal(1.0)"
            )

    def __repr__(self) -> str:
        """What is not the default, to the last digit: a checkpoint knows its prior by it."""
        stated = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"MixturePrior({', '.join(stated)})"

    @property
    def stated_steps(self) -> Mapping[str, float] | str:
        """Steps for `prepare_table`: those stated in the units of the table, or "auto"."""
        return self.resolution if isinstance(self.resolution, Mapping) else "auto"

    def resolve(self, table: Table) -> ResolvedPrior:
        """The prior's numbers for this table, on the model's scale."""
        check_instance(table, "table", Table, "a Table, from prepare_table")
        d = table.n_features
        z, weights, used = table.standardized, table.weights, table.weights > 0
        if not used.all():
            z, weights = z[used], weights[used]
        low, high = np.nanmin(z, axis=0), np.nanmax(z, axis=0)
        loc = 0.5 * (low + high) if self.mean_loc is None else per_column(self.mean_loc, d, "mean_loc")
        scale = high - low if self.mean_scale is None else per_column(self.mean_scale, d, "mean_scale")
        family = self.sd
        if family is None:
            family = LogNormal(np.log(0.5 * mean_and_sd(z, weights)[1]), 0.7)
        if self.resolution is None:
            step = np.zeros(d)
        elif isinstance(self.resolution, Mapping):
            stated = column_resolution(self.resolution, table.used_rows, weights, table.feature_names)
            step = stated / table.scale
        elif isinstance(self.resolution, str):
            step = table.resolution / table.scale
        else:
            step = per_column(self.resolution, d, "resolution")
        return ResolvedPrior(
            feature_names=table.feature_names, center=table.center, scale=table.scale,
            mean_loc=loc, mean_scale=scale, family=family, sd_parameters=family.columns(d),
            lkj_eta=float(self.lkj_eta), concentration=float(self.concentration), df=self.df, noise=self.noise,
            step=step, from_data=self.mean_loc is None and self.mean_scale is None,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class ResolvedPrior(Record):
    """The numbers of a prior for one table; arrays (D,) on the model's scale."""

    feature_names: tuple[str, ...]
    center: Array
    scale: Array
    mean_loc: Array
    mean_scale: Array
    family: ScaleFamily
    sd_parameters: Array  # (2, D)
    lkj_eta: float
    concentration: float
    df: tuple[float, float]
    noise: tuple[float, float]
    step: Array
    from_data: bool = False  # the means' centre and scale are the middle and the range of the columns

    def log_head_constant(self, structure: Structure, n_components: int) -> float:
        """Log of what normalises the prior of weights, the share of noise and degrees of freedom above 2."""
        k, (shape, rate), (a, b) = n_components, self.df, self.noise
        value = gammaln(k * self.concentration) - k * gammaln(self.concentration)
        if structure.has_background:
            value -= betaln(a, b)
        above = gammaincc(shape, 2.0 * rate)
        return float(value + structure.n_df(k) * (shape * math.log(rate) - gammaln(shape) - math.log(above)))

    @property
    def floor(self) -> Array:
        """(D,) variance that rounding adds, step^2 / 12."""
        return self.step**2 / 12.0

    def rounding(self, structure: Structure) -> Array:
        """(D,) variance that rounding adds to each column; one average where all columns share an sd."""
        d = len(self.floor)
        return self.floor if structure.n_standard_deviations(d) == d else np.full(d, self.floor.mean())

    def cells(self, structure: Structure) -> Array:
        """Hyperparameters (2, n_sd) of the structure's distinct sds."""
        d = len(self.floor)
        n_sd = structure.n_standard_deviations(d)
        if n_sd == d:
            return self.sd_parameters
        # One sd for all columns: columns must agree, so their average (geometric for scales) is taken.
        family = self.family
        names = list(family.hyperparameters())
        averaged = np.array([
            row.mean() if name in ("mu", "sigma", "a") else np.exp(np.log(row).mean())
            for name, row in zip(names, self.sd_parameters, strict=False)
        ])  # fmt: skip
        out = np.zeros((2, 1))
        out[: len(averaged), 0] = averaged
        return out

    def rounded_columns(self) -> list[str]:
        """Names of the columns whose recording step enters the prior."""
        return [name for name, step in zip(self.feature_names, self.step, strict=True) if step > 0]

    def lines(self, structure: Structure) -> list[str]:
        """The prior of a mixture of this structure in words: `str` and what else it has, noise and tails."""
        (shape, rate), (a, b) = self.df, self.noise
        about = "one for all components" if structure.component == "t" else "of each component"
        noise = (
            f"mixing proportion of noise ~ Beta({a:g}, {b:g}), mean {a / (a + b):.2g}; the components share the rest"
        )
        tails = f"degrees of freedom, {about}, ~ Gamma({shape:g}, rate {rate:g}) above 2, where covariances exist"
        more = [noise] * structure.has_background + [tails] * (structure.component != "normal")
        weights, *others = str(self).splitlines()
        return [weights, *more, *others]

    def __str__(self) -> str:
        lines = [
            f"mixing proportions ~ Dirichlet({self.concentration:g}, ..., {self.concentration:g})",
            f"correlations ~ LKJ(eta={self.lkj_eta:g})",
        ]
        for j, name in enumerate(self.feature_names):
            mean = self.center[j] + self.scale[j] * self.mean_loc[j]
            spread = self.scale[j] * self.mean_scale[j]
            default = ": the middle and the range of the data" if self.from_data else ""
            lines.append(f"{name}: component mean ~ Normal({mean:.4g}, SD {spread:.4g}){default}")
            lines.append(f"{name}: component {stated(self.family, self.sd_parameters[:, j], self.scale[j])}")
            if self.step[j] > 0:
                lines.append(
                    f"{name}: apparent measurement resolution {self.scale[j] * self.step[j]:.4g}; "
                    f"no component sd can fall below {self.scale[j] * self.step[j] / math.sqrt(12):.4g}"
                )
        return "\n".join(lines)


def log_probability_empty(n_rows: float, n_components: int, n_empty: int, concentration: float) -> float:
    """Log prior probability that `n_empty` named components of K receive none of n rows."""
    k, m, e = n_components, n_empty, concentration
    return float(gammaln(k * e) + gammaln(n_rows + (k - m) * e) - gammaln((k - m) * e) - gammaln(n_rows + k * e))
