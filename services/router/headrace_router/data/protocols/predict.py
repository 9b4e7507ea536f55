"""`headrace.router.v1.RouterService.Predict`: message bytes to a request, an answer to message bytes.

Tensors of a request are left encoded. Requests repeat their descriptions, so that each is read once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from google.protobuf.message import DecodeError, Message
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.request.request import MAX_ATTRIBUTES, Request, Tensors
from headrace_router.data.tables.contract import MAX_TENSORS, Described, check_count
from headrace_router.rules import NO_ATTRIBUTES

# Longer descriptions are read each time: no caller may make us keep much.
_MOST_BYTES = 1024
_KEPT = 4096
_FIELD = descriptor_pb2.FieldDescriptorProto
Describe = Callable[[tuple[bytes, ...]], Described]


def lazy_message(message_class: type[Message]) -> Any:
    """Return the class of a request whose field `inputs` is of bytes, which are encoded alike."""
    whole = message_class.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{whole.full_name}.unread.proto",
        package=f"{whole.file.package}.unread",
        syntax="proto3",
        dependency=[whole.file.name, *(one.name for one in whole.file.dependencies)],
    )
    message = file.message_type.add()
    whole.CopyToProto(message)
    # Entries of a map must lie in the message that has it; all other types are those of the whole one.
    entries = [one for one in message.nested_type if one.options.map_entry]
    del message.nested_type[:]
    message.nested_type.extend(entries)
    own = {f".{whole.full_name}.{one.name}": f".{file.package}.{whole.name}.{one.name}" for one in entries}
    for field in message.field:
        if field.name == "inputs":
            field.type = _FIELD.TYPE_BYTES
            field.ClearField("type_name")
        elif field.type_name in own:
            field.type_name = own[field.type_name]
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{whole.name}"))


def remembering(describe: Describe) -> Describe:
    """Return `describe` with a memory. It says what encoded tensors say, by their bytes alone, and may raise."""
    known = functools.lru_cache(maxsize=_KEPT)(describe)

    def described(inputs: tuple[bytes, ...]) -> Described:
        return known(inputs) if sum(map(len, inputs)) <= _MOST_BYTES else describe(inputs)

    return described


# The enumerations have the same numbers.
_SERVED_FROM = {source: predict_pb2.PredictResponse.ServedFrom.Name(source.value) for source in ServedFrom}

_Unread = lazy_message(predict_pb2.PredictRequest)

METHOD = "headrace.router.v1.RouterService/Predict"


@remembering
def described(inputs: tuple[bytes, ...]) -> Described:
    """Return what encoded tensors say. Raises DecodeError."""
    tensors = map(tensor_pb2.Tensor.FromString, inputs)
    return tuple([(tensor.name, tensor.datatype, *tensor.shape) for tensor in tensors])


def parse(data: bytes) -> Request:
    """Return the request of a message. Raises InvalidArgument for bytes that are no message."""
    try:
        message = _Unread.FromString(data)
        inputs = message.inputs[:]
        if len(inputs) > MAX_TENSORS:
            check_count("inputs", len(inputs))
        tensors = Tensors(described(tuple(inputs)), message.raw_input_contents[:])
    except DecodeError:
        raise InvalidArgument(f"the request is not a valid message of {METHOD}", reason="MALFORMED_MESSAGE") from None

    outputs, attributes = message.outputs, message.attributes
    return Request(
        message.model,
        lambda _contract, _max_rows: tensors,
        message.version,
        message.request_id,
        message.user_id,
        message.entity_id,
        _wanted(outputs) if outputs else (),
        _facts(attributes) if attributes else NO_ATTRIBUTES,
        _max_age_s(message.max_age) if message.HasField("max_age") else None,
        0,
        message.explain,
    )


def _wanted(outputs: Sequence[str]) -> tuple[str, ...]:
    check_count("outputs", len(outputs))
    return tuple(outputs)


def _facts(attributes: Mapping[str, str]) -> Mapping[str, str]:
    if len(attributes) > MAX_ATTRIBUTES:
        raise _wrong("attributes", f"has {len(attributes)} members; at most {MAX_ATTRIBUTES} are taken")
    return attributes


def _max_age_s(max_age: duration_pb2.Duration) -> float:
    seconds = max_age.seconds + max_age.nanos / 1e9
    if seconds < 0:
        raise _wrong("max_age", "an age is not negative; leave it out to take the route's bound")
    return seconds


def _wrong(field: str, problem: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {problem}", reason="INVALID_FIELD", violations=[FieldViolation(field, problem)])


def render(answer: Answer) -> bytes:
    """Return the message of an answer: the header fields, then the outputs as they came."""
    same = _same(
        answer.model, answer.version, answer.variant, answer.generation, answer.served_from, answer.rule
    )  # fmt: skip
    own = predict_pb2.PredictResponse(
        request_id=answer.request_id, prediction_id=answer.prediction_id, age_ms=answer.age_ms
    )
    if answer.fallback_step or answer.degraded_reason:
        own.fallback_step, own.degraded_reason = answer.fallback_step, answer.degraded_reason
        own.missing_steps.extend(answer.missing_steps)
    # Fields of a message may come in any order, and in pieces.
    return b"".join((same, own.SerializeToString(), answer.outputs))


@functools.lru_cache(maxsize=4096)
def _same(model: str, version: str, variant: str, generation: int, served_from: ServedFrom, rule: str) -> bytes:
    """Return the encoded header fields that many answers have in common."""
    return predict_pb2.PredictResponse(
        model=model,
        version=version,
        variant=variant,
        generation=generation,
        served_from=_SERVED_FROM[served_from],
        rule=rule,
    ).SerializeToString()
