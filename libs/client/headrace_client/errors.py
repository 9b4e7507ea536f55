"""What a failed call raises: one exception class per gRPC code, with the machine-readable details beside the message.

There is no class per reason: reasons grow with every service, so programs branch on `error.reason`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

_PUSHBACK = "grpc-retry-pushback-ms"
_DETAILS = "grpc-status-details-bin"
# What grpc.aio makes of a connection that ends at the moment of a write; the peer's own status is lost.
_BROKEN_WRITE = "Internal error from Core"
_NOWHERE = "is that where the front door is? Client(address), --address or HEADRACE_ADDRESS names another place"
_NO_CONNECTION = re.compile(r"^failed to connect to all addresses; last error: .*?ipv[46]:(\S+): (?:.*: )?(.+)$")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing wrong with a request, or one condition that does not hold.

    field: dotted path in the request, such as `inputs[0].shape`, or the subject of a precondition.
    """

    field: str
    description: str


class HeadraceError(Exception):
    """A call that failed. Catch a subclass for one code, and look at `reason` for one cause.

    code: the gRPC code. reason: UPPER_SNAKE, stable, what programs branch on; empty when the server gave none.
    violations: which fields or conditions. metadata: short facts of the server.
    retry_after_s: what the server asks to wait before the next try; None when it said nothing.
    may_retry: False when the server asked not to be tried again. request_id: the id in the server's logs, when known.
    remedy: what a program's author can do, where the client knows it; a part of the text.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: Sequence[FieldViolation] = (),
        metadata: dict[str, str] | None = None,
        retry_after_s: float | None = None,
        may_retry: bool = True,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.may_retry = may_retry
        self.request_id = request_id
        self.remedy = ""

    def __str__(self) -> str:
        about = f" [{self.reason}]" if self.reason else ""
        untold = [v for v in self.violations if v.description not in self.message]
        fields = "".join(f"; {v.field}: {v.description}" if v.field else f"; {v.description}" for v in untold)
        return f"{self.code.name}{about}: {self.message}{fields}{f'; {self.remedy}' if self.remedy else ''}"


class InvalidArgument(HeadraceError):
    """The request is wrong, whatever the state of the system; `violations` name the fields."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(HeadraceError):
    """The thing does not exist, or the token may not know that it does."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(HeadraceError):
    """The name is taken by other content."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PreconditionFailed(HeadraceError):
    """The state of the system forbids it; `violations` name each condition."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(HeadraceError):
    """Another writer was first: read again, then decide again."""

    code = grpc.StatusCode.ABORTED


class OutOfRange(HeadraceError):
    """Beyond a limit that the server states."""

    code = grpc.StatusCode.OUT_OF_RANGE


class ResourceExhausted(HeadraceError):
    """A queue, quota or size limit is reached; `retry_after_s` says when to try again."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(HeadraceError):
    """Nothing can answer now."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(HeadraceError):
    """The answer did not come within the timeout."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class PermissionDenied(HeadraceError):
    """The token lacks a scope."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(HeadraceError):
    """There is no token, or it is expired, foreign or denied."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Unimplemented(HeadraceError):
    """The server does not offer this method."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Cancelled(HeadraceError):
    """The call was given up."""

    code = grpc.StatusCode.CANCELLED


class Internal(HeadraceError):
    """A defect of the server; its log has the cause under `request_id`."""

    code = grpc.StatusCode.INTERNAL


class DataLoss(HeadraceError):
    """Stored data is damaged."""

    code = grpc.StatusCode.DATA_LOSS


_BY_CODE: dict[grpc.StatusCode, type[HeadraceError]] = {kind.code: kind for kind in HeadraceError.__subclasses__()}


def invalid(field: str, description: str) -> InvalidArgument:
    """Return the error for an argument that is refused before anything is sent."""
    return InvalidArgument(
        f"{field}: {description}", reason="INVALID_ARGUMENT", violations=[FieldViolation(field, description)]
    )


def from_rpc_error(error: Any) -> HeadraceError:
    """Return the typed exception of a grpc error, sync or async; details of unknown types are ignored."""
    code: grpc.StatusCode = error.code()
    if code is grpc.StatusCode.INTERNAL and error.details() == _BROKEN_WRITE:
        return Unavailable("the connection ended while the request was being sent", reason="STREAM_BROKEN")
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    details = _Details.read(trailers.get(_DETAILS), int(code.value[0]))
    pushback_ms = _pushback_ms(trailers.get(_PUSHBACK))
    if pushback_ms is not None and pushback_ms >= 0:
        details.retry_after_s = pushback_ms / 1e3
    text = error.details() or code.name.lower().replace("_", " ")
    refused = _NO_CONNECTION.search(text)
    made = _BY_CODE.get(code, HeadraceError)(
        # grpc's own words for a failed connection, as people say them
        f"cannot connect to {refused[1]}: {refused[2]}" if refused else text,
        reason=details.reason,
        violations=details.violations,
        metadata=details.metadata,
        retry_after_s=details.retry_after_s,
        # A negative pushback is how a gRPC server says: do not try again.
        may_retry=pushback_ms is None or pushback_ms >= 0,
        request_id=details.request_id or str(trailers.get("x-request-id", "")),
    )
    made.remedy = _NOWHERE if refused else ""
    return made


def from_json(text: str) -> HeadraceError | None:
    """Return the exception of a REST error's body; None for what is none."""
    try:
        # The Open Inference Protocol calls the message `error`.
        body = json.loads(text)
        document = {"message": body["error"], **body} if isinstance(body.get("error"), str) else body
        status = json_format.ParseDict(document, status_pb2.Status(), ignore_unknown_fields=True)
        code = next(one for one in grpc.StatusCode if one.value[0] == status.code)
    except (AttributeError, ValueError, RecursionError, json_format.ParseError, StopIteration):
        return None
    details = _Details.read(status.SerializeToString(), status.code)
    return _BY_CODE.get(code, HeadraceError)(
        status.message,
        reason=details.reason,
        violations=details.violations,
        metadata=details.metadata,
        retry_after_s=details.retry_after_s,
        request_id=details.request_id,
    )


def _pushback_ms(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:
        return -1  # gRFC A6: a value that is no number means "do not retry"


@dataclass(slots=True)
class _Details:
    """What `google.rpc.Status` adds to code and message."""

    reason: str
    metadata: dict[str, str]
    violations: list[FieldViolation]
    retry_after_s: float | None
    request_id: str

    @classmethod
    def read(cls, encoded: Any, code: int) -> _Details:
        found = cls("", {}, [], None, "")
        if not isinstance(encoded, bytes):
            return found
        try:
            status = status_pb2.Status.FromString(encoded)
        except Exception:  # damaged details must not hide the code
            return found
        for detail in status.details if status.code == code else ():
            found._add(detail)
        return found

    def _add(self, detail: Any) -> None:
        info, bad, failure = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.PreconditionFailure(),
        )
        retry, request = error_details_pb2.RetryInfo(), error_details_pb2.RequestInfo()
        if detail.Unpack(info):
            self.reason, self.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            self.violations += [FieldViolation(v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(failure):
            self.violations += [FieldViolation(v.subject, v.description) for v in failure.violations]
        elif detail.Unpack(retry):
            self.retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        elif detail.Unpack(request):
            self.request_id = request.request_id
