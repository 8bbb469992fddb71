"""Fewer draws of a fit, for what many rows are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray

__all__ = ["thinned"]


def thinned(tree: xarray.DataTree, most: int) -> xarray.DataTree:
    """A fit's ``posterior_`` with at most so many draws of all chains together, evenly spaced."""
    import xarray as xr

    chains, draws = (tree["posterior"].sizes[dim] for dim in ("chain", "draw"))
    step = -(-draws // max(1, most // chains))
    groups = {
        str(name): group.to_dataset().isel(draw=slice(step - 1, None, step), missing_dims="ignore")
        for name, group in tree.children.items()
    }
    out = xr.DataTree.from_dict(groups)
    out.attrs = dict(tree.attrs)
    return out
