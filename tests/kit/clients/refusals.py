"""How calls are refused: as typed errors where a service is called, and by whatever protocol where a front door is.

error = await refused(stub.GetModel(request, timeout=10))
assert error.reason == "MODEL_NOT_FOUND"
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller was refused with, whichever protocol it used.

    reason, metadata, domain: of ErrorInfo, empty without one. fields: of the violations, in their order.
    """

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    retry_after_s: float | None
    domain: str
    fields: tuple[str, ...] = ()


async def refused(call: Awaitable[object]) -> ServiceError:
    """Await a call of a service that must fail, and return the typed error that it is answered with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def reason_of(call: Awaitable[object]) -> str:
    """Return the reason for which a call is refused."""
    return (await refused(call)).reason


def grpc_refusal(error: grpc.RpcError) -> Refusal:
    """Return how a gRPC call failed, with what `grpc-status-details-bin` says."""
    assert isinstance(error, (grpc.Call, grpc.aio.AioRpcError))
    details: list[Any] = []
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == "grpc-status-details-bin":
            assert isinstance(value, bytes)
            status = status_pb2.Status.FromString(value)
            assert status.code == error.code().value[0], "the details must not contradict the status"
            assert status.message == error.details()
            details = list(status.details)
    return _refusal(error.code(), error.details() or "", details)


def rest_refusal(response: httpx.Response) -> Refusal:
    """Return how a REST call failed, from its `google.rpc` JSON body, whose message is `error` below `/v2`."""
    body = response.json()
    if "error" in body:
        body["message"] = body.pop("error")
    status = json_format.ParseDict(body, status_pb2.Status())
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return _refusal(code, status.message, list(status.details))


def _refusal(code: grpc.StatusCode, message: str, details: Iterable[Any]) -> Refusal:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    bad, precondition = error_details_pb2.BadRequest(), error_details_pb2.PreconditionFailure()
    has_retry = False
    for detail in details:
        for kind in (info, bad, precondition):
            detail.Unpack(kind)
        has_retry = detail.Unpack(retry) or has_retry
    after = retry.retry_delay.ToNanoseconds() / 1e9 if has_retry else None
    fields = (*(one.field for one in bad.field_violations), *(one.subject for one in precondition.violations))
    return Refusal(code, message, info.reason, dict(info.metadata), after, info.domain, fields)
