"""Files of answers: a row per entity, a column per output. Parquet by pyarrow, or a JSON object on each line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headrace_client.chunks import Answers
from headrace_client.errors import PreconditionFailed, invalid
from headrace_client.local_files import read_as

BATCH_ROWS = 8192


class AnswerFile(Protocol):
    """A file that can be read again and again. columns: names without the entity's; None while unknown."""

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        ...

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Return the names of the columns beside the entity's."""
        ...

    def batches(self, outputs: Sequence[str]) -> Iterator[Answers]:
        """Yield the rows, with these outputs. Raises InvalidArgument naming row and column."""
        ...


def open_answers(path: Path, entity: str) -> AnswerFile:
    """Return the file, by the ending of its name. entity: name of the entity's column. Raises InvalidArgument."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return JsonLines(path, entity, _count_lines(path))
    if path.suffix.lower() in (".parquet", ".pq"):
        return _open_parquet(path, entity)
    raise invalid("FILE", f"{path.name} ends neither in .parquet nor in .jsonl; that is how it is read")


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A JSON object on each line: the entity, and a value or list by output."""

    path: Path
    entity: str
    rows: int
    columns: tuple[str, ...] | None = None

    def batches(self, outputs: Sequence[str]) -> Iterator[Answers]:
        with read_as("lines of JSON", self.path, "FILE"), self.path.open("rb") as file:
            lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            while batch := list(itertools.islice(lines, BATCH_ROWS)):
                rows = [self._row(number, line, outputs) for number, line in batch]
                yield from _of_one_shape([entity for entity, _ in rows], outputs, [values for _, values in rows])

    def _row(self, number: int, line: bytes, outputs: Sequence[str]) -> tuple[str, list[Any]]:
        where = f"line {number}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise invalid(where, f"is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise invalid(where, "is no JSON object")
        missing = [name for name in (self.entity, *outputs) if found.get(name) is None]
        if missing:
            raise invalid(where, f"has no '{missing[0]}'; it has {', '.join(map(repr, found)) or 'nothing'}")
        return _entity(found[self.entity], where), [found[name] for name in outputs]


@dataclass(frozen=True, slots=True)
class Parquet:
    """A Parquet file. source: pyarrow's ParquetFile."""

    path: Path
    entity: str
    source: Any

    @property
    def rows(self) -> int:
        return self.source.metadata.num_rows

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.source.schema_arrow.names if name != self.entity)

    def batches(self, outputs: Sequence[str]) -> Iterator[Answers]:
        first_row = 0
        batches = self.source.iter_batches(batch_size=BATCH_ROWS, columns=[self.entity, *outputs])
        while True:
            with read_as("a table in Parquet", self.path, "FILE"):
                batch = next(batches, None)
                if batch is None:
                    return
                batch.validate(full=True)
            entities = self._entities(batch.column(self.entity), first_row)
            columns = {name: _column(batch.column(name), name, first_row) for name in outputs}
            whole = {name: column for name, column in columns.items() if column is not None}
            if len(whole) == len(columns):
                yield Answers(entities, whole)
            else:  # lists of several lengths, or nested ones
                rows = zip(*(batch.column(name).to_pylist() for name in outputs), strict=True)
                yield from _of_one_shape(entities, outputs, [list(row) for row in rows])
            first_row += len(entities)

    def _entities(self, column: Any, first_row: int) -> list[str]:
        if column.null_count:
            row = first_row + column.is_null().to_pylist().index(True)
            raise invalid(f"row {row}", f"has no '{self.entity}'")
        values = column.to_pylist()
        if values and isinstance(values[0], str):
            return values
        return [_entity(value, f"row {first_row + at}") for at, value in enumerate(values)]


def _open_parquet(path: Path, entity: str) -> Parquet:
    try:
        from pyarrow.parquet import ParquetFile  # only reading Parquet needs it
    except ImportError as error:
        raise PreconditionFailed(
            "reading Parquet needs pyarrow: pip install 'headrace-client[parquet]', or give a .jsonl file",
            reason="PYARROW_MISSING",
        ) from error
    with read_as("a table in Parquet", path, "FILE"):
        source = ParquetFile(path)
    names = source.schema_arrow.names
    if entity not in names:
        raise invalid("FILE", f"has no column '{entity}'; name the entity's with --entity: {', '.join(names)}")
    return Parquet(path, entity, source)


def _column(column: Any, name: str, first_row: int) -> np.ndarray[Any, Any] | None:
    """Return a column as an array, rows first; None when its rows are not of one shape."""
    from pyarrow import types

    kind = column.type
    if column.null_count and not types.is_floating(kind):  # of floats, null is how pandas writes NaN
        raise invalid(f"row {first_row + column.is_null().to_pylist().index(True)}", f"has no '{name}'")
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        if types.is_nested(kind.value_type):
            return None
        lengths = column.value_lengths().to_numpy(zero_copy_only=False) if len(column) else np.zeros(0, int)
        if len(lengths) and lengths.min() != lengths.max():
            return None
        values = _column(column.flatten(), name, first_row)
        return values.reshape(len(column), -1) if values is not None else None
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_dictionary(kind):
        return np.array(column.to_pylist(), object)
    return column.to_numpy(zero_copy_only=False)


def _of_one_shape(entities: Sequence[str], outputs: Sequence[str], rows: Sequence[list[Any]]) -> Iterator[Answers]:
    """Yield rows, parted where their shapes change."""
    begin = 0
    for _, group in itertools.groupby(rows, key=lambda row: [_shape(value) for value in row]):
        some = list(group)
        end = begin + len(some)
        columns = {name: _array(name, [row[at] for row in some]) for at, name in enumerate(outputs)}
        yield Answers(list(entities[begin:end]), columns)
        begin = end


def _array(name: str, values: list[Any]) -> np.ndarray[Any, Any]:
    try:
        array = np.array(values)
    except ValueError as error:
        raise invalid(f"outputs.{name}", "has lists of several lengths in one row") from error
    return np.array(values, object) if array.dtype.kind in "US" else array


def _shape(value: Any) -> tuple[int, ...]:
    return (len(value), *_shape(value[0])) if isinstance(value, list) and value else np.shape(value)


def _entity(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise invalid(where, f"has a {type(value).__name__} for its entity; entities are texts or whole numbers")
    return str(value)


def _count_lines(path: Path) -> int:
    with read_as("a text", path, "FILE"), path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def unused(file: AnswerFile, outputs: Iterable[str]) -> list[str]:
    """Return the columns that no output takes. Raises InvalidArgument for outputs without a column."""
    if file.columns is None:
        return []
    missing = sorted(set(outputs) - set(file.columns))
    if missing:
        raise invalid(
            "FILE", f"has no column '{missing[0]}', which the version answers; it has {_listed(file.columns)}"
        )
    return sorted(set(file.columns) - set(outputs))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
