"""What a Parquet file's footer says of the columns that are wanted: how large they are, and how they are encoded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow.parquet

# What Arrow takes for a value of Parquet, at least, however little it takes there that values repeat.
_VALUE_BYTES = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}
TEXT_BYTES = 8


class Sizes(NamedTuple):
    """What row groups have of some columns: the most that one stores, a row of the widest, and the most of texts.

    encodings: of texts.
    """

    stored_bytes: int
    row_bytes: int
    text_bytes: int
    encodings: frozenset[str]


def sizes_of(metadata: Any, groups: Sequence[int], columns: Sequence[str]) -> Sizes:
    """Return what row groups have of columns. Raises pa.ArrowException and OSError for a footer that is damaged."""
    _check(metadata, groups, columns)
    wanted, stored, row_bytes, text_bytes, encodings = frozenset(columns), 0, 0, 0, set[str]()
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    numbers = [number for number, path in enumerate(paths) if {path, path.split(".")[0]} & wanted]
    for at in groups:
        group = metadata.row_group(at)
        used = [group.column(number) for number in numbers]
        stored = max(stored, sum(one.total_compressed_size for one in used))
        decoded = sum(
            max(one.total_uncompressed_size, one.num_values * _VALUE_BYTES.get(one.physical_type, TEXT_BYTES))
            for one in used
        )
        row_bytes = max(row_bytes, decoded // max(1, group.num_rows))
        texts = [one for one in used if one.physical_type == "BYTE_ARRAY"]
        text_bytes = max(text_bytes, sum(one.total_uncompressed_size for one in texts))
        encodings.update(*(one.encodings for one in texts))
    return Sizes(stored, row_bytes, text_bytes, frozenset(encodings))


def _check(metadata: Any, groups: Sequence[int], columns: Sequence[str]) -> None:
    """Raise Arrow's error if the column metadata of a footer is damaged.

    Goes through Arrow's reader because `row_group(…).column(…)` ends the process on damaged metadata: no Python code
    can catch the C++ exception there.
    """
    opened = pyarrow.parquet.ParquetFile(_Unread(), metadata=metadata, pre_buffer=False, buffer_size=1)  # pyright: ignore[reportArgumentType]
    for at in groups:
        try:
            next(opened.iter_batches(1, row_groups=[at], columns=list(columns), use_threads=False), None)
        except _FirstRead:
            continue


class _FirstRead(Exception):
    """The reader begins to read: all that the footer says was found to be in order."""


class _Unread(io.RawIOBase):
    """A file that nothing is read from."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return 1 << 62

    def tell(self) -> int:
        return 1 << 62

    def read(self, size: int = -1) -> bytes:
        raise _FirstRead

    def readinto(self, buffer: Any) -> int:
        raise _FirstRead
