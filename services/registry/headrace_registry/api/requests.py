"""What every write says: who makes it, why, and under which id."""

from __future__ import annotations

from headrace_servicekit.errors import refuse
from headrace_servicekit.identity import identity

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import validation


def write_of(method: str, request) -> Write:
    """Return who writes and why. Raises InvalidArgument for a reason or request id that cannot be kept."""
    reason = getattr(request, "reason", "")
    refuse(
        [
            *validation.text_violations(reason, "reason", validation.MAX_REASON_CHARS),
            *validation.text_violations(request.request_id, "request_id", validation.MAX_REQUEST_ID_CHARS),
        ]
    )
    return Write(identity().client, reason, request.request_id, writes.fingerprint(method, request))
