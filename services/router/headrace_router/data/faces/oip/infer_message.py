"""`inference.GRPCInferenceService.ModelInfer`: message bytes to a request, an answer to message bytes.

The classes are tritonclient's: a second copy of the proto package `inference` in one process is refused by protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from headrace_servicekit.errors import InvalidArgument
from tritonclient.grpc import service_pb2

from headrace_router.data.contract import Contract
from headrace_router.data.faces.oip.contents import raw
from headrace_router.data.faces.oip.parameters import NO_WISHES, check_tensor_parameters, refused, wishes_of
from headrace_router.data.messages import Answer, Request, ServedFrom, Tensors

_pb2: Any = service_pb2  # its classes are made at import, so type checkers know of none

SERVICE = "inference.GRPCInferenceService"
METHOD = f"{SERVICE}/ModelInfer"

_SERVED_FROM = {source: source.name.lower() for source in ServedFrom}


def parse(data: bytes) -> Request:
    """Return the request of a message. Raises InvalidArgument, also for bytes that are no message."""
    try:
        message = _pb2.ModelInferRequest.FromString(data)
    except DecodeError:
        raise InvalidArgument(f"the request is not a valid message of {METHOD}", reason="MALFORMED_MESSAGE") from None
    wishes = wishes_of(_plain(message.parameters)) if message.parameters else NO_WISHES
    for index, tensor in enumerate(message.inputs):
        if tensor.parameters:
            check_tensor_parameters(f"inputs[{index}]", tensor.parameters)
    for index, output in enumerate(message.outputs):
        if output.parameters:
            check_tensor_parameters(f"outputs[{index}]", output.parameters)
    return Request(
        message.model_name,
        lambda contract: tensors(contract, message),
        message.model_version,
        message.id,
        wishes.user_id,
        wishes.entity_id,
        tuple([output.name for output in message.outputs]) if message.outputs else (),
        wishes.attributes,
        wishes.max_age_s,
        wishes.priority,
        wishes.explain,
        wishes.timeout_s,
    )


def tensors(contract: Contract, message: Any) -> Tensors:
    """Return the inputs of a `ModelInferRequest`. Raises InvalidArgument.

    Values are raw for all inputs or typed for all of them; an input without elements may leave its contents out.
    """
    inputs = message.inputs
    described = tuple([(tensor.name, tensor.datatype, *tensor.shape) for tensor in inputs])
    contents = message.raw_input_contents
    if not contents:
        specs = {spec.name: spec for spec in contract.inputs}
        return Tensors(described, [raw(index, tensor, specs.get(tensor.name)) for index, tensor in enumerate(inputs)])
    for index, tensor in enumerate(inputs):
        if tensor.HasField("contents"):
            told = "must be left out where there are raw_input_contents: values are raw for all inputs or for none"
            raise refused(f"inputs[{index}].contents", told)
    return Tensors(described, tuple(contents))


def render(answer: Answer) -> bytes:
    """Return the message of an answer: the header fields, then the outputs as they came."""
    header = _pb2.ModelInferResponse(model_name=answer.served.model, model_version=answer.version, id=answer.request_id)
    parameters = header.parameters
    parameters["headrace_prediction_id"].string_param = answer.prediction_id
    parameters["headrace_served_from"].string_param = _SERVED_FROM[answer.served_from]
    parameters["headrace_generation"].int64_param = answer.generation
    parameters["headrace_age_ms"].int64_param = answer.age_ms
    if answer.variant:
        parameters["headrace_variant"].string_param = answer.variant
    if answer.rule:
        parameters["headrace_rule"].string_param = answer.rule
    if answer.rung:
        parameters["headrace_rung"].string_param = answer.rung
    if answer.degraded_reason:  # also of an answer past its time, which needs no fallback
        parameters["headrace_degraded_reason"].string_param = answer.degraded_reason
    return header.SerializeToString() + answer.outputs


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as Python values. Raises InvalidArgument for one without a value."""
    plain: dict[str, Any] = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise refused(f"parameters.{name[:64]}", "has no value")
        plain[name] = getattr(parameter, kind)
    return plain
