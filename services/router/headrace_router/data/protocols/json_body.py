"""What the JSON codecs share: reading a body strictly, and the outputs of an answer by name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from headrace.router.v1 import predict_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_router.data.answer.answer import Answer
from headrace_router.data.protocols.values import Where, WrongValues, decode, encode
from headrace_router.data.request.request import (
    EXPLAIN_HEADER,
    MAX_AGE_HEADER,
    MAX_ATTRIBUTES,
    MAX_TEXT_CHARS,
    Tensors,
)
from headrace_router.data.tables.contract import MAX_VIOLATIONS, Contract, invalid

# Fields of the gRPC message that the natural bodies leave to headers.
_BY_HEADER = {
    "max_age": f"unknown field; send the header '{MAX_AGE_HEADER}: MILLISECONDS' instead",
    "explain": f"unknown field; send the header '{EXPLAIN_HEADER}: 1' instead",
}


def body_of(data: bytes, known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of a natural prediction's body. Raises as `document`; names the header for its fields."""
    return document(data, known, _BY_HEADER)


def document(data: bytes, known: Collection[str], elsewhere: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object of a body. elsewhere: what to say of unknown fields that can be said otherwise.

    Raises InvalidArgument with the position of what is no JSON, for unknown fields, because a misspelt option must not
    become a default, and for what is given twice, because only one of them would count.
    """
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise wrong("body", f"not JSON: {error}", reason="MALFORMED_JSON") from None
    if not isinstance(body, dict):
        raise wrong("body", "a JSON object is needed", reason="MALFORMED_JSON")
    unknown = [
        FieldViolation(name[:64], (elsewhere or {}).get(name) or f"unknown field; known: {', '.join(known)}")
        for name in islice((name for name in body if name not in known), MAX_VIOLATIONS)
    ]
    if unknown:
        first = unknown[0]
        problem = f"{first.field}: {first.description}"
        raise InvalidArgument(problem, reason="UNKNOWN_FIELD", violations=unknown)
    try:
        twice = repeated(data, body)
    except ValueError as error:
        raise wrong("body", str(error), reason="MALFORMED_JSON") from None
    if twice is not None:
        raise wrong(twice[:64], "given twice in one object", reason="REPEATED_FIELD")
    return body


def text(body: dict[str, Any], field: str, *, path: str = "") -> str:
    """Return a text field, empty when absent. Raises InvalidArgument."""
    value = body.get(field)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise wrong(f"{path}{field}", f"a string of at most {MAX_TEXT_CHARS} characters is needed")
    return value


def texts(body: dict[str, Any], field: str) -> dict[str, str]:
    """Return an object of strings, empty when absent; null is not there. Raises InvalidArgument."""
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(field, "an object of strings is needed")
    if len(value) > MAX_ATTRIBUTES:
        raise wrong(field, f"has {len(value)} members; at most {MAX_ATTRIBUTES} are taken")
    return {name: text(value, name, path=f"{field}.") for name, one in value.items() if one is not None}


def wrong(field: str, problem: str, *, reason: str = "INVALID_FIELD") -> InvalidArgument:
    """Return the error for one field."""
    return InvalidArgument(f"{field}: {problem}", reason=reason, violations=[FieldViolation(field, problem)])


def tensors_of(
    contract: Contract, columns: Mapping[str, Sequence[Any]], where: Mapping[str, Where], fields: Mapping[str, str]
) -> Tensors:
    """Return the tensors of inputs that are given as one JSON value per row, in the order of the contract.

    where: names a row of an input for errors; fields: names an input. Raises InvalidArgument with all violations.
    """
    described: list[tuple[str | int, ...]] = []
    contents: list[bytes] = []
    violations: list[FieldViolation] = []
    present = [spec for spec in contract.inputs if spec.name in columns]
    for spec in present:
        try:
            rows = columns[spec.name]
            content, shape = encode(spec, rows, where[spec.name])
        except WrongValues as error:
            violations += error.violations
            continue
        described.append((spec.name, spec.datatype, len(rows), *shape))
        contents.append(content)
    if violations:
        raise invalid(violations)
    return Tensors(tuple(described), tuple(contents), tuple(fields[spec.name] for spec in present))


def why_of(answer: Answer) -> dict[str, str | int | list[str]]:
    """Return the fields that are there only when they say something.

    The age of an answer that was kept; the rule that chose the variant, unless the weights did; the fallback that
    answered, and why it had to; the steps that a pipeline's answer does without.
    """
    fields: dict[str, str | int | list[str]] = {
        "age_ms": answer.age_ms,
        "rule": answer.rule,
        "fallback_step": answer.fallback_step,
        "degraded_reason": answer.degraded_reason,
        "missing_steps": list(answer.missing_steps),
    }
    return {name: value for name, value in fields.items() if value}


def outputs_of(answer: Answer) -> dict[str, Any]:
    """Return the outputs by name, each with its rows first, as values that orjson writes."""
    message = predict_pb2.PredictResponse.FromString(answer.outputs)
    return {
        tensor.name: decode(tensor.datatype, tensor.shape, content)
        for tensor, content in zip(message.outputs, message.raw_output_contents, strict=True)
    }


def dump(body: Any) -> bytes:
    """Return a body as JSON."""
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


# Deeper objects than a request has are not counted: their bodies are looked at again, like those with colons in texts.
DEPTH = 4


def repeated(data: bytes, body: dict[str, Any]) -> str | None:
    """Return the name of a member that stands twice in one object, None without any.

    data: a JSON object as it was sent; body: as it was parsed. Every member has a colon of its own, so as many members
    as colons mean that none was lost. Only bodies that have more are parsed a second time. Raises ValueError for those
    that are nested too deeply for that.
    """
    if data.count(b":") == _members(body, DEPTH):
        return None
    try:
        json.loads(data, object_pairs_hook=_once, parse_int=_nothing, parse_float=_nothing)
    except _Repeated as found:
        return found.name
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return None


class _Repeated(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _members(value: dict[str, Any], depth: int) -> int:
    """Return how many members an object and those in it have: never more than there are."""
    count = len(value)
    if depth:
        for inner in value.values():
            kind = type(inner)
            if kind is dict:
                count += _members(inner, depth - 1)
            elif kind is list and inner and type(inner[0]) is dict:  # numbers of a row are not looked at one by one
                for one in inner:
                    if type(one) is dict:
                        count += _members(one, depth - 1)
    return count


def _once(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise _Repeated(name)
        names.add(name)


def _nothing(_text: str) -> None:
    """Numbers do not matter here."""
