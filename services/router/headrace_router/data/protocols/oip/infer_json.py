"""`POST /v2/models/{model}/infer`: JSON, with tensors in it or as bytes behind it (the binary extension).

A body is a JSON object, or as many bytes of JSON as the header `Inference-Header-Content-Length` says and then the
tensors that give a `binary_data_size`, one after the other. A header of 0 makes the whole body the only input.
A field that is null is not there: clients made of data classes send all fields that they know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from headrace.router.v1 import predict_pb2

from headrace_router.data.answer.answer import Answer
from headrace_router.data.protocols.json_body import document, dump, text
from headrace_router.data.protocols.oip.contents import flat_values
from headrace_router.data.protocols.oip.parameters import (
    NO_PARAMETERS,
    check_tensor_parameters,
    refused,
    request_parameters,
)
from headrace_router.data.protocols.values import decode
from headrace_router.data.request.request import MAX_TEXT_CHARS, Request, Tensors
from headrace_router.data.tables.contract import (
    ELEMENT_BYTES,
    LENGTH_PREFIX_BYTES,
    MAX_DIMENSIONS,
    Contract,
    check_count,
    fits,
)

# KServe's client says the model in the body too.
FIELDS = ("id", "model_name", "parameters", "inputs", "outputs")
INPUT_FIELDS = ("name", "shape", "datatype", "parameters", "data")
OUTPUT_FIELDS = ("name", "parameters")
SIZE, BINARY = "binary_data_size", "binary_data"
LENGTH_HEADER = "inference-header-content-length"
_INT64 = 2**63


class Body(NamedTuple):
    """The body of an answer. json_length: bytes of JSON before the tensors, None when none are behind it."""

    content: bytes
    json_length: int | None = None


class Input(NamedTuple):
    """One input as it was given: JSON values, or the bytes behind the JSON."""

    described: tuple[str | int, ...]
    values: Any
    content: bytes | None


Render = Callable[[Answer], Body]


def parse(model: str, version: str, data: bytes, json_length: str | None) -> tuple[Request, Render]:
    """Return the request of a body, and what renders its answer. Raises InvalidArgument.

    json_length: the header of that name, None when it is absent.
    """
    length = len(data) if json_length is None else _length(json_length, len(data))
    if length == 0 and json_length is not None:
        request = Request(model, lambda contract, _max_rows: only_input(contract, data), version)
        return request, lambda answer: render(answer, None)
    body = document(data[:length], FIELDS)
    named = text(body, "model_name")
    if named and named != model:
        problem = f"'{named}' contradicts the path, which names '{model[:MAX_TEXT_CHARS]}'"
        raise refused("model_name", problem, "MODEL_NAME_MISMATCH")
    given = _object(body, "parameters")
    parameters = request_parameters(given) if given else NO_PARAMETERS
    inputs = _inputs(body, memoryview(data)[length:])
    outputs, binary = _outputs(body, parameters.binary_output)
    request = Request(
        model,
        lambda contract, _max_rows: tensors(contract, inputs),
        version,
        text(body, "id"),
        parameters.user_id,
        parameters.entity_id,
        outputs,
        parameters.attributes,
        parameters.max_age_s,
        parameters.priority,
        parameters.explain,
        parameters.timeout_s,
    )
    return request, lambda answer: render(answer, binary)


def tensors(contract: Contract, inputs: Sequence[Input]) -> Tensors:
    """Return the inputs as tensors. Raises InvalidArgument for values that are not of the contract's datatype."""
    specs = {spec.name: spec for spec in contract.inputs}
    contents: list[bytes] = []
    for index, given in enumerate(inputs):
        name, datatype, *shape = given.described
        spec = specs.get(str(name))
        if given.content is not None:
            contents.append(given.content)
        elif spec is None or spec.datatype != datatype or not fits(spec, sizes := [int(size) for size in shape]):
            contents.append(b"")  # the contract check says so before anybody looks
        else:
            contents.append(flat_values(spec, sizes, given.values, f"inputs[{index}].data"))
    return Tensors(
        tuple([given.described for given in inputs]),
        contents,
        contents_fields=tuple(
            [
                f"inputs[{index}].data" if given.content is None else f"inputs[{index}].parameters.{SIZE}"
                for index, given in enumerate(inputs)
            ]
        ),
    )


def only_input(contract: Contract, data: bytes) -> Tensors:
    """Return a body without JSON as the only input of a model, as many rows as it has. Raises InvalidArgument."""
    spec = contract.inputs[0]
    if len(contract.inputs) > 1 or -1 in spec.shape:
        raise refused(LENGTH_HEADER, "0 is for models with one input of fixed shape: describe the inputs in JSON")
    elements = 1
    for size in spec.shape:
        elements *= size
    if spec.datatype == "BYTES":
        content, rows = len(data).to_bytes(LENGTH_PREFIX_BYTES, "little") + data, 1
    else:
        row_bytes = elements * ELEMENT_BYTES[spec.datatype]
        content, rows = data, len(data) // row_bytes if row_bytes else 0
    return Tensors(((spec.name, spec.datatype, rows, *spec.shape),), (content,), contents_fields=("body",))


def render(answer: Answer, binary: Collection[str] | None) -> Body:
    """Return the body of an answer. binary: names of the outputs that come as bytes; None means all."""
    message = predict_pb2.PredictResponse.FromString(answer.outputs)
    described: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for tensor, content in zip(message.outputs, message.raw_output_contents, strict=True):
        one: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary is None or tensor.name in binary:
            one["parameters"] = {SIZE: len(content)}
            behind.append(content)
        else:
            one["data"] = decode(tensor.datatype, (-1,), content)
        described.append(one)
    head = dump(
        {
            "model_name": answer.model,
            "model_version": answer.version,
            "id": answer.request_id,
            "parameters": parameters_of(answer),
            "outputs": described,
        }
    )
    return Body(b"".join((head, *behind)), len(head)) if behind else Body(head)


def parameters_of(answer: Answer) -> dict[str, str | int]:
    """Return what an answer says of itself, as parameters of the response."""
    parameters: dict[str, str | int] = {
        "headrace_prediction_id": answer.prediction_id,
        "headrace_served_from": answer.served_from.name.lower(),
        "headrace_generation": answer.generation,
        "headrace_age_ms": answer.age_ms,
    }
    if answer.variant:
        parameters["headrace_variant"] = answer.variant
    if answer.rule:
        parameters["headrace_rule"] = answer.rule
    if answer.fallback_step:
        parameters["headrace_fallback_step"] = answer.fallback_step
    if answer.degraded_reason:  # also of an answer past its time, which needs no fallback
        parameters["headrace_degraded_reason"] = answer.degraded_reason
    if answer.missing_steps:
        parameters["headrace_missing_steps"] = ",".join(answer.missing_steps)
    return parameters


def _inputs(body: dict[str, Any], behind: memoryview) -> list[Input]:
    found: list[Input] = []
    at = 0
    for index, given in enumerate(_list(body, "inputs")):
        field = f"inputs[{index}]"
        _known(given, field, INPUT_FIELDS)
        parameters = _object(given, "parameters", field)
        check_tensor_parameters(field, parameters)
        described = (_name(given, "name", field), _name(given, "datatype", field), *_shape(given, field))
        size, values = parameters.get(SIZE), given.get("data")
        if size is None:
            if values is None:
                raise refused(f"{field}.data", f"values are needed, here or behind the JSON ({SIZE})")
            found.append(Input(described, values, None))
            continue
        if values is not None:
            raise refused(f"{field}.data", f"must be left out where {SIZE} says that the values are behind the JSON")
        if type(size) is not int or not 0 <= size <= len(behind) - at:
            problem = f"{size!r:.32} is not a number of bytes: {len(behind) - at} are left behind the JSON"
            raise refused(f"{field}.parameters.{SIZE}", problem, "MALFORMED_BODY")
        found.append(Input(described, None, bytes(behind[at : at + size])))
        at += size
    if at != len(behind):
        raise refused("body", f"{len(behind) - at} bytes are behind the last tensor", "MALFORMED_BODY")
    return found


def _outputs(body: dict[str, Any], binary_output: bool) -> tuple[tuple[str, ...], Collection[str] | None]:
    """Return the names wanted, and those of them that come as bytes (None for all)."""
    asked = _list(body, "outputs")
    if not asked:
        return (), None if binary_output else ()
    names: list[str] = []
    binary: set[str] = set()
    for index, wanted in enumerate(asked):
        field = f"outputs[{index}]"
        _known(wanted, field, OUTPUT_FIELDS)
        name = _name(wanted, "name", field)
        parameters = _object(wanted, "parameters", field)
        check_tensor_parameters(field, parameters)
        as_bytes = parameters.get(BINARY, binary_output)
        if type(as_bytes) is not bool:
            raise refused(f"{field}.parameters.{BINARY}", "true or false is needed")
        names.append(name)
        if as_bytes:
            binary.add(name)
    return tuple(names), binary


def _length(header: str, size: int) -> int:
    if not (header.isascii() and header.isdigit()) or len(header) > 15 or int(header) > size:
        problem = f"'{header[:32]}' is not the length of the JSON at the beginning of a body of {size} bytes"
        raise refused(LENGTH_HEADER, problem, "MALFORMED_HEADER")
    return int(header)


def _list(body: dict[str, Any], field: str) -> list[Any]:
    value = body.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise refused(field, "a list of objects is needed")
    check_count(field, len(value))
    return value


def _object(body: dict[str, Any], field: str, within: str = "") -> Mapping[str, Any]:
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refused(f"{within}.{field}" if within else field, "an object is needed")
    return value


def _known(given: dict[str, Any], field: str, known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise refused(f"{field}.{name[:64]}", f"unknown field; known: {', '.join(known)}", "UNKNOWN_FIELD")


def _name(given: dict[str, Any], key: str, field: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value:
        raise refused(f"{field}.{key}", "a string is needed")
    return value


def _shape(given: dict[str, Any], field: str) -> list[int]:
    value = given.get("shape")
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        raise refused(f"{field}.shape", f"a list of at most {MAX_DIMENSIONS} sizes is needed")
    for size in value:
        if type(size) is not int or not -_INT64 <= size < _INT64:
            raise refused(f"{field}.shape", f"{size!r:.32} is not a size")
    return value
