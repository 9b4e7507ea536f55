"""numpy arrays as Open Inference Protocol tensors: a description and, beside it, row-major little-endian bytes.

BF16 has no numpy type. An array of `ml_dtypes.bfloat16` is sent as BF16; so is `BFloat16(array)`, which needs no
package. A BF16 output arrives as float32, which holds every BF16 value exactly. BYTES inputs are arrays of `bytes` or
`str` (sent as UTF-8); a BYTES output is an object array of `bytes`. Arrays that come back share the message's memory
and are read-only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from numpy.typing import ArrayLike, NDArray

from headrace_client.errors import invalid

# Little-endian whatever the machine: `<` is what the protocol fixes.
NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in NUMPY_TYPES.items()}


@dataclass(frozen=True, slots=True)
class BFloat16:
    """Float values to be sent as BF16, rounded to the nearest, ties to even."""

    values: NDArray[np.float32]


Input = ArrayLike | BFloat16


def encode_inputs(inputs: Mapping[str, Input]) -> tuple[list[tensor_pb2.Tensor], list[bytes]]:
    """Return descriptions and contents, in the order of the mapping. Raises InvalidArgument naming the input."""
    if not inputs:
        raise invalid("inputs", "no tensor was given; give a mapping from input names to arrays")
    encoded = [encode(name, value) for name, value in inputs.items()]
    return [tensor for tensor, _ in encoded], [content for _, content in encoded]


def decode_outputs(outputs: Sequence[tensor_pb2.Tensor], contents: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an answer by name. Raises ValueError when descriptions and contents do not match."""
    if len(outputs) != len(contents):
        raise ValueError(f"the answer describes {len(outputs)} outputs and carries {len(contents)}")
    return {tensor.name: decode(tensor, content) for tensor, content in zip(outputs, contents, strict=True)}


def encode(name: str, value: Input) -> tuple[tensor_pb2.Tensor, bytes]:
    """Return one tensor. Raises InvalidArgument for values without a datatype, and for scalars, which have no rows."""
    if isinstance(value, BFloat16):
        array = np.asarray(value.values, np.float32)
        return _describe(name, "BF16", array), round_to_bf16(array).tobytes()
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        return _describe(name, "BF16", array), np.ascontiguousarray(array).view("<u2").tobytes()
    if array.dtype.kind in "OSU":
        return _describe(name, "BYTES", array), _join_bytes(name, array)
    datatype = _NAMES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        raise invalid(
            f"inputs.{name}", f"numpy type {array.dtype} has no datatype; use one of {', '.join(NUMPY_TYPES)}"
        )
    return _describe(name, datatype, array), array.astype(NUMPY_TYPES[datatype], copy=False).tobytes()


def decode(tensor: tensor_pb2.Tensor, content: bytes) -> NDArray[Any]:
    """Return one array of the tensor's whole shape. Raises ValueError when the shape needs more or fewer bytes."""
    shape = tuple(tensor.shape)
    if tensor.datatype == "BYTES":
        return _split_bytes(content, shape)
    if tensor.datatype == "BF16":
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    dtype = NUMPY_TYPES.get(tensor.datatype)
    if dtype is None:
        raise ValueError(f"output '{tensor.name}' has datatype {tensor.datatype}, which this client does not know")
    return np.frombuffer(content, dtype).reshape(shape)


def _describe(name: str, datatype: str, array: NDArray[Any]) -> tensor_pb2.Tensor:
    if array.ndim == 0:
        raise invalid(f"inputs.{name}", "is a scalar; the first dimension is the rows, so one value is [value]")
    return tensor_pb2.Tensor(name=name, datatype=datatype, shape=array.shape)


def round_to_bf16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the bits of the nearest BF16 values, ties to even."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # Rounding could turn a NaN with a small payload into infinity; a quiet NaN stays one.
    quiet = (bits >> 16) | 0x0040
    return np.where(np.isnan(array), quiet, rounded).astype("<u2")


def _join_bytes(name: str, array: NDArray[Any]) -> bytes:
    pieces = bytearray()
    for element in array.ravel().tolist():
        if isinstance(element, str):
            element = element.encode()
        if not isinstance(element, bytes):
            raise invalid(f"inputs.{name}", f"holds a {type(element).__name__}; BYTES elements are bytes or str")
        pieces += struct.pack("<I", len(element)) + element
    return bytes(pieces)


def _split_bytes(content: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    elements, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("<I", content, at)
        if at + 4 + size > len(content):
            raise ValueError("a BYTES element is longer than what arrived")
        elements.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)
