"""Errors as replies of REST: status, headers and a body of the form that the path's clients expect."""

from __future__ import annotations

import math

import orjson
from headrace_servicekit.error_details import http_status, to_json
from headrace_servicekit.errors import ServiceError

from headrace_router.data.transports.rest.bodies import TooLarge, TooSlow
from headrace_router.data.transports.rest.inference_paths import below_root, refusal_of
from headrace_router.data.transports.rest.paths import JSON, Reply, WrongMethod


def refused(raw: bytes, error: ServiceError) -> Reply:
    """Return the reply to a request that an error ended. raw: its path as it was sent."""
    headers: list[tuple[bytes, bytes]] = [JSON]
    status = http_status(error.code)
    if isinstance(error, TooLarge):
        status = 413
    elif isinstance(error, TooSlow):
        status = 408
    elif isinstance(error, WrongMethod):
        status = 405
        headers.append((b"allow", error.allow.encode()))
    if error.retry_after_s is not None:  # whole seconds, at least one: zero would mean "at once"
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    body = refusal_of(error) if below_root(raw) else to_json(error)
    return Reply(orjson.dumps(body), status, tuple(headers))
