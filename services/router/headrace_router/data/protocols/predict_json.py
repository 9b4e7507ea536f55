"""`POST /v1/predict`: the body that the specification shows.

{"model_name": …, "model_version": …, "inputs": {name: value or rows}, "request_id": …, "metadata": {…}} →
{"prediction": […], "model_version": "v2", "latency_ms": …, "served_from": "online", …}. The metadata may name `user_id`
and `entity_id`; as in the specification, `inputs.entity_id` names the entity too. All else in it are attributes, which
rules look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from headrace_servicekit.errors import FieldViolation

from headrace_router.data.answer.answer import Answer
from headrace_router.data.protocols.json_body import body_of, dump, outputs_of, tensors_of, text, texts, why_of, wrong
from headrace_router.data.protocols.values import Where
from headrace_router.data.request.request import Request, Tensors
from headrace_router.data.tables.contract import MAX_VIOLATIONS, Contract, Spec, invalid, rows_fault

FIELDS = ("model_name", "model_version", "inputs", "request_id", "metadata")
ENTITY = "entity_id"


def parse(data: bytes) -> tuple[Request, Mapping[str, Any]]:
    """Return the request of a body, and its inputs, which `render` needs again. Raises InvalidArgument."""
    body = body_of(data, FIELDS)
    model = text(body, "model_name")
    if not model:
        raise wrong("model_name", "a model must be named")
    attributes = texts(body, "metadata")
    user_id, entity_id = attributes.pop("user_id", ""), attributes.pop(ENTITY, "")
    inputs = body.get("inputs", {})
    if not isinstance(inputs, dict) or not (inputs or entity_id):
        raise wrong("inputs", "an object of values by input name is needed")
    request = Request(
        model,
        lambda contract, max_rows: tensors(contract, max_rows, inputs),
        text(body, "model_version"),
        text(body, "request_id"),
        user_id,
        entity_id or _entity_of(inputs),
        attributes=attributes,
    )
    return request, inputs


def render(answer: Answer, inputs: Mapping[str, Any]) -> bytes:
    """Return the body of an answer: one item per row, or the values of the only row when no input was given as rows."""
    contract = answer.contract
    rows = outputs_of(answer)[contract.outputs[contract.prediction].name]
    if not any(given_as_rows(spec, inputs[spec.name]) for spec in contract.inputs if spec.name in inputs):
        rows = rows[0] if isinstance(rows[0], (list, np.ndarray)) else rows
    return dump(
        {
            "prediction": rows,
            "model_name": answer.model,
            "model_version": answer.version,
            "latency_ms": round(answer.took_s * 1000, 3),
            "served_from": answer.served_from.name.lower(),
            "variant": answer.variant,
            "prediction_id": answer.prediction_id,
            "request_id": answer.request_id,
            "generation": answer.generation,
            **why_of(answer),
        }
    )


def tensors(contract: Contract, max_rows: int, inputs: Mapping[str, Any]) -> Tensors:
    """Return the inputs as tensors. Raises InvalidArgument that names inputs and rows (`inputs.pixels[3]`)."""
    names = [spec.name for spec in contract.inputs]
    unknown = [
        FieldViolation(f"inputs.{name[:64]}", f"unknown input; known: {', '.join(map(repr, names))}")
        for name in islice((name for name in inputs if name not in names and name != ENTITY), MAX_VIOLATIONS)
    ]
    if unknown:
        raise invalid(unknown)
    rows: dict[str, Sequence[Any]] = {}
    where: dict[str, Where] = {}
    faults: list[FieldViolation] = []
    for spec in contract.inputs:
        if spec.name in inputs:
            value = inputs[spec.name]
            as_rows = given_as_rows(spec, value)
            rows[spec.name] = value if as_rows else [value]
            where[spec.name] = _where(spec.name, as_rows)
            if fault := rows_fault(spec.name, len(rows[spec.name]), max_rows):
                faults.append(FieldViolation(f"inputs.{spec.name}", fault))
    if faults:
        raise invalid(faults)
    return tensors_of(contract, rows, where, {name: f"inputs.{name}" for name in names})


def given_as_rows(spec: Spec, value: Any) -> bool:
    """Return whether a value is a list of rows rather than one row: by how deep its lists go."""
    depth = 0
    while isinstance(value, list) and value:
        value = value[0]
        depth += 1
    if isinstance(value, list):  # an empty one
        depth += 1
    if isinstance(value, dict) and spec.datatype != "BYTES":  # a row by column names
        return depth > 0
    return depth > len(spec.shape)


def _entity_of(inputs: Mapping[str, Any]) -> str:
    value = inputs.get(ENTITY)
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _where(name: str, as_rows: bool) -> Where:
    return lambda row: f"inputs.{name}[{row}]" if as_rows else f"inputs.{name}"
