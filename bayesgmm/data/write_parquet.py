"""Results of many rows to a Parquet file, a batch at a time; the file is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.files import as_path, check_writable, one_error
from bayesgmm.errors import InputError

__all__ = ["named_columns", "write_parquet"]


def write_parquet(path: Any, parts: Iterable[Mapping[str, NDArray[Any]]]) -> None:
    """Write columns (n,) of one part after the other.

    Raises
    ------
    InputError
        The path cannot be written to, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(f"{path}: to write Parquet takes pyarrow; install it with: pip install pyarrow") from error
    check_writable(path)
    target = as_path(path).resolve()
    part = target.parent / f".bayesgmm-{secrets.token_hex(8)}.part"
    writer = None
    try:
        with one_error(path, "written"):
            for columns in parts:
                table = pa.table({name: np.ascontiguousarray(values) for name, values in columns.items()})
                writer = writer or pq.ParquetWriter(part, table.schema)
                writer.write_table(table)
            if writer is None:
                raise InputError(f"{path}: there are no rows to write.")
            writer.close()
            os.replace(part, target)
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)


def named_columns(values: Any, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns of an array (n,) or (n, M) under names, or of a DataFrame under its own.

    >>> named_columns(np.array([1, 0]), ["label"])
    {'label': array([1, 0])}
    """
    if isinstance(values, pd.DataFrame):
        return {str(name): column.to_numpy() for name, column in values.items()}
    return dict(zip(names, values.T if values.ndim == 2 else [values], strict=True))
