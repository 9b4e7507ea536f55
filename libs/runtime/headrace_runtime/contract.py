"""What a version takes and gives, in the form that the hot path reads: tensors with the size of an element."""

from __future__ import annotations

import enum
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


class BatchDimension(enum.Enum):
    """How the model file declares the dimension for rows of a tensor."""

    ANY = 0
    ONE = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a version. `row_shape` is the shape of one row; -1 varies by request.

    minimum, maximum: of legal values, None where there is none.
    """

    name: str
    datatype: str
    row_shape: tuple[int, ...]
    optional: bool = False
    nan_allowed: bool = True
    batch_dimension: BatchDimension = BatchDimension.ANY
    minimum: float | None = None
    maximum: float | None = None

    def shape(self, rows: int, row_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which the model takes that many rows; one row where it has no dimension for them."""
        return row_shape if self.batch_dimension is BatchDimension.NONE else (rows, *row_shape)

    def rows_first(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of an answer of a server, rows first.

        Some servers have no tensors without a dimension, or none of rows alone: they give one value a dimension of 1.
        """
        if self.batch_dimension is BatchDimension.NONE:
            return shape if not self.row_shape and shape == (1,) else (1, *shape)
        return shape[:1] if not self.row_shape and shape[1:] == (1,) else shape


@dataclass(frozen=True, slots=True)
class Example:
    """One row that the model answers: the bytes of each input, empty for a row of zeros and empty texts.

    dims: sizes of the variable dimensions, in the order of the inputs; empty stands for 1 each.
    """

    inputs: tuple[bytes, ...] = ()
    dims: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """Inputs and outputs of a version, in the order of the model. decoupled: whether a request has any number of
    responses."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: Example = Example()
    decoupled: bool = False

    @property
    def batched(self) -> bool:
        """Return whether every tensor of the model begins with a dimension for rows of any number."""
        return all(spec.batch_dimension is BatchDimension.ANY for spec in (*self.inputs, *self.outputs))


_BATCH_DIMENSIONS = frozenset(one.value for one in BatchDimension)


class UnknownDatatype(Exception):
    """A contract names a datatype that the Open Inference Protocol does not have."""


def from_proto(contract: tensor_pb2.ServingContract) -> Contract:
    """Return the contract as data. Raises UnknownDatatype."""
    return Contract(
        tuple(map(_spec, contract.inputs)),
        tuple(map(_spec, contract.outputs)),
        Example(tuple(contract.example.inputs), tuple(contract.example.dims)),
        contract.decoupled,
    )


def _spec(spec: tensor_pb2.TensorSpec) -> TensorSpec:
    if spec.datatype != BYTES and spec.datatype not in ELEMENT_BYTES:
        raise UnknownDatatype(f"tensor '{spec.name}' has the unknown datatype '{spec.datatype}'")
    nan_allowed = spec.nan_allowed or spec.datatype not in FLOATS
    # What a later release may add counts as the usual.
    known = spec.batch_dimension in _BATCH_DIMENSIONS
    batch_dimension = BatchDimension(spec.batch_dimension) if known else BatchDimension.ANY
    return TensorSpec(
        spec.name,
        spec.datatype,
        tuple(spec.shape),
        spec.optional,
        nan_allowed,
        batch_dimension,
        spec.minimum if spec.HasField("minimum") else None,
        spec.maximum if spec.HasField("maximum") else None,
    )
