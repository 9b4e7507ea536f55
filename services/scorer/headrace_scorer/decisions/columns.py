"""Which columns of an input each tensor of a contract is made of, and everything that does not fit. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace_runtime.contract import BYTES, Contract, TensorSpec

from headrace_scorer.decisions.specs import ColumnExpression, Spec, TensorColumns

_SHOWN = 8


class Kind(enum.StrEnum):
    """What a column has in each row, as far as a tensor can be made of it."""

    BOOLEAN = "booleans"
    INTEGER = "integers"
    FLOAT = "numbers"
    TEXT = "texts"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Column:
    """A column. listed: rows are lists of the kind; length: of every list, where the type says it. type: for people."""

    name: str
    kind: Kind
    type: str
    listed: bool = False
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that does not fit. field: of the request."""

    field: str
    description: str


_TAKEN: Mapping[Kind, str] = {
    Kind.BOOLEAN: "BOOL",
    Kind.INTEGER: "UINT8 INT8 UINT16 INT16 UINT32 INT32 UINT64 INT64 FP16 FP32 FP64",
    # Numbers that are whole fit integers; others are rejected row by row.
    Kind.FLOAT: "UINT8 INT8 UINT16 INT16 UINT32 INT32 UINT64 INT64 FP16 FP32 FP64",
    Kind.TEXT: BYTES,
    Kind.OTHER: "",
}


def elements(spec: TensorSpec) -> int:
    """Return how many elements one row of a tensor has."""
    return math.prod(spec.row_shape)


def mapped(
    contract: Contract, columns: Sequence[Column], tensors: Sequence[TensorColumns]
) -> tuple[tuple[TensorColumns, ...], list[Mismatch]]:
    """Return the columns of each input that is given, in the contract's order, and everything that does not fit.

    An input that no entry of `tensors` names is made of the column of its name, or, of several elements, of columns
    `name_0`, `name_1` and so on; without any it is left out if it is optional.
    """
    known = {column.name: column for column in columns}
    wrong = [
        Mismatch(
            "spec.tensors", f"the version has no input '{one.tensor}': it has {_names(s.name for s in contract.inputs)}"
        )
        for one in tensors
        if all(spec.name != one.tensor for spec in contract.inputs)
    ]
    named: dict[str, TensorColumns] = {}
    for one in tensors:
        if one.tensor in named:
            wrong.append(Mismatch("spec.tensors", f"input '{one.tensor}' is named twice"))
        named[one.tensor] = one
    found: list[TensorColumns] = []
    for spec in contract.inputs:
        one = named.get(spec.name) or _by_name(spec, known)
        if one is None:
            if not spec.optional:
                message = f"needs input '{spec.name}', and the input has no column of this name: name its columns"
                wrong.append(Mismatch("spec.tensors", f"the version {message}. There are {_names(known)}"))
            continue
        problems = list(_problems(spec, one, known))
        wrong += problems
        if not problems:
            found.append(one)
    return tuple(found), wrong


def misnamed(spec: Spec, columns: Iterable[str], outputs: Iterable[str]) -> list[Mismatch]:
    """Return what is wrong with the names of derived, kept and output columns. outputs: of the version."""
    names = set(columns)
    wrong = [*_repeated("spec.derived_columns", spec.derived), *_repeated("spec.output_columns", spec.outputs)]
    wrong += [
        Mismatch("spec.derived_columns", f"the input has a column '{one.column}' already: choose another name")
        for one in spec.derived
        if one.column in names
    ]
    there = names | {one.column for one in spec.derived}
    wrong += [
        Mismatch("spec.keep_columns", f"there is no column '{name}' to keep: there are {_names(sorted(there))}")
        for name in spec.keep
        if name not in there
    ]
    written = [one.column for one in spec.outputs] or list(outputs)
    wrong += [
        Mismatch("spec.keep_columns", f"column '{name}' would stand in the output twice: rename one by an expression")
        for name in spec.keep
        if name in written
    ]
    if len(set(spec.keep)) < len(spec.keep):
        wrong.append(Mismatch("spec.keep_columns", "a column is named twice"))
    return wrong


def _by_name(spec: TensorSpec, known: Mapping[str, Column]) -> TensorColumns | None:
    if spec.name in known:
        return TensorColumns(spec.name, (spec.name,))
    each = tuple(f"{spec.name}_{at}" for at in range(elements(spec))) if elements(spec) > 1 else ()
    return TensorColumns(spec.name, each) if each and all(name in known for name in each) else None


def _problems(spec: TensorSpec, one: TensorColumns, known: Mapping[str, Column]) -> Iterable[Mismatch]:
    field, count = "spec.tensors", elements(spec)
    if any(size < 0 for size in spec.row_shape):
        message = f"input '{spec.name}' has rows of the shape {list(spec.row_shape)}, which varies"
        yield Mismatch(field, f"{message}: offline scoring takes inputs of one shape only")
        return
    missing = [name for name in one.columns if name not in known]
    if missing:
        yield Mismatch(field, f"input '{spec.name}': there is no column {_names(missing)}. There are {_names(known)}")
        return
    columns = [known[name] for name in one.columns]
    listed = [column for column in columns if column.listed]
    if listed and len(columns) > 1:
        yield Mismatch(
            field, f"input '{spec.name}': column '{listed[0].name}' has lists, and must be the only one then"
        )
    elif not listed and len(columns) != count:
        has = f"rows of {count} elements, shape {list(spec.row_shape)}"
        yield Mismatch(field, f"input '{spec.name}' has {has}, and {len(columns)} columns are named")
    elif listed and listed[0].length is not None and listed[0].length != count:
        message = f"input '{spec.name}' has rows of {count} elements, and lists of column '{listed[0].name}' have"
        yield Mismatch(field, f"{message} {listed[0].length}")
    for column in columns:
        if spec.datatype not in _TAKEN[column.kind].split():
            message = f"input '{spec.name}' is {spec.datatype}, and column '{column.name}' has {column.type}"
            yield Mismatch(field, f"{message}: convert it in a derived column")


def _repeated(field: str, columns: Sequence[ColumnExpression]) -> list[Mismatch]:
    names = [one.column for one in columns]
    return [Mismatch(field, f"column '{name}' is named twice") for name in sorted(set(names)) if names.count(name) > 1]


def _names(names: Iterable[str]) -> str:
    """Return names for people, not all of very many."""
    every = [f"'{name}'" for name in names]
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return (", ".join(every[:_SHOWN]) or "none") + more
