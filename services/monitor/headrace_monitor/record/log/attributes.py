"""Request attributes such as `country=DE`: from the log's map to one column for each name.

Imported only where Arrow is installed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute

# Its functions are made when it is imported, which type checkers do not see.
pc: Any = pyarrow.compute

ATTRIBUTES = "attributes"
# Callers choose the names; those that few requests have explain little.
MAX_NAMES = 20


def attribute_columns(
    table: pa.Table | pa.RecordBatch, *, but: Collection[str] = (), most: int = MAX_NAMES
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Return the values of the attributes that rows have most often, by name; null where a row has none.

    but: names that are not wanted.
    """
    if ATTRIBUTES not in table.schema.names:
        return {}
    array = table.column(ATTRIBUTES)
    if not pa.types.is_map(array.type):
        return {}
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    counted = pc.value_counts(pa.chunked_array([chunk.keys for chunk in chunks], array.type.key_type)).to_pylist()
    often = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
    names = [one["values"] for one in often if one["values"] not in but][:most]
    return {name: values_of_attribute(array, name) for name in names}


def values_of_attribute(array: pa.Array | pa.ChunkedArray, name: str) -> pa.Array | pa.ChunkedArray:
    """Return the value that each row has of one attribute; null where it has none."""
    return pc.map_lookup(array, pa.scalar(name, array.type.key_type), "first")
