"""The rows of a table as passes take them."""

from __future__ import annotations

from bayesgmm.data.table import Table
from bayesgmm.kernels.rows import Rows, as_rows

__all__ = ["table_rows"]


def table_rows(table: Table) -> Rows:
    """Standardised rows, gaps and known components included; a copy of the table."""
    return as_rows(table.standardized, table.known)
