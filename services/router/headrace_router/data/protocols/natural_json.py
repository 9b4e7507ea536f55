"""`POST /v1/models/{model}:predict`: rows as people write them.

{"instances": [row, …]} → {"predictions": [prediction, …], …}. A row is a list for a model with one input, an object by
input name for several; where the contract names columns, an object by column name does as well. Optional: user_id,
entity_id, version, request_id, attributes. Where a route only looks up what was computed beforehand, entity_id is
enough. A prediction is the value of the only output, or an object by output name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from headrace_servicekit.errors import FieldViolation

from headrace_router.data.answer.answer import Answer
from headrace_router.data.protocols.json_body import body_of, dump, outputs_of, tensors_of, text, texts, why_of, wrong
from headrace_router.data.protocols.parts import MAX_ROWS
from headrace_router.data.protocols.values import Where
from headrace_router.data.request.request import Request, Tensors
from headrace_router.data.tables.contract import MAX_VIOLATIONS, Contract, Spec, invalid, rows_fault

FIELDS = ("instances", "user_id", "entity_id", "version", "request_id", "attributes")


def parse(model: str, data: bytes) -> Request:
    """Return the request of a body. Raises InvalidArgument; wrong rows are found once the contract is known."""
    body = body_of(data, FIELDS)
    return _request(model, body, body.get("instances"))


def parts(model: str, data: bytes, most_rows: int) -> Iterator[tuple[int, Request]]:
    """Yield the request of a body in parts of at most so many rows, each with the position of its first one.

    Raises InvalidArgument before the first.
    """
    body = body_of(data, FIELDS)
    instances = body.get("instances")
    rows = len(instances) if isinstance(instances, list) else 0
    if rows > MAX_ROWS:
        raise wrong("instances", f"{rows} rows are more than are taken in one call: at most {MAX_ROWS}")
    whole = _request(model, body, instances)
    if rows <= most_rows:
        return iter([(0, whole)])
    assert isinstance(instances, list)
    return (
        (first, replace(whole, read=partial(tensors, instances=instances[first : first + most_rows], first_row=first)))
        for first in range(0, rows, most_rows)
    )


def _request(model: str, body: dict[str, Any], instances: Any) -> Request:
    if instances is None and body.get("entity_id"):
        read = _nothing
    elif not isinstance(instances, list):
        raise wrong("instances", "a list of rows is needed")
    elif not instances:
        raise wrong("instances", "at least one row is needed")
    else:
        read = partial(tensors, instances=instances)
    return Request(
        model,
        read,
        text(body, "version"),
        text(body, "request_id"),
        text(body, "user_id"),
        text(body, "entity_id"),
        attributes=texts(body, "attributes"),
    )


def render(answer: Answer, **more: Any) -> bytes:
    """Return the body of an answer. more: fields before the others."""
    outputs = outputs_of(answer)
    if len(outputs) == 1:
        predictions: Any = next(iter(outputs.values()))
    else:
        predictions = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return dump(
        {
            **more,
            "predictions": predictions,
            "model": answer.model,
            "model_version": answer.version,
            "variant": answer.variant,
            "prediction_id": answer.prediction_id,
            "served_from": answer.served_from.name.lower(),
            "request_id": answer.request_id,
            "generation": answer.generation,
            **why_of(answer),
        }
    )


def tensors(contract: Contract, max_rows: int, instances: Sequence[Any], first_row: int = 0) -> Tensors:
    """Return the rows as tensors. Raises InvalidArgument that names rows and inputs (`instances[3].pixels`).

    first_row: position of the first one, among those that errors count from.
    """
    fields = {spec.name: f"instances.{spec.name}" for spec in contract.inputs}
    first = contract.inputs[0].name
    if fault := rows_fault(first, len(instances), max_rows):
        raise invalid([FieldViolation(fields[first], fault)])
    only = contract.inputs[0] if len(contract.inputs) == 1 else None
    if only is not None:
        columns = {only.name: [row[only.name] if _by_name(only, row) else row for row in instances]}
    else:
        columns = _columns(contract, instances, first_row)
    return tensors_of(contract, columns, {name: _where(name, first_row) for name in columns}, fields)


def _nothing(_contract: Contract, _max_rows: int) -> Tensors:
    return Tensors((), (), whole="instances")


def _by_name(only: Spec, row: Any) -> bool:
    return type(row) is dict and len(row) == 1 and only.name in row


def _columns(contract: Contract, instances: Sequence[Any], first_row: int) -> dict[str, Sequence[Any]]:
    """Return the values of each input, row by row, from rows that are objects by input name."""
    names = [spec.name for spec in contract.inputs]
    needed = [spec.name for spec in contract.inputs if not spec.optional]
    violations: list[FieldViolation] = []
    first: dict[str, Any] = instances[0] if isinstance(instances[0], dict) else {}
    for index, row in enumerate(instances, first_row):
        where = f"instances[{index}]"
        if not isinstance(row, dict):
            violations.append(FieldViolation(where, f"an object with {', '.join(map(repr, names))} is needed"))
        else:
            violations += [
                FieldViolation(f"{where}.{name[:64]}", f"unknown input; known: {', '.join(map(repr, names))}")
                for name in islice((name for name in row if name not in names), MAX_VIOLATIONS)
            ]
            violations += [FieldViolation(where, f"input '{name}' is missing") for name in needed if name not in row]
            violations += [
                FieldViolation(where, f"input '{name}' is given in some rows and left out in others")
                for name in names
                if name not in needed and (name in row) != (name in first)
            ]
        if len(violations) >= MAX_VIOLATIONS:
            break
    if violations:
        raise invalid(violations)
    return {name: [row[name] for row in instances] for name in names if name in first}


def _where(name: str, first_row: int) -> Where:
    return lambda row: f"instances[{first_row + row}].{name}"
