"""Errors of the API as a page shows them: the HTTP status and the remedy."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from headrace_client import remedies
from headrace_client.errors import HeadraceError

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# Where no reason says more.
REMEDIES = {
    401: "Sign in again.",
    403: "Ask a person with the scope to do it, or to give it to you.",
    404: "Look for it on the first page; it may also be hidden from you.",
    429: "Wait a moment, then try again.",
    503: "Try again in a moment; predictions are not affected.",
    504: "Try again in a moment; predictions are not affected.",
}


def status_of(error: HeadraceError) -> int:
    """Return the HTTP status of an error's page."""
    return _STATUS.get(error.code, 502)


def remedy_of(error: HeadraceError, named: Mapping[str, str]) -> str:
    """Return the remedy of an error; empty if none is known. named: path parameters of the page."""
    remedy = remedies.remedy(error, named.get("model", ""), named.get("job", ""))
    return remedy or REMEDIES.get(status_of(error), "")
