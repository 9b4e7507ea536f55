"""Which pages of other origins may call, and what browsers let them send and see."""

from __future__ import annotations

from collections.abc import Iterable

from front_door.access import SCOPES
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, header_is, typed

FILTER = "envoy.filters.http.cors"


def preflight(cluster: str) -> Json:
    """Return the route of preflights: the filter answers a known page's where a route leads somewhere.

    Nothing else may use this one.
    """
    return {
        "name": "preflight",
        "match": {"prefix": "/", "headers": [header_is(":method", exact="OPTIONS")]},
        "route": {"cluster": cluster},
        "typed_per_filter_config": {
            SCOPES: typed("extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": {"action": "ALLOW"}})
        },
    }


def policy(settings: FrontDoorSettings, our_headers: Iterable[str]) -> Json:
    """Return the filter's configuration on every route. our_headers: Headrace headers that a page may send."""
    origins = [
        {"safe_regex": {"regex": ".*"}} if origin == "*" else {"exact": origin} for origin in settings.cors_origins
    ]
    return typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=origins,
        allow_methods="GET, POST, PUT, PATCH, DELETE, OPTIONS",
        allow_headers=",".join(
            (
                "authorization,content-type,grpc-timeout,inference-header-content-length,traceparent,x-grpc-web",
                "x-request-id,x-user-agent",
                *our_headers,
            )
        ),
        expose_headers="grpc-message,grpc-status,grpc-status-details-bin,inference-header-content-length,retry-after,"
        "x-request-id",
        max_age="600",
        allow_credentials=False,
    )
