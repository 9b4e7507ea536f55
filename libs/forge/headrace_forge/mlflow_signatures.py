"""The signature of a model of MLflow: names, datatypes and shapes of its inputs and outputs. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import invalid

_TYPES = {
    **dict.fromkeys(("boolean", "bool"), "BOOL"),
    **dict.fromkeys(("string", "str", "object"), "BYTES"),
    **dict(zip(("integer", "long", "float", "double"), ("INT32", "INT64", "FP32", "FP64"), strict=True)),
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}
_ROWS = 64
_WORDS = ("word", "other", "words of a text")


@dataclass(frozen=True, slots=True)
class Port:
    """A column or a tensor. name: empty where the signature has none. shape: of one row; None for a column."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature says; a side that has other types than columns and tensors is empty."""

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns of the inputs; empty where they are tensors, or one has no name."""
        named = all(one.shape is None and one.name for one in self.inputs)
        return tuple(one.name for one in self.inputs) if named else ()

    def contract(self) -> tensor_pb2.ServingContract | None:
        """Return the contract, None unless every input and output is a tensor with a name."""
        ports = (*self.inputs, *self.outputs)
        if not self.inputs or not self.outputs or not all(one.name and one.shape is not None for one in ports):
            return None
        made = tensor_pb2.ServingContract()
        for into, side in ((made.inputs, self.inputs), (made.outputs, self.outputs)):
            for one in side:
                into.add(name=one.name, datatype=one.datatype, shape=one.shape)
        return made

    def rows(self) -> dict[str, Any] | None:
        """Return rows to compare with, where columns have texts: without rows no converter knows which do.

        `generated` has the converter replace texts by those that the encoders of the model know.
        """
        if not self.columns or all(one.datatype != "BYTES" for one in self.inputs):
            return None
        dice = random.Random(0)
        inputs = {one.name: [[_value(one.datatype, dice)] for _ in range(_ROWS)] for one in self.inputs}
        return {"generated": True, "inputs": inputs}


def signature_of(document: Any, where: str) -> Signature:
    """Return the signature in the description of a model, empty where there is none. Raises InvalidArgument."""
    if not isinstance(document, dict):
        return Signature()
    return Signature(*(_side(document.get(side), f"{where}, signature.{side},") for side in ("inputs", "outputs")))


def names_of_values(signature: Signature, given: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the values of a model's one input, by the model or else by its signature.

    given: rows by input of the model. columns: as the model names them. Raises InvalidArgument where the model takes
    other inputs than the signature says.
    """
    one = given.get("features") if list(given) == ["features"] else None
    width = len(one[0]) if one and isinstance(one[0], list) else None
    if not signature.columns:
        (port,) = signature.inputs if len(signature.inputs) == 1 else (None,)
        if port is not None and port.shape is not None and len(port.shape) == 1 and width is not None:
            _check_width(port.shape[0], width)
        return tuple(columns)
    if width is not None and not columns:
        _check_width(len(signature.columns), width)
        return signature.columns
    stated = {name for name in signature.columns for name in (name, name.replace(" ", "_"))}  # as LightGBM has them
    if missing := [name for name in columns or given if name not in stated]:
        raise invalid("model", f"it takes '{missing[0]}', which its signature does not have: {_AGAIN}")
    for port in signature.inputs:
        values = given.get(port.name, ())
        texts = any(isinstance(value, str) for row in values for value in (row if isinstance(row, list) else [row]))
        if values and texts is not (port.datatype == "BYTES"):
            kind = "texts" if texts else "numbers"
            raise invalid("model", f"it takes {kind} as '{port.name}', which its signature has otherwise: {_AGAIN}")
    return tuple(columns)


_AGAIN = "log it with the signature of its inputs, or register its file without the folder"


def _check_width(stated: int, width: int) -> None:
    if stated not in (-1, width):
        raise invalid("model", f"it takes {width} values a row, and its signature has {stated}: {_AGAIN}")


def _side(written: Any, where: str) -> tuple[Port, ...]:
    if written is None:
        return ()
    try:
        ports = json.loads(written)
        found = [_port(one) for one in ports]
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError):
        raise invalid("model", f"{where} is no list of columns or tensors") from None
    return tuple(one for one in found if one is not None) if None not in found else ()


def _port(written: Mapping[str, Any]) -> Port | None:
    """Return a column or a tensor; None for a type that no tensor has, such as a time or an object."""
    name, tensor = str(written.get("name") or ""), written.get("tensor-spec")
    if tensor is None:
        datatype = _TYPES.get(str(written["type"]))
        return None if datatype is None else Port(name, datatype)
    datatype, shape = _TYPES.get(str(tensor["dtype"])), tuple(int(size) for size in tensor["shape"])
    return None if datatype is None or not shape else Port(name, datatype, shape[1:])


def _value(datatype: str, dice: random.Random) -> Any:
    if datatype == "BYTES":
        return dice.choice(_WORDS)
    if datatype == "BOOL":
        return float(dice.random() < 0.5)
    return dice.gauss(0, 1) if datatype.startswith("FP") else float(dice.randrange(10))
