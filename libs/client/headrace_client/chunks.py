"""Answers as columns: batches of entities and outputs, cut into the chunks that an upload sends."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from headrace.router.v1 import precomputed_pb2
from headrace.tensor.v1 import tensor_pb2
from numpy.typing import ArrayLike, NDArray

from headrace_client.errors import PreconditionFailed, invalid
from headrace_client.tensors import NUMPY_TYPES, round_to_bf16

# Small enough that many are on their way at once, large enough that each costs little.
CHUNK_BYTES = 512 * 1024


class Answers(NamedTuple):
    """Answers of some entities. outputs: by name, one row per entity; rows of one batch have one shape."""

    entities: Sequence[str]
    outputs: Mapping[str, ArrayLike]


Batches = Iterable[Answers] | Callable[[], Iterable[Answers]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A publish that takes rows. row_count: rows that it has. outputs: what each row must have."""

    name: str
    row_count: int
    outputs: tuple[tensor_pb2.TensorSpec, ...]
    max_chunk_rows: int
    max_chunk_bytes: int


@dataclass(slots=True)
class Chunks:
    """The chunks of batches, from any row that is still available.

    batches: a function or a list can restart from its first row at any time; an iterator only from the first
    unacknowledged row.
    """

    opened: Opened
    batches: Batches
    _source: Iterator[Answers] | None = None
    _next_row: int = 0
    _sent: int = 0
    _cutting: Iterator[precomputed_pb2.UploadAnswersRequest] = field(default_factory=lambda: iter(()))
    _kept: deque[precomputed_pb2.UploadAnswersRequest] = field(default_factory=deque)

    def from_row(self, first: int) -> Iterator[precomputed_pb2.UploadAnswersRequest]:
        """Yield the chunks from a row on. Raises PreconditionFailed, reason ROWS_GONE, when it cannot be read again."""
        begun = self._kept[0].first_row if self._kept else self._sent
        if first < begun:
            self._begin_anew(first)
        for chunk in list(self._kept):
            if chunk.first_row + len(chunk.entities) > first:  # else the store has it; it skips rows that it has
                yield chunk
        while (chunk := self._following(first)) is not None:
            self._kept.append(chunk)
            self._sent = chunk.first_row + len(chunk.entities)
            yield chunk

    def acknowledged(self, rows: int) -> None:
        """Forget the chunks that the store has."""
        while self._kept and self._kept[0].first_row + len(self._kept[0].entities) <= rows:
            self._kept.popleft()

    def _begin_anew(self, first: int) -> None:
        if self._source is not None and isinstance(self.batches, Iterator):
            raise PreconditionFailed(
                f"the store lost rows from {first} on, and the batches can be read only once: publish again",
                reason="ROWS_GONE",
            )
        self._source, self._next_row, self._sent, self._cutting = None, 0, 0, iter(())
        self._kept.clear()

    def _following(self, first: int) -> precomputed_pb2.UploadAnswersRequest | None:
        """Return the chunk after those that were read; None at the end. Batches before a row are not even encoded."""
        if self._source is None:
            self._source = iter(self.batches() if callable(self.batches) else self.batches)
        while (chunk := next(self._cutting, None)) is None:
            batch = next(self._source, None)
            if batch is None:
                return None
            begin, self._next_row = self._next_row, self._next_row + len(batch.entities)
            if self._next_row > first:
                self._cutting = cut(self.opened, batch, begin, max(first - begin, 0))
        return chunk


def cut(
    opened: Opened, batch: Answers, first_row: int, skip: int = 0
) -> Iterator[precomputed_pb2.UploadAnswersRequest]:
    """Yield the chunks of a batch, but for its first `skip` rows. first_row: number of the batch's first row."""
    rows = len(batch.entities)
    if rows == 0:
        return
    columns, dims = [], []
    for spec in opened.outputs:
        if spec.name not in batch.outputs:
            known = ", ".join(sorted(batch.outputs)) or "none"
            raise invalid(f"outputs.{spec.name}", f"is missing; every row needs it. Given: {known}")
        column = _column(spec, batch.outputs[spec.name], rows)
        columns.append(column)
        dims += column.dims
    each = max(1, sum(column.row_bytes for column in columns))
    step = max(1, min(opened.max_chunk_rows, min(CHUNK_BYTES, opened.max_chunk_bytes) // each))
    entities = batch.entities if isinstance(batch.entities, list) else list(batch.entities)
    for begin in range(skip, rows, step):
        end = min(begin + step, rows)
        yield precomputed_pb2.UploadAnswersRequest(
            name=opened.name,
            first_row=first_row + begin,
            entities=entities[begin:end],
            columns=[column.content(begin, end) for column in columns],
            dims=dims,
        )


class _Column(NamedTuple):
    """A column ready to be cut. row_bytes: of one row, roughly for BYTES. dims: sizes that the contract leaves open."""

    content: Callable[[int, int], bytes]
    row_bytes: int
    dims: list[int]


def _column(spec: tensor_pb2.TensorSpec, values: ArrayLike, rows: int) -> _Column:
    array = np.asarray(values, object) if spec.datatype == "BYTES" else np.asarray(values)
    shape = _row_shape(spec, array, rows)
    dims = [size for size, wanted in zip(shape, spec.shape, strict=True) if wanted == -1]
    if spec.datatype == "BYTES":
        elements = array.reshape(rows, -1)
        some = [len(one) for one in elements[:100].ravel() if isinstance(one, str | bytes)]
        size = sum(some) // min(rows, 100) + 4 * elements.shape[1]
        return _Column(lambda begin, end: _join(spec.name, elements[begin:end]), size, dims)
    encoded = np.ascontiguousarray(_cast(spec, array)).reshape(rows, -1)
    return _Column(lambda begin, end: encoded[begin:end].tobytes(), encoded.itemsize * encoded.shape[1], dims)


def _row_shape(spec: tensor_pb2.TensorSpec, array: NDArray[Any], rows: int) -> tuple[int, ...]:
    """Return the shape of one row: the contract's, which one value per row or a flat list may stand for."""
    wanted = tuple(spec.shape)
    if array.ndim == 0 or array.shape[0] != rows:
        raise invalid(f"outputs.{spec.name}", f"has {array.shape[0] if array.ndim else 'no'} rows for {rows} entities")
    given = array.shape[1:]
    if len(given) == len(wanted) and all(w in (-1, g) for g, w in zip(given, wanted, strict=True)):
        return given
    size = int(np.prod(given, dtype=np.int64))
    if wanted.count(-1) == 1:
        rest = -int(np.prod(wanted, dtype=np.int64))
        if rest and size % rest == 0 and len(given) <= 1:
            return tuple(size // rest if w == -1 else w for w in wanted)
    elif -1 not in wanted and size == int(np.prod(wanted, dtype=np.int64)) and len(given) <= 1:
        return wanted
    raise invalid(f"outputs.{spec.name}", f"has rows of shape {list(given)}; the version has {list(wanted)}")


def _cast(spec: tensor_pb2.TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """Return values in the contract's datatype: other widths of the same kind are converted, other kinds refused."""
    kind = array.dtype.kind
    if array.dtype.name == "bfloat16":
        array, kind = array.astype(np.float32), "f"
    if spec.datatype in ("FP16", "FP32", "FP64", "BF16"):
        if kind not in "fiu":
            raise _wrong_kind(spec, array)
        if spec.datatype == "BF16":
            return round_to_bf16(array.astype(np.float32))
        with np.errstate(over="ignore"):  # too large becomes infinite, as in any conversion to a narrower float
            return array.astype(NUMPY_TYPES[spec.datatype], copy=False)
    wanted = NUMPY_TYPES[spec.datatype]
    if spec.datatype == "BOOL":
        if kind != "b":
            raise _wrong_kind(spec, array)
        return array
    if kind not in "iu":
        raise _wrong_kind(spec, array)
    bounds = np.iinfo(wanted)
    if array.size and (int(array.min()) < bounds.min or int(array.max()) > bounds.max):
        raise invalid(f"outputs.{spec.name}", f"has values that {spec.datatype} cannot hold")
    return array.astype(wanted, copy=False)


def _wrong_kind(spec: tensor_pb2.TensorSpec, array: NDArray[Any]) -> Exception:
    return invalid(f"outputs.{spec.name}", f"holds {array.dtype}, which does not become {spec.datatype} by itself")


def _join(name: str, elements: NDArray[Any]) -> bytes:
    pieces = []
    for element in elements.ravel().tolist():
        encoded = element.encode() if isinstance(element, str) else element
        if not isinstance(encoded, bytes):
            raise invalid(f"outputs.{name}", f"holds a {type(element).__name__}; BYTES elements are bytes or str")
        pieces += (struct.pack("<I", len(encoded)), encoded)
    return b"".join(pieces)
