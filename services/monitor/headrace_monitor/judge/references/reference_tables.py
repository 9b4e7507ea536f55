"""Where columns are in a reference's Parquet file, and their values: a bounded number of them, in a child process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace_servicekit.columns import sound_column

from headrace_monitor.judge.references.columns import MonitoredColumn

# Of longer files every n-th row is taken: edges at 200 quantiles do not move any more.
MAX_ROWS = 1_000_000
# Values of one tensor that are in memory together: 128 MiB.
MAX_CELLS = 16_000_000
_BATCH_ROWS = 1 << 16


class RefusedError(Exception):
    """The file is nothing that a reference can be frozen from; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a column in the file. index: of the value in a list of the whole tensor; None: a separate column."""

    name: str
    index: int | None = None


def places(columns: Sequence[MonitoredColumn], there: Collection[str]) -> dict[str, Place]:
    """Return where columns are, by name: under their own name, that in the log, the bare name of a tensor's column
    where only one is called so, or in a list that holds the whole tensor.

    >>> from headrace_monitor.judge.references.columns import ColumnType
    >>> age = MonitoredColumn("person.age", "feature.person.age", "person", 0, "FP32", ColumnType.NUMERIC, width=2)
    >>> places([age], {"age", "id"})
    {'person.age': Place(name='age', index=None)}
    """
    bare = Counter(_bare(column) for column in columns)
    own = {column.name for column in columns}
    found: dict[str, Place] = {}
    for column in columns:
        short = _bare(column)
        direct = [column.name, column.stored]
        if bare[short] == 1 and short not in own:
            direct.append(short)
        whole = [column.tensor, column.stored.removesuffix(column.name) + column.tensor]
        places_of = [Place(name) for name in direct if name in there]
        places_of += [Place(name, column.index) for name in whole if name in there and column.index is not None]
        if places_of:
            found[column.name] = places_of[0]
    return found


class Table:
    """A Parquet file whose columns are read one at a time. begin: called with the name of each before it is read."""

    def __init__(self, path: str, begin: Callable[[str], object] = lambda _: None) -> None:
        # The limit bounds the memory that a file's own schema may use. No code in its metadata (pandas or other) is
        # run: unregistered extension types are read as their storage types.
        self._file = pq.ParquetFile(path, memory_map=False, thrift_string_size_limit=1 << 26)
        self._begin = begin
        self.reading = ""
        """The column that is being read, or was last."""

    @property
    def rows(self) -> int:
        """Return how many rows the file says that it has."""
        return self._file.metadata.num_rows

    @property
    def names(self) -> frozenset[str]:
        """Return the names of columns that stand there once."""
        return frozenset(name for name, times in Counter(self._file.schema_arrow.names).items() if times == 1)

    def column(self, name: str, width: int, *, most: int | None = None) -> pa.ChunkedArray:
        """Return a column, or every n-th row of it where there are more than can be used, or than `most`.

        Raises RefusedError, UnsoundColumnError, pa.ArrowException, OSError, MemoryError.
        """
        self.reading = name
        self._begin(name)
        most = max(min(MAX_ROWS, MAX_CELLS // width), 1) if most is None else most
        every = max(-(-self.rows // most), 1)
        batch_rows = max(min(_BATCH_ROWS, MAX_CELLS // width), 1)
        parts: list[pa.Array] = []
        before = taken = 0
        for batch in self._file.iter_batches(batch_rows, columns=[name], use_threads=False):
            array = sound_column(name, batch.column(batch.schema.get_field_index(name)))
            wanted = np.arange(-before % every, len(array), every)
            part = array if every == 1 else array.take(pa.array(wanted))
            before, taken = before + len(array), taken + len(part)
            # The row count in a file's metadata may be wrong.
            if taken > most + 1:
                raise RefusedError("the file has more rows than it says")
            parts.append(part)
        return pa.chunked_array(parts, type=self._file.schema_arrow.field(name).type)


def _bare(column: MonitoredColumn) -> str:
    return column.name.removeprefix(f"{column.tensor}.")
