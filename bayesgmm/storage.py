"""One file for a fit: the DataTree as netCDF, with the EM result, the options and the prior beside it."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tempfile
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesgmm import priors
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import MixturePrior
from bayesgmm.posterior.build import FORMAT_VERSION

if TYPE_CHECKING:
    from bayesgmm.em.fit import EMResult
    from bayesgmm.estimator import BayesianGMM

__all__ = ["check_writable", "load", "save", "write_whole"]

_GROUP = "bayesgmm_em"
_OPTIONS = "bayesgmm_options"


def write_whole(path: str | PathLike[str], write: Any) -> None:
    """Call ``write(temporary)`` and put the file in place only once it is complete."""
    check_writable(path)
    target = Path(path).resolve()  # a symbolic link stays one
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".bayesgmm-", suffix=".part")
    os.close(handle)
    try:
        write(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_writable(path: str | PathLike[str]) -> None:
    """Refuse a path that no file can be written to, before any work is done for it."""
    target = Path(path)
    try:
        resolved = target.resolve()
        if resolved.is_dir():
            raise InputError(f"{target}: is a folder; give the name of a file.")
        if resolved.exists() and not resolved.is_file():
            raise InputError(f"{target}: is not a regular file; give the name of a file.")
        if not resolved.parent.is_dir():
            raise InputError(f"{target}: the folder {str(target.parent)!r} does not exist; make it first.")
        if not os.access(resolved.parent, os.W_OK):
            raise InputError(f"{target}: the folder {str(target.parent)!r} cannot be written to.")
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error}).") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def save(fit: BayesianGMM, path: str | PathLike[str]) -> None:
    """Write a fitted `BayesianGMM` to one netCDF file; an existing file is replaced only by a complete one."""
    import xarray as xr

    em = fit.em_
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
    tree = fit.posterior_.copy()
    tree[_GROUP] = xr.DataTree(xr.Dataset(arrays, attrs={"em": json.dumps(scalars, default=_plain)}))
    tree[_GROUP].attrs["starts"] = em.starts.to_json(orient="split")
    options = fit.get_params(deep=False)
    tree.attrs[_OPTIONS] = json.dumps(options | {"prior": _encode_prior(options["prior"])}, default=_plain)
    tree.attrs["row_names_text"] = int(fit.table_.row_names.dtype.kind not in "iu")
    write_whole(path, lambda temporary: tree.to_netcdf(temporary, engine="h5netcdf"))


def load(path: str | PathLike[str]) -> BayesianGMM:
    """Read a fit that `BayesianGMM.save` wrote.

    Raises
    ------
    InputError
        If the file is missing, is not a saved fit, or was written by a newer version.
    """
    import xarray as xr

    from bayesgmm.estimator import BayesianGMM

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
    fit = BayesianGMM(**options)
    em = _read_em(tree[_GROUP], str(tree.attrs["covariance_type"]))
    del tree[_GROUP]
    tree.attrs.pop("row_names_text")
    table = _read_table(tree)
    prior = (fit.prior or MixturePrior()).resolve(table)
    fit._set_results(tree, em, table, prior, pd.read_json(io.StringIO(tree.attrs["modes"])))
    if any(not name.startswith("x") for name in table.feature_names):
        fit.feature_names_in_ = np.array(table.feature_names, dtype=object)
    return fit


def _read_em(group: Any, covariance_type: str) -> EMResult:
    from bayesgmm.em.fit import EMResult

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
