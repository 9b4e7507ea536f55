"""Typed errors that every service raises, and their two shapes on the wire: `google.rpc.Status` and JSON.

This module imports neither grpc nor a server, so the data plane can raise the same errors inside Envoy.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    import grpc.aio

DOMAIN = "headrace.dev"

# gRPC sends a status as HTTP/2 headers, and peers refuse header blocks over 8 KiB: base64 adds a third.
MAX_STATUS_BYTES = 4096
# As gRPC writes them into headers: whatever is not printable ASCII takes three bytes for each of its own.
MAX_MESSAGE_BYTES = 1024
_MAX_VIOLATION_BYTES = 512
# What grpc.aio's client makes of a peer that ends a stream at the moment of a write; the peer's own status is lost.
_BROKEN_WRITE = "Internal error from Core"


class Code(enum.IntEnum):
    """Canonical gRPC status codes, with the numbers of `google.rpc.Code`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing wrong with a request, or one condition that does not hold.

    field: dotted path in the request (`inputs[0].shape`), or the subject of a precondition (`gates.accuracy`).
    description: a sentence that says what was found and what is allowed.
    """

    field: str
    description: str


class ServiceError(Exception):
    """An error whose message may be shown to the caller. Raise a subclass.

    reason: UPPER_SNAKE, what programs branch on; it defaults to the name of the code.
    violations: become BadRequest field violations, or PreconditionFailure violations for FAILED_PRECONDITION.
    metadata: short facts for programs (`{"current_etag": "…"}`); never secrets.
    retry_after_s: how long the caller should wait before it tries again; sent as RetryInfo.
    """

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: Iterable[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.public_message = message
        self.reason = reason or self.code.name
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s


class InvalidArgument(ServiceError):
    """The request is wrong whatever the state of the system; violations name the fields."""

    code = Code.INVALID_ARGUMENT


def refuse(violations: Sequence[FieldViolation], *, reason: str = "") -> None:
    """Raise InvalidArgument with all violations, unless there are none."""
    if violations:
        first = f"{violations[0].field}: {violations[0].description}"
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise InvalidArgument(first + more, violations=violations, reason=reason)


class NotFound(ServiceError):
    """The named thing does not exist, or the caller may not know that it does."""

    code = Code.NOT_FOUND


class AlreadyExists(ServiceError):
    """What should be created exists."""

    code = Code.ALREADY_EXISTS


class PreconditionFailed(ServiceError):
    """The state of the system forbids it; repeating the request does not help until the state changes."""

    code = Code.FAILED_PRECONDITION


class Aborted(ServiceError):
    """Somebody else was first (a stale etag, a superseded change): read again, then decide again."""

    code = Code.ABORTED


class OutOfRange(ServiceError):
    """Past the end of what there is."""

    code = Code.OUT_OF_RANGE


class ResourceExhausted(ServiceError):
    """A queue, quota or size limit is reached."""

    code = Code.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """Not now: a dependency is down or the service is stopping. An idempotent call may be repeated."""

    code = Code.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The caller's time is used up."""

    code = Code.DEADLINE_EXCEEDED


class PermissionDenied(ServiceError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED


class Unauthenticated(ServiceError):
    """The caller is not known."""

    code = Code.UNAUTHENTICATED


class Unimplemented(ServiceError):
    """This server does not offer the method."""

    code = Code.UNIMPLEMENTED


class Cancelled(ServiceError):
    """The caller gave up."""

    code = Code.CANCELLED


class Internal(ServiceError):
    """A defect of ours. Prefer to let the original exception rise: the interceptor hides and logs it."""

    code = Code.INTERNAL


class Unknown(ServiceError):
    """An error from a peer that has no better code."""

    code = Code.UNKNOWN


class DataLoss(ServiceError):
    """Stored data is damaged and cannot be read."""

    code = Code.DATA_LOSS


_BY_CODE: dict[Code, type[ServiceError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument, NotFound, AlreadyExists, PreconditionFailed, Aborted, OutOfRange, ResourceExhausted,
        Unavailable, DeadlineExceeded, PermissionDenied, Unauthenticated, Unimplemented, Cancelled, Internal, Unknown,
        DataLoss,
    )
}  # fmt: skip

# The table of Envoy's gRPC-JSON transcoder, so that both REST faces answer alike.
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


def error_for(code: Code, message: str, **details: Any) -> ServiceError:
    """Return the typed error of a code; details are the keyword arguments of ServiceError."""
    return _BY_CODE[code](message, **details)


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
    status = _status(error, len(error.violations))
    kept = len(error.violations)
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
