"""The serving contract of a version, and whether the tensors of a request keep it.

The check of a description (names, datatypes, shapes) gives a Layout. No value is ever decoded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument, refusal

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


ANY_LENGTH = -1
LENGTH_PREFIX_BYTES = 4
# A walk over the length prefixes of BYTES takes 0.15 µs per element, in which the event loop serves no other request.
MAX_BYTES_ELEMENTS = 16_384
MAX_SHOWN = 16
# Of one refusal: more would not fit into a status.
MAX_VIOLATIONS = 20
# Inputs, or outputs, of one request: twice as many as a contract may have. More are not even read, for each takes some
# microseconds, and a request has room for millions.
MAX_TENSORS = 128
# Of one tensor: twice as many as a contract may give a row. Their product is a number of any length.
MAX_DIMENSIONS = 16
CONTRACT_VIOLATED = "CONTRACT_VIOLATED"

Described = tuple[tuple[str | int, ...], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How tensors of one description are laid out.

    order: for each input present, in the order of the contract, its position in the request. absent: positions in the
    contract of inputs left out. dims: sizes of the variable dimensions of those present.
    lengths: bytes that each tensor must have, in the request's order; ANY_LENGTH for BYTES. elements: values of each.
    in_order: whether the request has the inputs in the order of the contract. size_bytes: of all tensors; ANY_LENGTH
    when BYTES is among them.
    """

    rows: int
    order: tuple[int, ...]
    absent: tuple[int, ...]
    dims: tuple[int, ...]
    lengths: tuple[int, ...]
    elements: tuple[int, ...]
    in_order: bool
    size_bytes: int = 0


def select(contract: Contract, outputs: Sequence[str]) -> tuple[int, ...]:
    """Return the positions in the contract of the named outputs. Raises InvalidArgument for unknown names."""
    positions = {spec.name: position for position, spec in enumerate(contract.outputs)}
    unknown = [
        FieldViolation(f"outputs[{index}]", f"unknown output '{name}'; the version has {_listed(positions)}")
        for index, name in enumerate(outputs)
        if name not in positions
    ]
    if unknown:
        raise invalid(unknown)
    return tuple(sorted({positions[name] for name in outputs}))


def check(contract: Contract, described: Described, max_rows: int) -> Layout:
    """Check descriptions against the contract. Raises InvalidArgument that names every violation."""
    specs = {spec.name: spec for spec in contract.inputs}
    wrong: list[FieldViolation] = []
    for index, (name, times) in enumerate(_first_seen(described)):
        if times > 1:
            wrong.append(FieldViolation(f"inputs[{index}].name", f"input '{name}' is given {times} times"))
    for index, (name, datatype, *shape) in enumerate(described):
        spec = specs.get(str(name))
        if spec is None:
            wrong.append(FieldViolation(f"inputs[{index}].name", f"unknown input '{name}'; known: {_listed(specs)}"))
            continue
        if datatype != spec.datatype:
            description = f"input '{name}' is {datatype or 'without datatype'}, not {spec.datatype}"
            wrong.append(FieldViolation(f"inputs[{index}].datatype", description))
        elif fault := _shape_fault(spec, shape, max_rows):
            wrong.append(FieldViolation(f"inputs[{index}].shape", fault))
    given = {str(one[0]): index for index, one in enumerate(described)}
    wrong += [
        FieldViolation("inputs", f"input '{spec.name}' is missing")
        for spec in contract.inputs
        if spec.name not in given and not spec.optional
    ]
    if not described and not wrong:
        wrong.append(FieldViolation("inputs", f"at least one input must be given; known: {_listed(specs)}"))
    if not wrong:
        wrong += _row_faults(described)
    if wrong:
        raise invalid(wrong)
    return _layout(contract, described, given)


def check_count(field: str, count: int) -> None:
    """Check how many inputs or outputs a request names. Raises InvalidArgument."""
    if count > MAX_TENSORS:
        raise invalid([FieldViolation(field, f"{count} tensors are more than any version has: at most {MAX_TENSORS}")])


def rows_fault(name: str, rows: int, max_rows: int) -> str:
    """Say what is wrong with the number of rows of an input, or nothing."""
    if rows < 1:
        return f"input '{name}' has {rows} rows; at least one is needed"
    if rows > max_rows:
        return (
            f"input '{name}' has {rows} rows; at most {max_rows} are taken in one request: send fewer, or all of them "
            "by PredictStream (`:predictStream`, `headrace predict --stream`)"
        )
    return ""


def check_contents(layout: Layout, described: Described, contents: Sequence[bytes]) -> None:
    """Check the lengths of the raw values. Raises InvalidArgument that names every violation."""
    if len(contents) != len(layout.lengths):
        description = (
            f"{len(contents)} items for {len(layout.lengths)} inputs: give one per input, in the order of `inputs`"
        )
        raise invalid([FieldViolation("raw_input_contents", description)])
    wrong: list[FieldViolation] = []
    for index, (content, length) in enumerate(zip(contents, layout.lengths, strict=True)):
        if length == ANY_LENGTH:
            fault = bytes_fault(content, layout.elements[index])
        elif len(content) != length:
            fault = f"{len(content)} bytes where datatype and shape need {length}"
        else:
            continue
        if fault:
            wrong.append(FieldViolation(f"raw_input_contents[{index}]", f"input '{described[index][0]}' has {fault}"))
    if wrong:
        raise invalid(wrong)


def bytes_fault(content: bytes, elements: int) -> str:
    """Say what is wrong with the structure of a BYTES tensor, or nothing. The values themselves are not looked at."""
    at, size = 0, len(content)
    if size < elements * LENGTH_PREFIX_BYTES:
        return f"{size} bytes, too few for {elements} elements behind 4-byte lengths"
    for element in range(elements):
        end = at + LENGTH_PREFIX_BYTES
        if end > size:
            return f"no length of element {element}: the content ends at byte {size}"
        at = end + int.from_bytes(content[at:end], "little")
        if at > size:
            return f"element {element} reaching to byte {at} of {size}"
    return f"{size - at} bytes after its {elements} elements" if at != size else ""


def invalid(violations: Sequence[FieldViolation]) -> InvalidArgument:
    """Return the error for requests that break the contract; its message is the first violation."""
    return refusal(violations, reason=CONTRACT_VIOLATED)


def shown(shape: Sequence[str | int]) -> str:
    """Return a shape as text. A message may hold millions of sizes, too many to print."""
    more = [] if len(shape) <= MAX_SHOWN else ["…"]
    return f"[{', '.join([*map(str, shape[:MAX_SHOWN]), *more])}]"


def _first_seen(described: Described) -> list[tuple[str, int]]:
    """Return (name, times given) at each position; times is 1 at all but the first position of a repeated name."""
    times, seen, result = Counter(str(one[0]) for one in described), set(), []
    for one in described:
        name = str(one[0])
        result.append((name, 1 if name in seen else times[name]))
        seen.add(name)
    return result


def _shape_fault(spec: Spec, shape: Sequence[str | int], max_rows: int) -> str:
    wanted = ["rows", *("any" if size == -1 else str(size) for size in spec.shape)]
    description = f"input '{spec.name}' has shape {shown(shape)}, not [{', '.join(wanted)}]"
    if len(shape) != len(spec.shape) + 1:
        return description
    rows, *sizes = (int(size) for size in shape)
    if any(size != want and want != -1 for size, want in zip(sizes, spec.shape, strict=True)):
        return description
    if any(size < 0 for size in sizes):
        return f"input '{spec.name}' has a negative dimension: {shown(shape)}"
    if fault := rows_fault(spec.name, rows, max_rows):
        return fault
    if spec.datatype == "BYTES" and rows * math.prod(sizes) > MAX_BYTES_ELEMENTS:
        return f"input '{spec.name}' has more than {MAX_BYTES_ELEMENTS} BYTES elements; split the request"
    return ""


def _row_faults(described: Described) -> list[FieldViolation]:
    rows = described[0][2]
    return [
        FieldViolation(f"inputs[{index}].shape", f"input '{one[0]}' has {one[2]} rows, '{described[0][0]}' has {rows}")
        for index, one in enumerate(described)
        if one[2] != rows
    ]


def _layout(contract: Contract, described: Described, given: dict[str, int]) -> Layout:
    order, absent, dims = [], [], []
    for position, spec in enumerate(contract.inputs):
        index = given.get(spec.name)
        if index is None:
            absent.append(position)
            continue
        order.append(index)
        sizes = described[index][3:]
        dims += [int(size) for size, want in zip(sizes, spec.shape, strict=True) if want == -1]
    elements = tuple(math.prod(int(size) for size in one[2:]) for one in described)
    lengths = tuple(
        count * ELEMENT_BYTES[str(one[1])] if one[1] != "BYTES" else ANY_LENGTH
        for one, count in zip(described, elements, strict=True)
    )
    return Layout(
        int(described[0][2]),
        tuple(order),
        tuple(absent),
        tuple(dims),
        lengths,
        elements,
        order == sorted(order),
        ANY_LENGTH if ANY_LENGTH in lengths else sum(lengths),
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
