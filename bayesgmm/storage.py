"""One file for a fit: the DataTree as netCDF, with the EM result, the options and the prior beside it.

The file is made in memory and ends in a checksum, behind what netCDF reads. Format 1 had none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Collection
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bayesgmm import priors
from bayesgmm.data.files import as_path, one_error, read_whole, write_whole
from bayesgmm.data.row_names import read_row_names, write_row_names
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.build import FORMAT_VERSION
from bayesgmm.posterior.check import check_tree
from bayesgmm.visible import visible

if TYPE_CHECKING:
    import xarray

    from bayesgmm.em.result import EMResult

__all__ = ["Saved", "read_fit", "write_fit"]

_EM = "bayesgmm_em"
_OPTIONS = "bayesgmm_options"
_ROWS = "bayesgmm_row_names"
_NAMED = "bayesgmm_named_columns"
_START, _MARK = b"\x89HDF\r\n\x1a\n", b"bayesgmm"
_END = len(_MARK) + hashlib.sha256().digest_size
_KIND = "a file that bayesgmm saved"
_REMEDY = "take another copy of it, or fit again"


class Saved(NamedTuple):
    """What is kept of a fit: enough to make it again without sampling."""

    tree: xarray.DataTree  # ``posterior_``
    em: EMResult
    table: Table
    options: dict[str, Any]  # of `BayesianGMM`
    modes: pd.DataFrame
    named: bool  # whether it was fitted to named columns


def write_fit(saved: Saved, path: str | PathLike[str]) -> None:
    """Write a fit to one netCDF file; an existing file is replaced only by a complete one.

    Raises
    ------
    InputError
        If the path cannot be written to, a name cannot be kept, or the options are no longer those of the draws.
    """
    as_path(path)
    _check(saved)
    for name in saved.table.feature_names:
        if "\0" in name or name.encode(errors="ignore").decode() != name:
            raise InputError(f"the column name {visible(name)!r} cannot be saved: rename the column, and fit again.")
    tree, options = saved.tree.copy(), saved.options
    tree[_EM] = _em_group(saved.em)
    tree.attrs |= {
        _OPTIONS: json.dumps(options | {"prior": _encode_prior(options["prior"])}, default=_plain),
        _ROWS: write_row_names(saved.table.row_names),
        _NAMED: int(saved.named),
        "format_version": FORMAT_VERSION,  # that of an unpickled fit may be older
        "modes": json.dumps(saved.modes.to_dict("records")),
    }
    with one_error(path, "written"):
        buffer = io.BytesIO()
        tree.to_netcdf(buffer, engine="h5netcdf")
        content = buffer.getvalue()
        write_whole(path, content, _MARK + hashlib.sha256(content).digest())


def read_fit(path: str | PathLike[str], known_options: Collection[str]) -> Saved:
    """Read what `write_fit` wrote.

    Raises
    ------
    InputError
        If the file cannot be read, is not a saved fit, is not as it was saved, or was written by a newer version.
    """
    content = read_whole(path, _START, _KIND)
    with one_error(path, "read"):
        try:
            tree = _open(content)
            saved = _decode(tree)
            _check(saved, known_options)
        except _NewerError as error:
            raise InputError(f"{visible(path)}: {visible(error)}") from None
        except InputError as error:
            raise InputError(f"{visible(path)}: {visible(error).removesuffix('.')}; {_REMEDY}.") from error
        except MemoryError:
            raise
        except Exception as error:  # HDF5, netCDF and JSON raise what they like over bytes they did not expect
            raise InputError(
                f"{visible(path)}: not {_KIND}, or damaged ({type(error).__name__}); {_REMEDY}."
            ) from error
    return saved


class _NewerError(InputError):
    """Nothing is wrong with the file."""


def _open(content: bytes) -> xarray.DataTree:
    """The tree of a file in this format, from its bytes."""
    import h5py
    import xarray as xr

    whole = content[-_END : -_END + len(_MARK)] == _MARK
    if whole and hashlib.sha256(memoryview(content)[:-_END]).digest() != content[-_END + len(_MARK) :]:
        raise InputError("altered or damaged since it was saved")
    with h5py.File(io.BytesIO(content), "r") as opened:
        opened.attrs.get("_nc3_strict")  # where this fails, h5netcdf would print a traceback when it is collected
    with xr.open_datatree(io.BytesIO(content), engine="h5netcdf") as lazy:
        tree = lazy.load()
    found = tree.attrs.get("format_version")
    if found is None or _OPTIONS not in tree.attrs:
        raise InputError(f"not {_KIND}")
    if not isinstance(found, (int, np.integer)) or found < 1:
        raise InputError(f"altered since it was saved, there is no format {found}")
    if found > FORMAT_VERSION:
        raise _NewerError(
            f"written by bayesgmm {tree.attrs.get('bayesgmm_version')} in format {found}, newer than format "
            f"{FORMAT_VERSION} that this version reads; upgrade bayesgmm."
        )
    if found > 1 and not whole:
        raise InputError("altered or cut short since it was saved, its checksum is missing")
    return tree


def _decode(tree: Any) -> Saved:
    """What is saved in a tree, which becomes ``posterior_`` in the format of this version."""
    attrs = tree.attrs
    options = json.loads(attrs.pop(_OPTIONS))
    options["prior"] = _decode_prior(options["prior"])
    table = _read_table(tree)
    em = _read_em(tree[_EM], str(attrs["covariance_type"]), table.feature_names)
    del tree[_EM]
    if attrs["format_version"] == 1:
        named = any(not name.startswith("x") for name in table.feature_names)  # not recorded
        attrs.pop("row_names_text")
    else:
        named = bool(attrs.pop(_NAMED))
        table = dataclasses.replace(table, row_names=read_row_names(attrs.pop(_ROWS)))
    attrs["format_version"] = FORMAT_VERSION
    modes = pd.DataFrame(json.loads(attrs["modes"])).fillna(np.nan).infer_objects()
    return Saved(tree, em, table, options, modes, named)


def _check(saved: Saved, known_options: Collection[str] | None = None) -> None:
    """Refuse parts that do not belong together, in saving as in reading."""
    tree, em, table, options = saved[:4]
    check_tree(tree)
    k, name = tree["posterior"].sizes["component"], tree.attrs["covariance_type"]
    unknown = [] if known_options is None else sorted(set(options) - set(known_options))
    if unknown:
        raise InputError(f"its option {unknown[0]!r} is unknown")
    if options["n_components"] != k or get_structure(options["covariance_type"]).name != name:
        raise InputError(
            f"the draws are of {k} components ({name}), the options say {options['n_components']!r} "
            f"({options['covariance_type']}): set them back, or fit again."
        )
    if em.params.means.shape != (k, table.n_features) or len(table.row_names) != table.n_rows:
        raise InputError("the EM result, the rows and the draws differ in size")


def _em_group(em: EMResult) -> xarray.DataTree:
    import xarray as xr

    arrays: dict[str, Any] = {
        "weights": ("k", em.params.weights), "means": (("k", "d"), em.params.means),
        "covariances": (("k", "d", "e"), em.params.covariances),
        "log_likelihood_trace": ("iteration", em.log_likelihood_trace),
    }  # fmt: skip
    if em.params.df is not None:
        arrays["df"] = ("n_df", em.params.df)
    if em.params.noise_weight is not None:
        arrays["noise_weight"] = ((), em.params.noise_weight)
    scalars = {
        f.name: getattr(em, f.name)
        for f in dataclasses.fields(em)
        if f.name not in ("params", "starts", "log_likelihood_trace", "feature_names")
    }
    attrs = {
        "em": json.dumps(scalars, default=_plain),
        "starts": json.dumps(em.starts.to_dict("split"), default=_plain),
    }
    return xr.DataTree(xr.Dataset(arrays, attrs=attrs))


def _read_em(group: Any, covariance_type: str, names: tuple[str, ...]) -> EMResult:
    from bayesgmm.em.result import EMResult

    df = group["df"].values if "df" in group else None
    noise = float(group["noise_weight"]) if "noise_weight" in group else None
    weights, means, covariances = (group[name].values for name in ("weights", "means", "covariances"))
    params = MixtureParams(weights, means, covariances, covariance_type, df, noise)
    starts = pd.DataFrame(**json.loads(group.attrs["starts"])).fillna(np.nan).infer_objects()
    scalars = json.loads(group.attrs["em"])
    trace = group["log_likelihood_trace"].values
    return EMResult(params=params, starts=starts, log_likelihood_trace=trace, feature_names=names, **scalars)


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
        known=constant["known_component"].values if "known_component" in constant else None,
        classes=tuple(json.loads(tree.attrs.get("classes", "[]"))),
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
        family = hyperparameters.pop("family")
        if family not in priors.__all__:
            raise InputError(f"its prior of the sds, {family!r}, is unknown")
        fields["sd"] = getattr(priors, family)(**hyperparameters)
    return MixturePrior(**fields)
