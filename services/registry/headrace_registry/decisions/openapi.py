"""How a model is asked for predictions over REST: an OpenAPI 3.1 document with the names and types of its contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace_registry.decisions.models import Contract, TensorSpec, VersionRef

Schema = dict[str, Any]

_INTEGERS = {"INT8": 7, "INT16": 15, "INT32": 31, "INT64": 63}
_NATURALS = {"UINT8": 8, "UINT16": 16, "UINT32": 32, "UINT64": 64}
_FORMATS = {"FP32": "float", "FP64": "double", "INT32": "int32", "INT64": "int64"}


def document(ref: VersionRef, contract: Contract) -> Schema:
    """Return the document. It depends on nothing but its arguments, so that two of them can be compared."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Predictions of {ref.model}",
            "version": ref.version,
            "description": "Made from the serving contract. Rows are checked against it; a wrong one is answered 400, "
            "naming the field.",
        },
        "paths": {
            f"/v1/models/{ref.model}:predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Predict one or more rows.",
                    "security": [{"bearer": []}],
                    "requestBody": {"required": True, "content": _json("PredictRequest")},
                    "responses": {
                        "200": {"description": "One prediction for each row.", "content": _json("PredictResponse")},
                        "default": {"description": "Refused or failed.", "content": _json("Error")},
                    },
                }
            }
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Row": row_schema(contract.inputs),
                "Prediction": prediction_schema(contract.outputs),
                "PredictRequest": _request(),
                "PredictResponse": _response(),
                "Error": {
                    "type": "object",
                    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
                },
            },
        },
    }


def row_schema(inputs: Sequence[TensorSpec]) -> Schema:
    """Return what one row is: the value of the only input, or an object by input name."""
    if len(inputs) == 1:
        return tensor_schema(inputs[0])
    return {
        "type": "object",
        "properties": {spec.name: tensor_schema(spec) for spec in inputs},
        "required": [spec.name for spec in inputs if not spec.optional],
        "additionalProperties": False,
    }


def prediction_schema(outputs: Sequence[TensorSpec]) -> Schema:
    """Return what one prediction is: the value of the only output, or an object by output name."""
    if len(outputs) == 1:
        return tensor_schema(outputs[0], answered=True)
    return {
        "type": "object",
        "properties": {spec.name: tensor_schema(spec, answered=True) for spec in outputs},
        "required": [spec.name for spec in outputs],
    }


def tensor_schema(spec: TensorSpec, *, answered: bool = False) -> Schema:
    """Return what one row of a tensor is: a value, or lists as deep as its shape. answered: whether it is an output."""
    schema = _value(spec, answered=answered)
    for at, size in reversed(list(enumerate(spec.shape))):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
        if at == 0 and spec.columns:
            schema["description"] = "In this order: " + ", ".join(spec.columns)
    description = schema.get("description", "")
    schema["description"] = f"{spec.datatype}. {description}" if description else spec.datatype
    if spec.minimum is not None or spec.maximum is not None:
        schema["x-expected-range"] = [spec.minimum, spec.maximum]
    return schema


def _value(spec: TensorSpec, *, answered: bool) -> Schema:
    kind = spec.datatype
    if kind == "BOOL":
        return {"type": "boolean"}
    if kind == "BYTES":
        return {"type": "string"}
    found: Schema = {"format": _FORMATS[kind]} if kind in _FORMATS else {}
    if kind in _INTEGERS:
        bits = _INTEGERS[kind]
        return {"type": "integer", "minimum": -(2**bits), "maximum": 2**bits - 1, **found}
    if kind in _NATURALS:
        return {"type": "integer", "minimum": 0, "maximum": 2 ** _NATURALS[kind] - 1, **found}
    # JSON has no NaN: null stands for it.
    return {"type": ["number", "null"] if spec.nan_allowed or answered else "number", **found}


def _request() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["instances"],
        "additionalProperties": False,
        "properties": {
            "instances": {"type": "array", "minItems": 1, "items": _ref("Row")},
            "user_id": text,
            "entity_id": text,
            "version": text,
            "request_id": text,
            "attributes": {"type": "object", "additionalProperties": text},
        },
    }


def _response() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["predictions", "model", "model_version", "prediction_id", "request_id"],
        "properties": {
            "predictions": {"type": "array", "items": _ref("Prediction")},
            **dict.fromkeys(("model", "model_version", "variant", "prediction_id", "served_from", "request_id"), text),
            "generation": {"type": "integer"},
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": _ref(name)}}
