"""Envoy as people put it before a gRPC server: plain, or with token, rate limit and scope checked.

The checks are those that Headrace's own front door makes on its other routes, from the same code, without what Headrace
adds for itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.checkout import ROOT

sys.path.insert(0, str(ROOT / "deploy" / "envoy"))

from front_door import access, inference
from front_door.process import find_binary
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, typed

HTTP1: Json = {"explicit_http_config": {"http_protocol_options": {}}}
HTTP2: Json = {"explicit_http_config": {"http2_protocol_options": {}}}
_UNUSED = Path("unused")
# More than anything here keeps in flight.
_MOST_REQUESTS = 10_000


def binary() -> Path:
    """Return the Envoy that Headrace runs."""
    return find_binary(_settings(_UNUSED))


def plain(port: int, upstream: int, *, protocol: Json = HTTP2) -> Json:
    """Return the configuration of an Envoy that passes everything on. protocol: what the upstream speaks."""
    return _configuration(port, upstream, [], protocol)


def guarded(port: int, upstream: int, jwks: Path) -> Json:
    """Return the same with jwt_authn, a bucket per client, and RBAC by the token's scopes."""
    settings = _settings(jwks)
    token = access.token_check(settings, jwks.read_text())
    # Straight from the claim, which costs less than the script by which the front door sets its headers.
    token["providers"]["issuer"]["claim_to_headers"] = [{"header_name": access.CLIENT_HEADER, "claim_name": "sub"}]
    policy = {
        "permissions": [{"url_path": {"path": {"exact": inference.path("ModelInfer")}}}],
        "principals": [access.has_scope(access.PREDICT_SCOPE)],
    }
    scopes = typed(
        "extensions.filters.http.rbac.v3.RBAC", rules={"action": "ALLOW", "policies": {"inference-predict": policy}}
    )
    limit = access.client_limit(settings)
    limit["enable_x_ratelimit_headers"] = "OFF"
    filters = [
        {"name": access.JWT, "typed_config": token},
        {"name": access.CLIENT_LIMIT, "typed_config": limit},
        {"name": access.SCOPES, "typed_config": scopes},
    ]
    return _configuration(port, upstream, filters, HTTP2)


def _settings(jwks: Path) -> FrontDoorSettings:
    return FrontDoorSettings(state_dir=_UNUSED, jwks_file=jwks)


def _configuration(port: int, upstream: int, filters: list[Json], protocol: Json) -> Json:
    manager = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="reference",
        codec_type="AUTO",
        generate_request_id=False,
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "30s"}}],
                }
            ]
        },
        http_filters=[
            *filters,
            {"name": "envoy.filters.http.router", "typed_config": typed("extensions.filters.http.router.v3.Router")},
        ],
    )
    options: Any = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "reference",
                    "address": _address(port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "upstream",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        options: {"@type": f"type.googleapis.com/{options}", **protocol}
                    },
                    "circuit_breakers": {
                        "thresholds": [
                            dict.fromkeys(("max_requests", "max_pending_requests", "max_connections"), _MOST_REQUESTS)
                        ]
                    },
                    "load_assignment": {
                        "cluster_name": "upstream",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
                    },
                }
            ],
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
