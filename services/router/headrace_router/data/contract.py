"""The serving contract of a version: what callers may rely on, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headrace.tensor.v1 import tensor_pb2

from headrace_router.datatypes import ELEMENT_BYTES


class Spec(NamedTuple):
    """One tensor of a contract. shape: of one row, -1 for a dimension that varies; columns: names, or empty.

    sensitive: whether its values must never be stored or logged.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False
    nan_allowed: bool = False
    columns: tuple[str, ...] = ()
    sensitive: bool = False


class Contract(NamedTuple):
    """What callers of a version may rely on. prediction: position of the output that is the prediction. decoupled:
    whether it answers in parts."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    prediction: int = 0
    decoupled: bool = False


def sensitive_names(contract: Contract) -> frozenset[str]:
    """Return the names of sensitive tensors and of their columns, casefolded."""
    specs = [spec for spec in (*contract.inputs, *contract.outputs) if spec.sensitive]
    return frozenset(name.casefold() for spec in specs for name in (spec.name, *spec.columns))


def contract_of(proto: tensor_pb2.ServingContract) -> Contract:
    """Return the contract. Raises ValueError for one that cannot be served (an unknown datatype, no tensors)."""
    inputs, outputs = tuple(map(_spec_of, proto.inputs)), tuple(map(_spec_of, proto.outputs))
    if not inputs or not outputs:
        raise ValueError("a contract needs at least one input and one output")
    names = [spec.name for spec in outputs]
    if proto.prediction and proto.prediction not in names:
        raise ValueError(f"prediction {proto.prediction!r} is not an output")
    prediction = names.index(proto.prediction) if proto.prediction else 0
    return Contract(inputs, outputs, prediction, proto.decoupled)


def fits(spec: Spec, shape: Sequence[int]) -> bool:
    """Return whether a whole shape is one that the contract allows, whatever the rows: work on others is wasted."""
    return len(shape) == len(spec.shape) + 1 and all(
        size == want or (want == -1 and size >= 0) for size, want in zip(shape[1:], spec.shape, strict=True)
    )


def _spec_of(proto: tensor_pb2.TensorSpec) -> Spec:
    if proto.datatype != "BYTES" and proto.datatype not in ELEMENT_BYTES:
        raise ValueError(f"tensor {proto.name!r} has unknown datatype {proto.datatype!r}")
    return Spec(
        proto.name,
        proto.datatype,
        tuple(proto.shape),
        proto.optional,
        proto.nan_allowed,
        tuple(proto.columns),
        proto.sensitive,
    )
