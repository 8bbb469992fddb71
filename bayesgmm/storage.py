"""One file for a fit: the DataTree as netCDF, with the EM result, the options and the prior beside it."""

from __future__ import annotations

import dataclasses
import io
import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bayesgmm import priors
from bayesgmm.data.files import write_whole
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import MixturePrior
from bayesgmm.posterior.build import FORMAT_VERSION

if TYPE_CHECKING:
    import xarray

    from bayesgmm.em.result import EMResult

__all__ = ["Saved", "read_fit", "write_fit"]

_GROUP = "bayesgmm_em"
_OPTIONS = "bayesgmm_options"


class Saved(NamedTuple):
    """What is kept of a fit: enough to make it again without sampling."""

    tree: xarray.DataTree  # ``posterior_``
    em: EMResult
    table: Table
    options: dict[str, Any]  # of `BayesianGMM`


def write_fit(saved: Saved, path: str | PathLike[str]) -> None:
    """Write a fit to one netCDF file; an existing file is replaced only by a complete one."""
    import xarray as xr

    em, options = saved.em, saved.options
    arrays = {
        "weights": ("k", em.params.weights), "means": (("k", "d"), em.params.means),
        "covariances": (("k", "d", "e"), em.params.covariances),
        "log_likelihood_trace": ("iteration", em.log_likelihood_trace),
    }  # fmt: skip
    scalars = {
        f.name: getattr(em, f.name)
        for f in dataclasses.fields(em)
        if f.name not in ("params", "starts", "log_likelihood_trace")
    }
    tree = saved.tree.copy()
    tree[_GROUP] = xr.DataTree(xr.Dataset(arrays, attrs={"em": json.dumps(scalars, default=_plain)}))
    tree[_GROUP].attrs["starts"] = em.starts.to_json(orient="split")
    tree.attrs[_OPTIONS] = json.dumps(options | {"prior": _encode_prior(options["prior"])}, default=_plain)
    tree.attrs["row_names_text"] = int(saved.table.row_names.dtype.kind not in "iu")
    write_whole(path, lambda temporary: tree.to_netcdf(temporary, engine="h5netcdf"))


def read_fit(path: str | PathLike[str]) -> Saved:
    """Read what `write_fit` wrote.

    Raises
    ------
    InputError
        If the file is missing, is not a saved fit, or was written by a newer version.
    """
    import xarray as xr

    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a file that bayesgmm saved ({type(error).__name__}).") from error
    found = tree.attrs.get("format_version")
    if found is None or _OPTIONS not in tree.attrs:
        raise InputError(f"{path}: not a file that bayesgmm saved.")
    if int(found) > FORMAT_VERSION:
        raise InputError(
            f"{path}: written by bayesgmm {tree.attrs.get('bayesgmm_version')} in format {int(found)}, newer than "
            f"format {FORMAT_VERSION} that this version reads; upgrade bayesgmm."
        )
    options = json.loads(tree.attrs.pop(_OPTIONS))
    options["prior"] = _decode_prior(options["prior"])
    em = _read_em(tree[_GROUP], str(tree.attrs["covariance_type"]))
    del tree[_GROUP]
    tree.attrs.pop("row_names_text")
    return Saved(tree, em, _read_table(tree), options)


def _read_em(group: Any, covariance_type: str) -> EMResult:
    from bayesgmm.em.result import EMResult

    params = MixtureParams(group["weights"].values, group["means"].values, group["covariances"].values, covariance_type)
    starts = pd.read_json(io.StringIO(group.attrs["starts"]), orient="split")
    scalars = json.loads(group.attrs["em"])
    return EMResult(params=params, starts=starts, log_likelihood_trace=group["log_likelihood_trace"].values, **scalars)


def _read_table(tree: Any) -> Table:
    observed, constant = tree["observed_data"], tree["constant_data"]
    return Table(
        values=np.ascontiguousarray(observed["obs"].values, dtype=np.float64),
        feature_names=tuple(str(n) for n in observed["feature"].values),
        row_names=pd.Index(observed["obs_id"].values),
        weights=constant["row_weight"].values,
        center=constant["center"].values,
        scale=constant["scale"].values,
        resolution=constant["resolution"].values,
    )


def _plain(value: Any) -> Any:
    """JSON form of numpy values."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be saved")


def _encode_prior(prior: MixturePrior | None) -> dict[str, Any] | None:
    if prior is None:
        return None
    fields = {f.name: getattr(prior, f.name) for f in dataclasses.fields(prior)}
    if prior.sd is not None:
        fields["sd"] = {"family": type(prior.sd).__name__, **prior.sd.hyperparameters()}
    return fields


def _decode_prior(fields: dict[str, Any] | None) -> MixturePrior | None:
    if fields is None:
        return None
    if fields["sd"] is not None:
        hyperparameters = dict(fields["sd"])
        fields["sd"] = getattr(priors, hyperparameters.pop("family"))(**hyperparameters)
    return MixturePrior(**fields)
