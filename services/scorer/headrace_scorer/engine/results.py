"""Results of a job as answers by entity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
from headrace_client.chunks import Answers
from headrace_servicekit.columns import sound

from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.inputs.rows import DAMAGE
from headrace_scorer.engine.objects import Objects
from headrace_scorer.engine.protocol import Failed

pc: Any = pyarrow.compute
# Rows that are held at once.
BATCH_ROWS = 16_384


def batches(objects: Objects, at: Location, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the rows of a file of results, in their order. Raises Failed, and what S3 raises."""
    file = opened(objects, at)
    missing = [name for name in columns if name not in file.schema_arrow.names]
    if file.metadata.num_rows == 0:
        return
    if missing:
        raise Failed("COLUMN_MISSING", f"the results have no column '{missing[0]}': keep it, or publish another job")
    read = file.iter_batches(BATCH_ROWS, columns=list(columns))
    while True:
        try:
            batch = next(read, None)
            if batch is None:
                return
            sound(batch)
        except DAMAGE as error:
            raise _damaged(at, error) from None
        yield pa.Table.from_batches([batch])


def opened(objects: Objects, at: Location) -> Any:
    """Return a Parquet file to read by ranges. Raises Failed when it is gone."""
    found = next((one for one in objects.listed(at) if one.key == at.prefix), None)
    if found is None:
        raise Failed("OUTPUT_MISSING", f"{at.uri} is gone: results that are to be published must stay until they are")
    try:
        return pyarrow.parquet.ParquetFile(objects.opened(at.bucket, found.key, found.etag, found.size_bytes))
    except DAMAGE as error:
        raise _damaged(at, error) from None


def _damaged(at: Location, error: Exception) -> Failed:
    return Failed("OUTPUT_DAMAGED", f"{at.uri} cannot be read as what was written ({error}): score it again")


def entities(table: pa.Table, column: str, at: Location) -> list[str]:
    """Return the entities of rows, as texts. Raises Failed naming a row that has none."""
    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (
        pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_integer(values.type)
    ):
        raise Failed(
            "ENTITY_INVALID", f"column '{column}' has {values.type}, and an entity is a text or a whole number"
        )
    found = values.to_pylist()
    if any(one is None or one == "" for one in found):
        row = next(at for at, one in enumerate(found) if one is None or one == "")
        raise Failed(
            "ENTITY_INVALID", f"a row of {at.uri} (the {row}th of a batch) has no '{column}': leave such rows out"
        )
    return [str(one) for one in found]


def outputs(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[slice, Mapping[str, np.ndarray]]]:
    """Yield outputs as arrays with the rows that they are of: neighbours whose lists have the same lengths."""
    lengths = [_lengths(table.column(name)) for name in names]
    ends = {table.num_rows}
    for one in lengths:
        if one is not None:
            ends |= {int(at) + 1 for at in np.flatnonzero(np.diff(one))}
    begin = 0
    for end in sorted(ends):
        if end > begin:
            part = table.slice(begin, end - begin)
            yield slice(begin, end), {name: array(part.column(name)) for name in names}
        begin = end


def answers(table: pa.Table, entity: str, names: Sequence[str], at: Location) -> Iterator[Answers]:
    """Yield rows as what is uploaded."""
    whole = entities(table, entity, at)
    for rows, values in outputs(table, names):
        yield Answers(whole[rows], values)


def array(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column as rows; lists of one length as rows of elements, texts as objects."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    rows = len(flat)
    if pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type) or pa.types.is_fixed_size_list(flat.type):
        return _plain(flat.flatten()).reshape(rows, -1 if rows else 0)
    return _plain(flat)


def _plain(column: pa.Array) -> np.ndarray:
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        values = np.empty(len(column), object)
        values[:] = column.to_pylist()
        return values
    return column.to_numpy(zero_copy_only=False)


def _lengths(column: pa.ChunkedArray) -> np.ndarray | None:
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return None
    return pc.list_value_length(column).combine_chunks().to_numpy(zero_copy_only=False)
