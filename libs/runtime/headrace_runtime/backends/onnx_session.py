"""Running an ONNX file with ONNX Runtime in the calling thread: raw rows in, raw rows out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from headrace_runtime.backends.backend import LoadError, ModelError
from headrace_runtime.backends.reasons import execution_error, public_reason
from headrace_runtime.contract import BYTES, BatchDimension, Contract, TensorSpec
from headrace_runtime.shapes import Layout, OutputTensor, Raw

DTYPES = {
    "BOOL": np.dtype("?"), "UINT8": np.dtype("u1"), "INT8": np.dtype("i1"),
    "UINT16": np.dtype("<u2"), "INT16": np.dtype("<i2"), "FP16": np.dtype("<f2"),
    "UINT32": np.dtype("<u4"), "INT32": np.dtype("<i4"), "FP32": np.dtype("<f4"),
    "UINT64": np.dtype("<u8"), "INT64": np.dtype("<i8"), "FP64": np.dtype("<f8"),
}  # fmt: skip
_DATATYPES = {dtype: name for name, dtype in DTYPES.items()}
_FATAL = 4


@dataclass(frozen=True, slots=True)
class OnnxSession:
    """A file that is loaded, and the outputs that are asked of it."""

    session: Any
    outputs: tuple[TensorSpec, ...]


def check_datatypes(contract: Contract) -> None:
    """Raise LoadError for tensors that ONNX Runtime cannot be given from raw bytes."""
    for spec in (*contract.inputs, *contract.outputs):
        if spec.datatype not in DTYPES and spec.datatype != BYTES:
            raise LoadError(f"tensor '{spec.name}' is {spec.datatype}, which this backend cannot run")


def open_session(path: str) -> Any:
    """Return a session on a file. Raises whatever ONNX Runtime does."""
    options = onnxruntime.SessionOptions()
    # Two batches at once beat one batch on two threads.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def load(path: str, contract: Contract) -> OnnxSession:
    """Load a file. Raises LoadError."""
    try:
        session = open_session(path)
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        raise LoadError(public_reason(str(error) or type(error).__name__)) from None
    known = {output.name for output in session.get_outputs()}
    for spec in contract.outputs:
        if spec.name not in known:
            raise LoadError(f"output '{spec.name}' is not in the model")
    return OnnxSession(session, contract.outputs)


def run(loaded: OnnxSession, layout: Layout, rows: int, inputs: Sequence[Raw], how: Any = None) -> list[OutputTensor]:
    """Run one batch. how: ONNX Runtime's RunOptions, by which another thread can end it. Raises ModelError."""
    try:
        given = {
            spec.name: _to_array(data, spec.datatype, spec.shape(rows, shape))
            for spec, shape, data in zip(layout.inputs, layout.row_shapes, inputs, strict=True)
        }
        values = loaded.session.run([spec.name for spec in loaded.outputs], given, how)
    except Exception as error:  # the same; UnicodeDecodeError of BYTES is one too
        raise execution_error(str(error) or type(error).__name__) from None
    return [_to_output(spec, value) for spec, value in zip(loaded.outputs, values, strict=True)]


def _to_array(given: Raw, datatype: str, shape: tuple[int, ...]) -> np.ndarray:
    if datatype != BYTES:
        return np.frombuffer(given, DTYPES[datatype]).reshape(shape)
    data = bytes(given)
    array, at = np.empty(math.prod(shape), dtype=np.object_), 0
    for index in range(array.size):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        array[index] = data[at + 4 : end].decode()
        at = end
    return array.reshape(shape)


def _to_output(spec: TensorSpec, value: Any) -> OutputTensor:
    name = spec.name
    if not isinstance(value, np.ndarray):
        raise ModelError(f"output '{name}' is a {type(value).__name__}, not a tensor")
    if spec.batch_dimension is BatchDimension.NONE:
        value = value[np.newaxis]
    if value.dtype == np.object_ or value.dtype.kind == "U":
        encoded = [str(element).encode() for element in value.ravel()]
        data = b"".join(len(element).to_bytes(4, "little") + element for element in encoded)
        return OutputTensor(name, BYTES, value.shape, data)
    datatype = _DATATYPES.get(value.dtype)
    if datatype is None:
        raise ModelError(f"output '{name}' is {value.dtype}, which the protocol does not have")
    return OutputTensor(name, datatype, value.shape, value.tobytes())
