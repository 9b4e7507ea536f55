"""What a declared route must fulfil: whose it is, which one was read, what it names."""

from __future__ import annotations

from collections.abc import Callable

from headrace_servicekit.errors import Aborted, FieldViolation, NotFound, refuse

from headrace_router.control.decisions.resolve import Resolution, Unresolved, resolve
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import RouteState

# Returns what keeps the fallbacks of a route from standing for what its variants serve.
Fits = Callable[[Route, Resolution], list[FieldViolation]]


def fits_all(route: Route, resolved: Resolution) -> list[FieldViolation]:
    """Return nothing: for routes without fallbacks."""
    return []


def displaced_by(manager: str, state: RouteState) -> str:
    """Return who manages a route and would be displaced by a write on behalf of `manager`; empty when none would."""
    holder = state.declared.managed_by
    return holder if holder != manager else ""


def check_etag(state: RouteState, read_etag: str) -> None:
    """Raise Aborted, reason ETAG_MISMATCH, unless the route is still the one that was read."""
    current = state.declared.etag
    if read_etag != current:
        raise Aborted(
            f"the route of '{state.model}' changed since it was read: read it again",
            reason="ETAG_MISMATCH",
            metadata={"current_etag": current},
        )


def resolved_or_raise(state: RouteState, route: Route, fits: Fits = fits_all) -> Resolution:
    """Return the versions that a route names.

    Raises NotFound, reason VERSION_NOT_FOUND, and InvalidArgument, reason ROUTE_INVALID, naming the field.
    """
    resolved = resolve(route, state.registered)
    if isinstance(resolved, Unresolved):
        field = f"route.{resolved.field}"
        raise NotFound(resolved.reason, reason="VERSION_NOT_FOUND", violations=[FieldViolation(field, resolved.reason)])
    refuse(fits(route, resolved), reason="ROUTE_INVALID")
    return resolved
