"""What a row and a prediction of a contract look like to a program: fields with names that a language takes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.tensor.v1 import tensor_pb2

_FLOATS = ("FP16", "BF16", "FP32", "FP64")
_MAX_FIELDS = 256
# Words of TypeScript that Python does not have, and names that the generated classes use themselves.
_TAKEN = frozenset(
    {
        *("delete", "enum", "export", "extends", "function", "implements", "instanceof", "interface", "let", "new"),
        *("null", "package", "private", "protected", "public", "static", "super", "switch", "this", "throw", "typeof"),
        *("undefined", "var", "void", "const", "case", "catch", "debugger", "default", "do"),
    }
)


@dataclass(frozen=True, slots=True)
class Value:
    """The type of one value. kind: number, integer, boolean or text; depth: how many lists it is in."""

    kind: str
    depth: int
    nullable: bool


@dataclass(frozen=True, slots=True)
class Field:
    """One field. name: as the language has it; key: as the API has it."""

    name: str
    key: str
    value: Value
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A row or a prediction. fields: of an object, empty where it is one `value`. listed: whether the API takes the
    fields as a list in this order, because they are the columns of the one input."""

    fields: tuple[Field, ...]
    value: Value | None = None
    listed: bool = False


def row_of(inputs: Sequence[tensor_pb2.TensorSpec]) -> Shape:
    """Return what one row is: columns of the one input by name, the one input itself, or inputs by name."""
    if len(inputs) == 1:
        spec = inputs[0]
        if len(spec.shape) == 1 and 0 < len(spec.columns) == spec.shape[0] <= _MAX_FIELDS:
            each = Value(_kind(spec), 0, spec.nan_allowed)
            names = named(spec.columns)
            return Shape(
                tuple(Field(name, key, each) for name, key in zip(names, spec.columns, strict=True)), listed=True
            )
        return Shape((), _value(spec, answered=False))
    return Shape(_fields(inputs, answered=False))


def prediction_of(outputs: Sequence[tensor_pb2.TensorSpec]) -> Shape:
    """Return what one prediction is: the one output, or outputs by name."""
    return Shape((), _value(outputs[0], answered=True)) if len(outputs) == 1 else Shape(_fields(outputs, answered=True))


def named(keys: Sequence[str]) -> list[str]:
    """Return names that both languages take, each once, for keys that may hold anything."""
    names: list[str] = []
    for key in keys:
        name = re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_") or "field"
        if name[0].isdigit() or keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _TAKEN:
            name = f"field_{name}"
        at, unique = 2, name
        while unique in names:
            unique, at = f"{name}_{at}", at + 1
        names.append(unique)
    return names


def class_name(model: str) -> str:
    """Return a model's name as a class's: `car-loan` is CarLoan."""
    name = "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", model))
    return name if name[:1].isalpha() else f"Model{name}"


def _fields(specs: Sequence[tensor_pb2.TensorSpec], *, answered: bool) -> tuple[Field, ...]:
    names = named([spec.name for spec in specs])
    found = [
        Field(name, spec.name, _value(spec, answered=answered), spec.optional)
        for name, spec in zip(names, specs, strict=True)
    ]
    return tuple(sorted(found, key=lambda field: field.optional))  # those with a default come last


def _value(spec: tensor_pb2.TensorSpec, *, answered: bool) -> Value:
    return Value(_kind(spec), len(spec.shape), spec.datatype in _FLOATS and (answered or spec.nan_allowed))


def _kind(spec: tensor_pb2.TensorSpec) -> str:
    if spec.datatype in _FLOATS:
        return "number"
    return {"BOOL": "boolean", "BYTES": "text"}.get(spec.datatype, "integer")
