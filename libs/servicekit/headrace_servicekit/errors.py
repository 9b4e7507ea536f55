"""Typed errors that every service raises; `error_details.py` has their shapes on the wire.

This module imports neither grpc nor a server, so the data plane can raise the same errors inside Envoy.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


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


def refusal(violations: Sequence[FieldViolation], *, reason: str = "") -> InvalidArgument:
    """Return the error that says all violations; its message is the first."""
    first = f"{violations[0].field}: {violations[0].description}"
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return InvalidArgument(first + more, violations=violations, reason=reason)


def refuse(violations: Sequence[FieldViolation], *, reason: str = "") -> None:
    """Raise InvalidArgument with all violations, unless there are none."""
    if violations:
        raise refusal(violations, reason=reason)


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
    """Another writer was first (a stale etag, a superseded change): read again, then decide again."""

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


def error_for(code: Code, message: str, **details: Any) -> ServiceError:
    """Return the typed error of a code; details are the keyword arguments of ServiceError."""
    return _BY_CODE[code](message, **details)
