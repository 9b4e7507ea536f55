"""Arrow's columns that came from outside, a file or another process: found sound before anything reads them.

Arrow believes what a file says of its own buffers. An offset beyond one's end reads memory that is not the file's, or
ends the process; Arrow looks for that only when it is asked to. Callers bring pyarrow: nothing here imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class UnsoundColumnError(ValueError):
    """A column's buffers are not what its type and length say; the message names the column."""


def sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch, each of whose values lies in its own buffers. Raises UnsoundColumnError."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        sound_column(name, column)
    return batch


def sound_table(table: pa.Table) -> pa.Table:
    """Return a table, each of whose values lies in its own buffers. Raises UnsoundColumnError."""
    for name, column in zip(table.schema.names, table.columns, strict=True):
        for chunk in column.chunks:
            sound_column(name, chunk)
    return table


def sound_column(name: str, column: pa.Array) -> pa.Array:
    """Return a column, each of whose values lies in its own buffers. Raises UnsoundColumnError."""
    try:
        column.validate(full=True)
    except ValueError as error:  # pyarrow.ArrowInvalid is one
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsoundColumnError(f"column {name[:100]!r} is damaged: {said[:200]}") from None
    return column
