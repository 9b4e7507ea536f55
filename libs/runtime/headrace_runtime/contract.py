"""What a version takes and gives, in the form that the hot path reads: tensors with the size of an element."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.tensor.v1 import tensor_pb2

BYTES = "BYTES"

# Bytes of one element on the wire; elements of BYTES carry their own length.
ELEMENT_BYTES = {
    "BOOL": 1, "UINT8": 1, "INT8": 1,
    "UINT16": 2, "INT16": 2, "FP16": 2, "BF16": 2,
    "UINT32": 4, "INT32": 4, "FP32": 4,
    "UINT64": 8, "INT64": 8, "FP64": 8,
}  # fmt: skip
FLOATS = frozenset(("FP16", "BF16", "FP32", "FP64"))


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a version. `row_shape` is the shape of one row; -1 varies by request."""

    name: str
    datatype: str
    row_shape: tuple[int, ...]
    optional: bool = False
    nan_allowed: bool = True


@dataclass(frozen=True, slots=True)
class Contract:
    """Inputs and outputs of a version, in the order of the model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class UnknownDatatype(Exception):
    """A contract names a datatype that the Open Inference Protocol does not have."""


def from_proto(contract: tensor_pb2.ServingContract) -> Contract:
    """Return the contract as data. Raises UnknownDatatype."""
    return Contract(
        tuple(_spec(spec, is_input=True) for spec in contract.inputs),
        tuple(_spec(spec, is_input=False) for spec in contract.outputs),
    )


def _spec(spec: tensor_pb2.TensorSpec, *, is_input: bool) -> TensorSpec:
    if spec.datatype != BYTES and spec.datatype not in ELEMENT_BYTES:
        raise UnknownDatatype(f"tensor '{spec.name}' has the unknown datatype '{spec.datatype}'")
    # Only what callers send can be refused: NaN in an answer is the model's business.
    nan_allowed = spec.nan_allowed or spec.datatype not in FLOATS or not is_input
    return TensorSpec(spec.name, spec.datatype, tuple(spec.shape), spec.optional, nan_allowed)
