"""Rows that belong together, in the log and in references: which they are, and how much alike."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from headrace_statistics.arrays import Counts, counts
from headrace_statistics.references import CategoricalReference, ColumnReference, EmbeddingReference, NumericReference
from headrace_statistics.sketches import bins
from headrace_statistics.sketches.units import CELLS, Units, UnitSums
from numpy.typing import NDArray

from headrace_monitor.judge.references.columns import MonitoredColumn
from headrace_monitor.judge.references.conversion import as_logged
from headrace_monitor.judge.references.reference_tables import Table
from headrace_monitor.judge.references.values import UnusableColumnError, coded_names, numbers

# Its functions are made when it is imported, which type checkers do not see.
pc: Any = pyarrow.compute

# The column of a reference's file that says what each row belongs to; rows without any belong to none.
UNIT = "request.unit"
# Columns of the log that say so.
UNIT_COLUMNS = ("unit", "prediction_id")


def unit_hashes(table: pa.Table) -> NDArray[np.int64]:
    """Return a hash of what each row belongs to: the unit that its request named, else the request itself; of no row
    where neither is known.
    """
    there = frozenset(table.schema.names)
    found = np.zeros(0, dtype=np.uint64)
    if "prediction_id" in there:
        found = _hashes(_texts(table.column("prediction_id")))
    if "unit" in there:
        column = _texts(table.column("unit"))
        hashes = _hashes(column)
        found = np.where(pc.equal(column, b"").to_numpy(), found, hashes) if found.size else hashes
    # Multiplied, so that similar names are not neighbours among the smallest.
    return ((found * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(1)).astype(np.int64)


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as bytes of their text, none for what is missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.string())
    return pc.fill_null(column.cast(pa.binary()), b"")


def _hashes(texts: pa.ChunkedArray) -> NDArray[np.uint64]:
    encoded = texts.combine_chunks().dictionary_encode()
    names = encoded.dictionary
    found = np.fromiter((zlib.crc32(name) for name in names.to_pylist()), np.uint64, len(names))
    return found[encoded.indices.to_numpy()]


def summed(column: MonitoredColumn, reference: ColumnReference, array: pa.ChunkedArray, rows: Units) -> UnitSums | None:
    """Return sums of a column by the units of its rows: of numbers by the groups that are compared and by rank, of
    categories by the reference's most frequent. None where the values are not of its type.
    """
    try:
        if isinstance(reference, NumericReference):
            ranks, groups = _ranks(reference, array)
            return rows.summed(groups, int(reference.groups[-1]) + 1, ranks)
        if isinstance(reference, CategoricalReference):
            first = {name: cell for cell, name in enumerate(reference.categories.names[: CELLS - 1])}
            codes, names = coded_names(array, column.datatype)
            cells = np.array([*(first.get(name, len(first)) for name in names), -1])
            return rows.summed(counts(cells[codes]), len(first) + 1)
    except UnusableColumnError:
        return None
    return rows.summed(counts(np.zeros(rows.hashes.size)), 1)


def _ranks(reference: NumericReference, array: pa.ChunkedArray) -> tuple[Counts, Counts]:
    """Return the rank of each row and its group, -1 for none."""
    values = numbers(array)
    places = bins.places(values, reference.edges.inner)
    groups = reference.groups[np.minimum(places, reference.edges.bins - 1)]
    known = np.isfinite(values)
    return counts(np.where(known, places, -1)), counts(np.where(known, groups, -1))


class ReferenceUnits:
    """What the rows of a reference's file belong to. Raises UnusableColumnError for lists and the like."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._by_width: dict[int, Units] = {}

    def counted(self, column: MonitoredColumn, frozen: ColumnReference, array: pa.ChunkedArray) -> ColumnReference:
        """Return a column with how many of its rows count as one, and with its rare categories counted by unit."""
        rows = self._units(column.width or 1)
        if isinstance(frozen, EmbeddingReference) or len(array) != rows.hashes.size:
            # For embeddings, and for rows without row hashes, all rows of a unit count as one.
            return replace(frozen, design_effect=rows.exact_effect(counts(np.zeros(rows.hashes.size))))
        values = as_logged(array, column.datatype)
        if isinstance(frozen, NumericReference):
            ranks, groups = _ranks(frozen, values)
            return replace(frozen, design_effect=rows.exact_effect(groups, ranks))
        codes = counts(coded_names(values, column.datatype)[0])
        effect = rows.exact_effect(codes)
        if effect > 1:
            pairs = np.unique(np.stack([codes, rows.hashes])[:, codes >= 0], axis=1)
            rare = Counter(np.bincount(pairs[0]).tolist())
            frozen = replace(frozen, singletons=rare[1], doubletons=rare[2])
        return replace(frozen, design_effect=effect)

    def _units(self, width: int) -> Units:
        """Return the unit of each row that is read of columns of a width."""
        if width not in self._by_width:
            column = self._table.column(UNIT, width)
            if pa.types.is_nested(column.type):
                raise UnusableColumnError(f"its type in the file is {column.type}, which is no single value")
            of_their_own = pa.chunked_array([pa.array(np.arange(len(column)))])
            hashes = unit_hashes(pa.table({"unit": column, "prediction_id": of_their_own}))
            self._by_width[width] = Units(counts(hashes))
        return self._by_width[width]
