"""Typed errors in their two shapes on the wire, and back: `google.rpc.Status` and the JSON of REST. Imports no grpc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from headrace_servicekit.errors import Code, FieldViolation, ServiceError, Unavailable, error_for

if TYPE_CHECKING:
    import grpc.aio

DOMAIN = "headrace.dev"

# gRPC sends a status as HTTP/2 headers, and peers refuse header blocks over 8 KiB: base64 adds a third.
MAX_STATUS_BYTES = 4096
# As gRPC writes them into headers: whatever is not printable ASCII takes three bytes for each of its own.
MAX_MESSAGE_BYTES = 1024
_MAX_VIOLATION_BYTES = 512
# Violations that may fit. A request may have a million, and trying them all would block the event loop.
_MOST_VIOLATIONS = MAX_STATUS_BYTES // 16
# What grpc.aio's client makes of a peer that ends a stream at the moment of a write; the peer's own status is lost.
_BROKEN_WRITE = "Internal error from Core"

# The table of Envoy's gRPC-JSON transcoder, so that both REST transports answer alike.
_HTTP_STATUS: dict[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


def http_status(code: int) -> int:
    """Return the HTTP status for a gRPC code, as the front door's transcoder gives it; unknown numbers give 500."""
    try:
        return _HTTP_STATUS[Code(code)]
    except ValueError:
        return 500


def to_status(error: ServiceError) -> status_pb2.Status:
    """Return the error as `google.rpc.Status`: ErrorInfo always, violations and RetryInfo when there are any.

    The result is at most MAX_STATUS_BYTES: violations that do not fit are counted in a last one.
    """
    kept = min(len(error.violations), _MOST_VIOLATIONS)
    status = _status(error, kept)
    while status.ByteSize() > MAX_STATUS_BYTES and kept > 0:
        kept //= 2
        status = _status(error, kept)
    if status.ByteSize() > MAX_STATUS_BYTES:  # metadata alone is too large: only the reason is indispensable
        bare = error_for(error.code, error.public_message, reason=error.reason, retry_after_s=error.retry_after_s)
        status = _status(bare, 0)
    return status


def to_json(error: ServiceError) -> dict[str, Any]:
    """Return the body of a REST error as the transcoder does: `{"code": 5, "message": "…", "details": [{…}]}`."""
    # Names as in the protos: that is how the front door writes every other answer.
    body = json_format.MessageToDict(to_status(error), preserving_proto_field_name=True)
    return {"code": int(error.code), "message": body.get("message", ""), "details": body.get("details", [])}


def from_status(status: status_pb2.Status) -> ServiceError:
    """Rebuild the typed error from a `google.rpc.Status`; details of unknown types are ignored."""
    reason, metadata, violations, retry_after_s = "", {}, [], None
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    precondition, retry = error_details_pb2.PreconditionFailure(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad_request):
            violations += [FieldViolation(v.field, v.description) for v in bad_request.field_violations]
        elif detail.Unpack(precondition):
            violations += [FieldViolation(v.subject, v.description) for v in precondition.violations]
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return error_for(
        _code(status.code),
        status.message,
        reason=reason,
        violations=violations,
        metadata=metadata,
        retry_after_s=retry_after_s,
    )


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Rebuild the typed error that a peer answered with; without details the reason is the name of the code."""
    code, message = _code(error.code().value[0]), error.details() or ""
    if code is Code.INTERNAL and message == _BROKEN_WRITE:
        return Unavailable("the stream ended while the request was being sent", reason="STREAM_BROKEN")
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except Exception:  # a peer's damaged details must not hide its code
                break
            if status.code == code:
                return from_status(status)
    return error_for(code, message)


def _code(number: int) -> Code:
    try:
        code = Code(number)
    except ValueError:
        return Code.UNKNOWN
    return Code.UNKNOWN if code is Code.OK else code


def _status(error: ServiceError, keep: int) -> status_pb2.Status:
    status = status_pb2.Status(code=int(error.code), message=_cut(error.public_message, MAX_MESSAGE_BYTES))
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    shown = [
        FieldViolation(_cut(one.field, _MAX_VIOLATION_BYTES), _cut(one.description, _MAX_VIOLATION_BYTES))
        for one in error.violations[:keep]
    ]
    if keep < len(error.violations):
        shown.append(FieldViolation("", f"and {len(error.violations) - keep} more"))
    if shown and error.code is Code.FAILED_PRECONDITION:
        failure = error_details_pb2.PreconditionFailure()
        for violation in shown:
            failure.violations.add(type=error.reason, subject=violation.field, description=violation.description)
        status.details.add().Pack(failure)
    elif shown:
        bad_request = error_details_pb2.BadRequest()
        for violation in shown:
            bad_request.field_violations.add(field=violation.field, description=violation.description)
        status.details.add().Pack(bad_request)
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(max(0.0, error.retry_after_s) * 1e9))
        status.details.add().Pack(retry)
    return status


def _cut(text: str, most: int) -> str:
    """Return the beginning of a text that takes at most `most` bytes in a header, with an ellipsis when it was cut."""
    if 12 * len(text) <= most:  # whatever it consists of
        return text
    room = most - 9  # beside an ellipsis
    size = keep = 0
    for character in text:
        plain = " " <= character <= "~" and character != "%"
        size += 1 if plain else 3 * len(character.encode())
        if size > most:
            return text[:keep] + "…"
        keep += size <= room
    return text
