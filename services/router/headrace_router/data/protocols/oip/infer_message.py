"""`inference.GRPCInferenceService.ModelInfer`: message bytes to a request, an answer to message bytes.

The classes are tritonclient's: a second copy of the proto package `inference` in one process is refused by protobuf.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from headrace_servicekit.errors import InvalidArgument
from tritonclient.grpc import service_pb2

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.protocols.oip.contents import raw
from headrace_router.data.protocols.oip.parameters import (
    NO_PARAMETERS,
    check_tensor_parameters,
    refused,
    request_parameters,
)
from headrace_router.data.protocols.predict import lazy_message, remembering
from headrace_router.data.request.request import Request, Tensors
from headrace_router.data.tables.contract import Contract, Described, check_count

_pb2: Any = service_pb2  # its classes are made at import, so type checkers know of none

SERVICE = "inference.GRPCInferenceService"
METHOD = f"{SERVICE}/ModelInfer"

_SERVED_FROM = {source: source.name.lower() for source in ServedFrom}

_Unread = lazy_message(_pb2.ModelInferRequest)
_Tensor = _pb2.ModelInferRequest.InferInputTensor


def parse(data: bytes) -> Request:
    """Return the request of a message. Raises InvalidArgument, also for bytes that are no message.

    Values are raw for all inputs or typed for all of them; an input without elements may leave its contents out.
    """
    try:
        message = _Unread.FromString(data)
        read = _reader(message.inputs[:], message.raw_input_contents[:])
    except DecodeError:
        raise InvalidArgument(f"the request is not a valid message of {METHOD}", reason="MALFORMED_MESSAGE") from None
    parameters = request_parameters(message.parameters, _plain) if message.parameters else NO_PARAMETERS
    outputs = _wanted(message.outputs) if message.outputs else ()
    return Request(
        message.model_name,
        read,
        message.model_version,
        message.id,
        parameters.user_id,
        parameters.entity_id,
        outputs,
        parameters.attributes,
        parameters.max_age_s,
        parameters.priority,
        parameters.explain,
        parameters.timeout_s,
    )


def _wanted(outputs: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of the outputs wanted. Raises InvalidArgument."""
    check_count("outputs", len(outputs))
    for index, output in enumerate(outputs):
        if output.parameters:
            check_tensor_parameters(f"outputs[{index}]", output.parameters)
    return tuple([output.name for output in outputs])


def _reader(inputs: Sequence[bytes], contents: Sequence[bytes]) -> Callable[[Contract, int], Tensors]:
    """Return what gives the tensors. Raises DecodeError and InvalidArgument."""
    check_count("inputs", len(inputs))
    if contents:
        tensors = Tensors(_described(tuple(inputs)), contents)
        return lambda _contract, _max_rows: tensors
    typed = _read(inputs)
    return lambda contract, _max_rows: _typed(contract, typed)


def _read(inputs: Sequence[bytes]) -> list[Any]:
    """Return encoded tensors as messages. Raises DecodeError, and InvalidArgument for their parameters."""
    tensors = [_Tensor.FromString(one) for one in inputs]
    for index, tensor in enumerate(tensors):
        if tensor.parameters:
            check_tensor_parameters(f"inputs[{index}]", tensor.parameters)
    return tensors


@remembering
def _described(inputs: tuple[bytes, ...]) -> Described:
    """Return what encoded tensors say whose values are raw, beside them. Raises as `_read` does."""
    tensors = _read(inputs)
    for index, tensor in enumerate(tensors):
        if tensor.HasField("contents") and tensor.contents.ByteSize():  # MLServer's converter leaves them there, empty
            problem = "must be left out where there are raw_input_contents: values are raw for all inputs or for none"
            raise refused(f"inputs[{index}].contents", problem)
    return _descriptions(tensors)


def _typed(contract: Contract, tensors: Sequence[Any]) -> Tensors:
    """Return the tensors whose values are typed. Raises InvalidArgument."""
    specs = {spec.name: spec for spec in contract.inputs}
    contents = [raw(index, tensor, specs.get(tensor.name)) for index, tensor in enumerate(tensors)]
    return Tensors(_descriptions(tensors), contents)


def _descriptions(tensors: Sequence[Any]) -> Described:
    return tuple([(tensor.name, tensor.datatype, *tensor.shape) for tensor in tensors])


def render(answer: Answer) -> bytes:
    """Return the message of an answer: the header fields, then the outputs as they came."""
    same = _same(
        answer.model, answer.version, answer.variant, answer.generation, answer.served_from, answer.rule
    )  # fmt: skip
    own = _pb2.ModelInferResponse(id=answer.request_id)
    parameters = own.parameters
    parameters["headrace_prediction_id"].string_param = answer.prediction_id
    parameters["headrace_age_ms"].int64_param = answer.age_ms
    if answer.fallback_step:
        parameters["headrace_fallback_step"].string_param = answer.fallback_step
    if answer.degraded_reason:  # also of an answer past its time, which needs no fallback
        parameters["headrace_degraded_reason"].string_param = answer.degraded_reason
        if answer.missing_steps:
            parameters["headrace_missing_steps"].string_param = ",".join(answer.missing_steps)
    # Fields of a message may come in any order, and those of a map in pieces.
    return b"".join((same, own.SerializeToString(), answer.outputs))


@functools.lru_cache(maxsize=4096)
def _same(model: str, version: str, variant: str, generation: int, served_from: ServedFrom, rule: str) -> bytes:
    """Return the encoded header fields that many answers have in common."""
    header = _pb2.ModelInferResponse(model_name=model, model_version=version)
    parameters = header.parameters
    parameters["headrace_served_from"].string_param = _SERVED_FROM[served_from]
    parameters["headrace_generation"].int64_param = generation
    if variant:
        parameters["headrace_variant"].string_param = variant
    if rule:
        parameters["headrace_rule"].string_param = rule
    return header.SerializeToString()


def _plain(field: str, parameter: Any) -> Any:
    """Return a parameter as a Python value. Raises InvalidArgument for one without a value."""
    kind = parameter.WhichOneof("parameter_choice")
    if kind is None:
        raise refused(field, "has no value")
    return getattr(parameter, kind)
