"""`inference.GRPCInferenceService.ModelStreamInfer`: what answers and errors look like within a stream.

A stream takes the requests of `infer_message.py`. Each has one response, which says that it is the final one; of a
version that answers in parts any number that say that they are not, and an empty final one where the request asks for
it.
"""

from __future__ import annotations

import contextlib
from typing import Any

from google.protobuf.message import DecodeError
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.varint import varint
from tritonclient.grpc import service_pb2

from headrace_router.data.answer.answer import Answer
from headrace_router.data.protocols.oip import infer_message

_pb2: Any = service_pb2  # its classes are made at import, so type checkers know of none

NAME = "ModelStreamInfer"
METHOD = f"{infer_message.SERVICE}/{NAME}"
FINAL, EMPTY_FINAL = "triton_final_response", "triton_enable_empty_final_response"
# What an error says for programs; `error_message` is for people.
CODE, REASON = "headrace_error_code", "headrace_error_reason"

_INFER_RESPONSE = bytes([_pb2.ModelStreamInferResponse.DESCRIPTOR.fields_by_name["infer_response"].number << 3 | 2])


def _said(*, final: bool) -> bytes:
    response = _pb2.ModelInferResponse()
    response.parameters[FINAL].bool_param = final
    return response.SerializeToString()


_FINAL, _NOT_FINAL = _said(final=True), _said(final=False)


def render(answer: Answer) -> bytes:
    """Return the message of an answer: that of `ModelInfer`, and whether another follows."""
    response = infer_message.render(answer)
    said = _FINAL if answer.rest is None else _NOT_FINAL
    return b"".join((_INFER_RESPONSE, varint(len(response) + len(said)), response, said))


def render_final(data: bytes, answer: Answer) -> bytes | None:
    """Return the empty message behind the last part of an answer, None where the request does not ask for it."""
    request = _pb2.ModelInferRequest.FromString(data)
    if not request.parameters[EMPTY_FINAL].bool_param:
        return None
    message = _pb2.ModelStreamInferResponse()
    response = message.infer_response
    response.model_name, response.model_version, response.id = answer.model, answer.version, answer.request_id
    response.parameters[FINAL].bool_param = True
    return message.SerializeToString()


def render_error(request_id: str, error: ServiceError) -> bytes:
    """Return the message of an error, which ends one request and not the stream."""
    message = _pb2.ModelStreamInferResponse(error_message=error.public_message)
    response = message.infer_response
    response.id = request_id
    response.parameters[FINAL].bool_param = True
    response.parameters[CODE].int64_param = int(error.code)
    response.parameters[REASON].string_param = error.reason
    return message.SerializeToString()


def request_id_of(data: bytes) -> str:
    """Return the id in a request's message, empty where it cannot be read."""
    message = _pb2.ModelInferRequest()
    with contextlib.suppress(DecodeError):
        message.ParseFromString(data)
    return message.id
