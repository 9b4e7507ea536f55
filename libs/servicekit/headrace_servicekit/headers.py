"""What the headers of a call say: which call it is, who makes it, and until when they are believed."""

from __future__ import annotations

from typing import Any

from headrace_servicekit.calls import REQUEST_ID_HEADER, TRACEPARENT_HEADER, TRACESTATE_HEADER, Call, make_call
from headrace_servicekit.errors import Unauthenticated
from headrace_servicekit.identity import (
    CLIENT_HEADER,
    EXPIRY_HEADER,
    FRONT_DOOR_HEADER,
    MODELS_HEADER,
    NOBODY,
    Identity,
    caller_of,
    parse_expiry,
)

_IDENTITY = (CLIENT_HEADER, MODELS_HEADER)
# What gRPC calls the names in a peer's certificate.
_NAMES = "x509_subject_alternative_name"
_WANTED = frozenset((*_IDENTITY, FRONT_DOOR_HEADER, REQUEST_ID_HEADER, TRACEPARENT_HEADER, TRACESTATE_HEADER))


def who(context: Any, insiders: frozenset[bytes] = frozenset()) -> tuple[Call, Identity]:
    """Return the call and its caller from the request's headers.

    insiders: names in certificates; a call that the front door did not forward has no identity without one of them.
    """
    found: dict[str, str] = {}
    for key, value in context.invocation_metadata():
        if key in _WANTED:
            if key in found and key in _IDENTITY:
                raise Unauthenticated(f"header {key} is repeated", reason="IDENTITY_REPEATED")
            found[key] = value
    call = make_call(found.get(REQUEST_ID_HEADER), found.get(TRACEPARENT_HEADER), found.get(TRACESTATE_HEADER))
    if insiders and FRONT_DOOR_HEADER not in found and insiders.isdisjoint(context.auth_context().get(_NAMES, ())):
        return call, NOBODY
    return call, caller_of(found)


def trailers(context: Any, call: Call | None) -> tuple:
    """Return the handler's trailers and the id of the call."""
    set_by_handler = tuple(context.trailing_metadata() or ())
    return set_by_handler if call is None else (*set_by_handler, (REQUEST_ID_HEADER, call.request_id))


def expiry(context: Any) -> float | None:
    """Return when the caller's token expires, None where nothing says so."""
    given = next((value for key, value in context.invocation_metadata() if key == EXPIRY_HEADER), None)
    return parse_expiry(given)
