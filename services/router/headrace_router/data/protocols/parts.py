"""A request of many rows as several of fewer: tensors are cut between rows, and no value is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_router.data.tables.contract import (
    LENGTH_PREFIX_BYTES,
    MAX_BYTES_ELEMENTS,
    MAX_DIMENSIONS,
    check_count,
)

# Of one call: a message has room for more where rows are small, and each part has a price of its own.
MAX_ROWS = 262_144

Part = tuple[int, bytes]
"""The position of its first row among all, and the encoded request."""


def parts_of(request: predict_pb2.PredictRequest, most_rows: int) -> Iterator[Part]:
    """Yield a request in parts of at most so many rows. Raises InvalidArgument for one that cannot be cut.

    What is wrong with the tensors besides is found when a part is predicted.
    """
    check_count("inputs", len(request.inputs))
    if len(request.raw_input_contents) != len(request.inputs):
        description = f"{len(request.raw_input_contents)} items for {len(request.inputs)} inputs"
        raise _wrong("raw_input_contents", description)
    for index, tensor in enumerate(request.inputs):
        if len(tensor.shape) > MAX_DIMENSIONS:
            raise _wrong(f"inputs[{index}].shape", f"{len(tensor.shape)} dimensions are more than {MAX_DIMENSIONS}")
    rows = _rows(request.inputs)
    if rows <= most_rows:
        yield 0, request.SerializeToString()
        return
    if rows > MAX_ROWS:
        raise _wrong("inputs", f"{rows} rows are more than are taken in one call: at most {MAX_ROWS}")
    cut = [
        _cut(index, tensor, content, rows, most_rows)
        for index, (tensor, content) in enumerate(zip(request.inputs, request.raw_input_contents, strict=True))
    ]
    part = predict_pb2.PredictRequest()
    part.CopyFrom(request)
    for first_row, contents in zip(range(0, rows, most_rows), zip(*cut, strict=True), strict=True):
        del part.raw_input_contents[:]
        part.raw_input_contents.extend(contents)
        for tensor in part.inputs:
            tensor.shape[0] = min(most_rows, rows - first_row)
        yield first_row, part.SerializeToString()


def _rows(inputs: Sequence[tensor_pb2.Tensor]) -> int:
    """Return the rows of a request, which all its inputs have; 0 when it has none."""
    rows = {tensor.shape[0] if tensor.shape else 0 for tensor in inputs}
    if len(rows) > 1:
        raise _wrong("inputs", f"inputs have different numbers of rows: {', '.join(map(str, sorted(rows)[:8]))}")
    return rows.pop() if rows else 0


def _cut(index: int, tensor: tensor_pb2.Tensor, content: bytes, rows: int, most_rows: int) -> Iterator[bytes]:
    """Return the values of a tensor, part by part."""
    sizes = [min(most_rows, rows - first_row) for first_row in range(0, rows, most_rows)]
    if tensor.datatype == "BYTES":
        per_row = math.prod(tensor.shape[1:])
        if not 0 <= per_row * most_rows <= MAX_BYTES_ELEMENTS:
            description = f"{per_row} texts in a row are more than {MAX_BYTES_ELEMENTS} in a part of {most_rows} rows"
            raise _wrong(f"inputs[{index}].shape", description)
        return _texts(index, content, [size * per_row for size in sizes])
    if len(content) % rows:
        raise _wrong(f"raw_input_contents[{index}]", f"{len(content)} bytes are no {rows} rows of one size")
    return _values(content, len(content) // rows, sizes)


def _values(content: bytes, row_bytes: int, sizes: Sequence[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield content[at : at + size * row_bytes]
        at += size * row_bytes


def _texts(index: int, content: bytes, counts: Sequence[int]) -> Iterator[bytes]:
    """Yield so many texts after so many. Raises InvalidArgument where they end before, or go on behind."""
    at = 0
    for number, count in enumerate(counts):
        begin = at
        for _ in range(count):
            at += LENGTH_PREFIX_BYTES + int.from_bytes(content[at : at + LENGTH_PREFIX_BYTES], "little")
            if at > len(content):
                raise _wrong(f"raw_input_contents[{index}]", "ends within a text")
        if number == len(counts) - 1 and at != len(content):
            raise _wrong(f"raw_input_contents[{index}]", f"has {len(content) - at} bytes after its last text")
        yield content[begin:at]


def _wrong(field: str, problem: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {problem}", reason="INVALID_FIELD", violations=[FieldViolation(field, problem)])
