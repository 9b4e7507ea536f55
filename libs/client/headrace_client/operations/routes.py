"""Routes: which share of a model's traffic which version answers, who goes where, and what happened before."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.router.v1 import route_pb2

from headrace_client.calls import Operation, Session, invoke
from headrace_client.operations.list_pages import list_all

DEFAULT_TIMEOUT_S = 30.0

Unit = route_pb2.Route.Unit


@dataclass(frozen=True, slots=True)
class Version:
    """A variant that serves this version."""

    id: str


@dataclass(frozen=True, slots=True)
class Production:
    """A variant that follows whatever is in production."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A variant that follows whatever version an alias names."""

    name: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm of a route. weight: share relative to the other arms.

    pool: of batchers; empty leaves an arm of that name where it is, and means `default` for a new one.
    """

    name: str
    serves: Version | Production | Alias
    weight: float
    pool: str = ""

    def to_proto(self) -> route_pb2.Variant:
        """Return the arm as it is sent. Raises TypeError for a plain text: a version, an alias or neither?"""
        declared = route_pb2.Variant(name=self.name, weight=self.weight, pool=self.pool)
        if isinstance(self.serves, Version):
            declared.version = self.serves.id
        elif isinstance(self.serves, Alias):
            declared.follow_alias = self.serves.name
        elif isinstance(self.serves, Production):
            declared.follow_production = True
        else:
            raise TypeError(f"serves: {self.serves!r} is not one of Version('v2'), Alias('best') and Production()")
        return declared


def get_route(
    session: Session, model: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[route_pb2.GetRouteResponse]:
    """Return a model's route as declared (or the implicit one), and what is in force."""
    request = route_pb2.GetRouteRequest(name=f"routes/{model}")
    return (yield from invoke(session, route_pb2.GetRouteResponse, request, timeout_s=timeout))


def list_routes(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[route_pb2.Route]]:
    """Return the routes of every model that the token may see, by name."""
    return (
        yield from list_all(
            session, route_pb2.ListRoutesResponse, route_pb2.ListRoutesRequest(), "routes", timeout_s=timeout
        )
    )


def list_batchers(
    session: Session, pool: str = "", *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[route_pb2.Batcher]]:
    """Return the batchers of a pool, or of every pool, with what each holds of the models that the token may see."""
    request = route_pb2.ListBatchersRequest(pool=pool)
    return (yield from list_all(session, route_pb2.ListBatchersResponse, request, "batchers", timeout_s=timeout))


def assign(
    session: Session,
    model: str,
    *,
    user_id: str = "",
    entity_id: str = "",
    attributes: Mapping[str, str] | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[route_pb2.AssignUnitResponse]:
    """Return the variant that a user or entity is assigned to at present; changes nothing. attributes: for rules."""
    request = route_pb2.AssignUnitRequest(
        name=f"routes/{model}", user_id=user_id, entity_id=entity_id, attributes=attributes
    )
    return (yield from invoke(session, route_pb2.AssignUnitResponse, request, timeout_s=timeout))


def route_history(
    session: Session, model: str, *, limit: int | None = 100, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[route_pb2.RouteEvent]]:
    """Return the newest `limit` changes of a route, newest first; None returns all."""
    request = route_pb2.ListRouteEventsRequest(parent=f"routes/{model}")
    return (
        yield from list_all(
            session, route_pb2.ListRouteEventsResponse, request, "events", timeout_s=timeout, limit=limit
        )
    )


def purge_cache(
    session: Session,
    model: str,
    version: str = "",
    *,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[route_pb2.PurgeCacheResponse]:
    """Make every cached answer of a version void, of the one in production unless it is named; precomputed ones stay.

    It waits until no data plane gives one any more; the answer's status names those that were not heard of in time.
    """
    request = route_pb2.PurgeCacheRequest(
        name=f"routes/{model}", version=version, reason=reason, request_id=request_id or str(uuid.uuid4())
    )
    return (yield from invoke(session, route_pb2.PurgeCacheResponse, request, timeout_s=timeout))
