"""Finished fits on disk, so that a comparison that was stopped continues where it was.

A folder with one netCDF file a fit, as `bayesgmm.load` reads it, each written whole or not at all; LOO and evidence,
which may take as long as the fit, stand beside the draws. Every file carries a fingerprint of the data and of the
options that results depend on, and is refused where it differs.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.files import as_path, check_writable
from bayesgmm.errors import InputError
from bayesgmm.estimator import BayesianGMM, load
from bayesgmm.model.structure import Kind, get_structure
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
from bayesgmm.model_selection.loo.loo import LooResult
from bayesgmm.visible import visible

if TYPE_CHECKING:
    import xarray as xr

    from bayesgmm.data.table import Table

__all__ = ["Checkpoint", "fingerprint"]

_KEPT = {"bayesgmm_loo": ("loo True", LooResult), "bayesgmm_evidence": ("evidence", Evidence)}
_EXTRA = "bayesgmm_comparison"


def fingerprint(table: Table, options: dict[str, Any]) -> str:
    """Digest of a table and of options; equal for equal numbers, names and options.

    >>> from bayesgmm.data.table import prepare_table
    >>> table = prepare_table([[1.0], [2.0], [4.0]])
    >>> fingerprint(table, {"draws": 10}) == fingerprint(table, {"draws": 20})
    False
    """
    digest = hashlib.sha256()
    for values in (table.values, table.weights, table.center, table.scale, table.resolution):
        digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    digest.update(repr([table.feature_names, [str(name) for name in table.row_names]]).encode())
    digest.update(repr(sorted(options.items())).encode())
    return digest.hexdigest()[:32]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A folder of finished fits of one comparison.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    fingerprint : str
        Of the data and options.
    """

    folder: Path
    fingerprint: str

    @classmethod
    def open(cls, folder: Any, fingerprint: str) -> Checkpoint:
        """Make the folder, or say in one line why it cannot be."""
        path = as_path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{visible(folder)}: no folder for a checkpoint can be made here ({error.strerror}); give another one."
            ) from error
        return cls(path, fingerprint)

    def path(self, n_components: int, kind: Kind) -> Path:
        """File of one fit."""
        return self.folder / f"{str(kind).replace(', ', '-').replace(' ', '_')}-{n_components}.nc"

    def read(self, n_components: int, kind: Kind) -> tuple[BayesianGMM, float, dict[str, float]] | None:
        """A finished fit, its seconds and its secondary scores; None if it is not there.

        Raises
        ------
        InputError
            If it is of other data or options, of another K or structure than its name says, or cannot be read.
        """
        path = self.path(n_components, kind)
        if not os.path.lexists(path):
            return None
        fit, shown = load(path), visible(path)
        found = fit.n_components, _kind(fit)
        if found != (n_components, kind):
            raise InputError(
                f"{shown}: holds the fit of {found[0]} components ({found[1]}); give it back its name, or delete it."
            )
        try:
            extra = json.loads(fit.posterior_.attrs.pop(_EXTRA, "{}"))
            same = extra.get("fingerprint") == self.fingerprint
            seconds, secondary = (float(extra["seconds"]), dict(extra["secondary"])) if same else (0.0, {})
            for group, (key, record) in _KEPT.items():
                if group in fit.posterior_.children:
                    fit._cache[key] = _decode(record, fit.posterior_[group].to_dataset())
                    del fit.posterior_[group]
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{shown}: its scores are damaged; delete it to fit it again.") from error
        if not same:
            raise InputError(
                f"{shown}: this checkpoint is of other data or options; give another folder, or delete it to start "
                "anew."
            )
        return fit, seconds, secondary

    def check_writable(self) -> None:
        """Refuse a folder that nothing can be written to, before hours of fitting."""
        check_writable(self.folder / "fit.nc")

    def write(self, fit: BayesianGMM, seconds: float, secondary: dict[str, float]) -> None:
        """Save a finished fit, whole or not at all."""
        import xarray as xr

        kept = copy.copy(fit)
        kept.posterior_ = fit.posterior_.copy()
        for group, (key, _) in _KEPT.items():
            if key in fit._cache:
                kept.posterior_[group] = xr.DataTree(_encode(fit._cache[key]))
        extra = {"fingerprint": self.fingerprint, "seconds": seconds, "secondary": secondary}
        kept.posterior_.attrs[_EXTRA] = json.dumps(extra)
        kept.save(self.path(fit.n_components, _kind(fit)))


def _kind(fit: BayesianGMM) -> Kind:
    return Kind(get_structure(fit.covariance_type).name, fit.component, fit.noise)


def _encode(record: Any) -> xr.Dataset:
    """A flat record: arrays as variables, numbers and text as JSON."""
    import xarray as xr

    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    arrays = {name: v for name, v in values.items() if isinstance(v, np.ndarray)}
    variables = {
        name: (tuple(f"{name}_{axis}" for axis in range(v.ndim)), v.astype(object) if v.dtype.kind in "UO" else v)
        for name, v in arrays.items()
    }
    scalars = {name: v for name, v in values.items() if name not in arrays}
    return xr.Dataset(variables, attrs={"scalars": json.dumps(scalars)})


def _decode(record: Any, dataset: xr.Dataset) -> Any:
    arrays = {str(name): values.values for name, values in dataset.data_vars.items()}
    if "method_i" in arrays:
        arrays["method_i"] = arrays["method_i"].astype(str)
    if "ok_i" in arrays:
        arrays["ok_i"] = arrays["ok_i"].astype(bool)
    return record(**arrays, **json.loads(dataset.attrs["scalars"]))
