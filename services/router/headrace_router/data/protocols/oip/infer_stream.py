"""`inference.GRPCInferenceService.ModelStreamInfer`: what answers and errors look like within a stream.

A stream takes the requests of `infer_message.py`. Each has one response, which says that it is the final one.
"""

from __future__ import annotations

import contextlib
from typing import Any

from google.protobuf.message import DecodeError
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.varint import varint
from tritonclient.grpc import service_pb2

from headrace_router.data.messages import Answer
from headrace_router.data.protocols.oip import infer_message

_pb2: Any = service_pb2  # its classes are made at import, so type checkers know of none

NAME = "ModelStreamInfer"
METHOD = f"{infer_message.SERVICE}/{NAME}"
FINAL = "triton_final_response"
# What an error says for programs; `error_message` is for people.
CODE, REASON = "headrace_error_code", "headrace_error_reason"

_INFER_RESPONSE = bytes([_pb2.ModelStreamInferResponse.DESCRIPTOR.fields_by_name["infer_response"].number << 3 | 2])


def _final() -> bytes:
    response = _pb2.ModelInferResponse()
    response.parameters[FINAL].bool_param = True
    return response.SerializeToString()


_FINAL = _final()


def render(answer: Answer) -> bytes:
    """Return the message of an answer: that of `ModelInfer`, and that no other follows."""
    response = infer_message.render(answer)
    return b"".join((_INFER_RESPONSE, varint(len(response) + len(_FINAL)), response, _FINAL))


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
