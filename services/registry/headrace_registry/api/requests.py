"""What every write says: who makes it, why, and under which id; and which models a list has."""

from __future__ import annotations

from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import refuse
from headrace_servicekit.identity import identity
from headrace_servicekit.resource_names import invalid

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import validation
from headrace_registry.decisions.model_lists import ModelQuery

_MAX_CONTAINS_CHARS = 200
_ORDER = registry_pb2.ListModelsRequest.Order


def write_of(method: str, request) -> Write:
    """Return who writes and why. Raises InvalidArgument for a reason or request id that cannot be kept."""
    reason = getattr(request, "reason", "")
    refuse(
        [
            *validation.text_violations(reason, "reason", validation.MAX_REASON_CHARS),
            *validation.text_violations(request.request_id, "request_id", validation.MAX_REQUEST_ID_CHARS),
        ]
    )
    return Write(
        identity().client,
        reason,
        request.request_id,
        writes.fingerprint(method, request),
        validate_only=getattr(request, "validate_only", False),
    )


def model_query(request: registry_pb2.ListModelsRequest) -> ModelQuery:
    """Return which models are asked for. Raises InvalidArgument."""
    refuse([*validation.text_violations(request.contains, "contains", _MAX_CONTAINS_CHARS)])
    if request.order not in _ORDER.values():
        raise invalid("order", f"{request.order} is not one of {', '.join(_ORDER.keys())}")
    return ModelQuery(request.contains.lower(), request.order == _ORDER.ORDER_LATEST_CHANGE)
