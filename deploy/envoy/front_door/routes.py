"""Which cluster answers which path, for how long, and what is tried again."""

from __future__ import annotations

from front_door import access, data_plane, inference
from front_door.access import HEALTH_PREFIX, PREDICT_PATH, PREDICT_PATH_REGEX, REFLECTION_SERVICES, SCOPES
from front_door.api import Api, Method
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, header_is, seconds, typed

REGISTRY = "registry"
ROUTER_CONTROL = "router-control"
ROUTER_DATA = "router-data"
ROUTER_REST = "router-rest"
MONITOR = "monitor"
# Data planes in Envoys of their own, where there are any.
ROUTER_EDGE = "router-edge"
# The router's control plane again, without health checks: it must be asked for health when it is unwell.
HEALTH = "router-control-health"

BUFFER = "envoy.filters.http.buffer"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
FRAMING = "headrace.framing"
STRICT_JSON = "headrace.strict_json"
GRPC_STATS = "envoy.filters.http.grpc_stats"
CORS = "envoy.filters.http.cors"

CLUSTER_OF_SERVICE = {
    "headrace.registry.v1.RegistryService": REGISTRY,
    "headrace.router.v1.RouteService": ROUTER_CONTROL,
    "headrace.router.v1.PrecomputedService": ROUTER_CONTROL,
    "headrace.router.v1.RouterService": ROUTER_DATA,
    "headrace.monitor.v1.OutcomeService": MONITOR,
    "headrace.monitor.v1.MonitorService": MONITOR,
    "headrace.monitor.v1.AlertService": MONITOR,
    inference.SERVICE: ROUTER_DATA,
}

# Set on what comes through here, so that the control plane answers health for all services; stripped from outside.
EDGE_HEADER = "x-headrace-edge"
# Tells a data plane behind us which connection a prediction came on; stripped from outside.
CONNECTION_HEADER = "x-headrace-connection"

# What callers may say in headers of our own name: whom and what a prediction is about, how old an answer may be, and
# that they want to know how it comes about.
OUR_HEADERS = ("x-headrace-entity-id", "x-headrace-explain", "x-headrace-max-age-ms", "x-headrace-user-id")

# We end a call this much before the caller's deadline, so that it hears it from us rather than from its own timer.
_HEADSTART_S = 0.005
# Where the deadline is ours, the service is told one this much later: its own timer would name no reason.
_MARGIN_S = 1.0
# gRPC-Web's types begin alike.
_GRPC = header_is("content-type", prefix="application/grpc")
_NOT_GRPC = {**_GRPC, "invert_match": True, "treat_missing_header_as_empty": True}
_PREDICT_PATHS: tuple[Json, ...] = ({"path": PREDICT_PATH}, {"safe_regex": {"regex": PREDICT_PATH_REGEX}})
_INFER_PATH: Json = {"safe_regex": {"regex": inference.REST_INFER_REGEX}}
_POST = header_is(":method", exact="POST")
# The CORS filter answers a known page's preflight where a route leads somewhere. Nothing else may use this one.
_PREFLIGHT: Json = {
    "name": "preflight",
    "match": {"prefix": "/", "headers": [header_is(":method", exact="OPTIONS")]},
    "route": {"cluster": REGISTRY},
    "typed_per_filter_config": {
        SCOPES: typed("extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": {"action": "ALLOW"}})
    },
}
_DISABLED = typed("config.route.v3.FilterConfig", disabled=True)
_ENABLED = typed("config.route.v3.FilterConfig", config={})
# What is answered to everybody has next to no request: nobody without a token may have us keep more.
_HARDLY_A_BODY = {BUFFER: typed("extensions.filters.http.buffer.v3.BufferPerRoute", buffer={"max_request_bytes": 1024})}


def virtual_host(settings: FrontDoorSettings, api: Api) -> Json:
    """Return the one virtual host: what has no route here does not exist for callers."""
    return {
        "name": "api",
        "domains": ["*"],
        "request_body_buffer_limit": settings.max_request_bytes,
        "include_request_attempt_count": False,
        "typed_per_filter_config": {CORS: _cors(settings)},
        "routes": [
            _PREFLIGHT,
            *_predictions(settings),
            *(_grpc_route(settings, method) for method in _most_called_first(api)),
            *(_rest_predict(settings, path) for path in _PREDICT_PATHS),
            *(_not_posted(path) for path in _PREDICT_PATHS),
            _rest_predict(settings, _INFER_PATH, "rest-infer"),
            *(_rest_read(settings, {"path": path}, of_anybody=True) for path in inference.REST_HEALTH_PATHS),
            _rest_read(settings, {"path": inference.REST_ROOT}),
            _rest_read(settings, {"prefix": f"{inference.REST_ROOT}/"}),
            _transcoded(settings),
            _health(settings),
            *(_reflection(service) for service in REFLECTION_SERVICES),
            {"name": "nothing", "match": {"prefix": "/"}, "direct_response": {"status": 404}},
        ],
    }


def predicting(settings: FrontDoorSettings) -> str:
    """Return the cluster whose health tells whether predictions can be answered."""
    return ROUTER_EDGE if settings.data_plane == "service" and settings.router_edge else ROUTER_DATA


def _predictions(settings: FrontDoorSettings) -> list[Json]:
    """Return the routes of predictions that a data plane in an Envoy answers, this one or others."""
    if settings.data_plane == "here":
        return [_predict_here(settings, match) for match in data_plane.matches()]
    if not settings.router_edge:
        return []
    return [
        *(_predict_there(settings, match, _repeatable()) for match in data_plane.grpc_matches()),
        *(_predict_there(settings, match, _repeatable(also="503")) for match in data_plane.rest_matches()),
    ]


# What the data plane does itself, in fewer microseconds; and what would only look on.
_NOT_ON_PREDICTIONS = dict.fromkeys(
    (access.JWT, access.IDENTITY, access.DENIED, access.CLIENT_LIMIT, BUFFER, TRANSCODER, access.SCOPES, GRPC_STATS),
    _DISABLED,
)


def _predict_here(settings: FrontDoorSettings, match: Json) -> Json:
    """Return the route of a prediction in this process. It leads nowhere: the data plane answers before."""
    return {
        "name": "predict-here",
        "match": match,
        "direct_response": {"status": 503},
        "typed_per_filter_config": {**_NOT_ON_PREDICTIONS, data_plane.enabled(settings, match): _ENABLED},
    }


def _predict_there(settings: FrontDoorSettings, match: Json, retry_policy: Json) -> Json:
    """Return the route of a prediction in another Envoy, which looks at the token itself."""
    connection = {"key": CONNECTION_HEADER, "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}
    return {
        "name": "predict-there",
        "match": match,
        "route": _call(ROUTER_EDGE, settings.predict_timeout_max_s, retry_policy),
        "request_headers_to_add": [{"header": connection, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "typed_per_filter_config": _NOT_ON_PREDICTIONS,
    }


def _most_called_first(api: Api) -> list[Method]:
    # Routes are tried one after the other.
    return sorted((*api.public, *inference.methods()), key=lambda method: cluster_of(method) != ROUTER_DATA)


def cluster_of(method: Method) -> str:
    """Return the cluster that serves a public method. Raises ValueError for a service without one."""
    try:
        return CLUSTER_OF_SERVICE[method.service]
    except KeyError:
        raise ValueError(f"{method.service} is public and has no cluster: add it to CLUSTER_OF_SERVICE") from None


def _grpc_route(settings: FrontDoorSettings, method: Method) -> Json:
    # One exact path per method, so that a method that the descriptors do not have never reaches a service.
    cluster = cluster_of(method)
    if method.streaming:
        action, extra = _stream(settings, method, cluster), {"typed_per_filter_config": {BUFFER: _no_buffer()}}
    elif cluster == ROUTER_DATA:
        action = _call(cluster, settings.predict_timeout_max_s, _repeatable())
        extra = _unary(settings.predict_timeout_max_s, of_anybody=method.path in inference.OPEN_PATHS)
    else:
        action = _call(cluster, settings.call_timeout_max_s, _not_yet_sent())
        extra = _unary(settings.call_timeout_max_s)
    return {
        "name": method.path.lstrip("/"),
        "match": {"path": method.path, "case_sensitive": True, "headers": [_GRPC, _POST]},
        "route": action,
        **extra,
    }


def _rest_predict(settings: FrontDoorSettings, path: Json, name: str = "rest-predict") -> Json:
    return {
        "name": name,
        "match": {**path, "headers": [_POST]},
        "route": _call(ROUTER_REST, settings.predict_timeout_max_s, _repeatable(also="503")),
        "typed_per_filter_config": {TRANSCODER: _DISABLED},
        **_longest(settings.predict_timeout_max_s),
    }


def _rest_read(settings: FrontDoorSettings, path: Json, *, of_anybody: bool = False) -> Json:
    # Whatever else is asked of the Open Inference Protocol: the data plane knows its paths and what is not among them.
    return {
        "name": "rest-inference",
        "match": path,
        "route": _call(ROUTER_REST, settings.predict_timeout_max_s, _repeatable()),
        "typed_per_filter_config": {TRANSCODER: _DISABLED, **(_HARDLY_A_BODY if of_anybody else {})},
        **_longest(settings.predict_timeout_max_s),
    }


def _not_posted(path: Json) -> Json:
    # The transcoder would take `digits:predict` for the name of a model.
    return {
        "name": "predict-not-posted",
        "match": path,
        "direct_response": {"status": 404},
        "typed_per_filter_config": {TRANSCODER: _DISABLED},
    }


def _transcoded(settings: FrontDoorSettings) -> Json:
    # Never used as it stands: the transcoder gives the request its gRPC path and the route is chosen anew. What it does
    # not know it refuses.
    small = typed(
        "extensions.filters.http.buffer.v3.BufferPerRoute", buffer={"max_request_bytes": settings.max_json_bytes}
    )
    return {
        "name": "rest",
        "match": {"prefix": "/v1/", "headers": [_NOT_GRPC]},
        "route": _call(REGISTRY, settings.call_timeout_max_s, _not_yet_sent()),
        "typed_per_filter_config": {BUFFER: small, STRICT_JSON: _ENABLED},
        **_longest(settings.call_timeout_max_s),
    }


def _health(settings: FrontDoorSettings) -> Json:
    return {
        "name": "health",
        "match": {"prefix": HEALTH_PREFIX, "headers": [_GRPC, _POST]},
        # Watch is a stream without end.
        "route": {"cluster": HEALTH, "timeout": "0s", "idle_timeout": "0s"},
        "request_headers_to_add": [
            {"header": {"key": EDGE_HEADER, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
        "typed_per_filter_config": {BUFFER: _no_buffer()},
    }


def _reflection(service: str) -> Json:
    return {
        "name": service,
        "match": {"prefix": f"/{service}/", "headers": [_GRPC, _POST]},
        "route": {"cluster": HEALTH, "timeout": "0s", "idle_timeout": "60s"},
        "typed_per_filter_config": {BUFFER: _no_buffer()},
    }


def _call(cluster: str, longest_s: float, retry_policy: Json) -> Json:
    return {
        "cluster": cluster,
        "timeout": "0s",  # max_stream_duration holds instead: it knows the caller's own deadline
        "idle_timeout": seconds(longest_s + 5),
        "max_stream_duration": {
            "max_stream_duration": seconds(longest_s),
            "grpc_timeout_header_max": seconds(longest_s),
            "grpc_timeout_header_offset": seconds(_HEADSTART_S),
        },
        "retry_policy": retry_policy,
    }


def _stream(settings: FrontDoorSettings, method: Method, cluster: str) -> Json:
    # A watch may be silent for as long as nothing changes; keepalive finds callers that are gone.
    idle = seconds(settings.upload_idle_timeout_s) if method.client_streaming else "0s"
    return {"cluster": cluster, "timeout": "0s", "idle_timeout": idle, "retry_policy": _not_yet_sent()}


def _repeatable(also: str = "") -> Json:
    """Retries of predictions, which may be repeated whatever happened to the first try."""
    codes = {"retriable_status_codes": [int(also)]} if also else {}
    # CANCELLED: a call that reached a gRPC server just as it stopped taking any; callers who cancel wait for no answer.
    on = "connect-failure,refused-stream,reset," + ("retriable-status-codes" if also else "unavailable,cancelled")
    return {**_retries(on, 2), **codes}


def _not_yet_sent() -> Json:
    """Retries of everything else: only when the service has not seen the request."""
    return _retries("connect-failure,refused-stream,reset-before-request", 2)


def _retries(retry_on: str, most: int) -> Json:
    elsewhere = {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
    }
    return {
        "retry_on": retry_on,
        "num_retries": most,
        "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.2s"},
        # A host that refuses has the fewest requests and is liked best: of two it is drawn three times out of four.
        "host_selection_retry_max_attempts": 20,
        "retry_host_predicate": [elsewhere],
    }


def _longest(longest_s: float) -> Json:
    """Tell the identity filter, which writes the deadline that the service is to see."""
    return {
        "metadata": {"filter_metadata": {"headrace.identity": {"longest_ms": round((longest_s + _MARGIN_S) * 1000)}}}
    }


def _unary(longest_s: float, *, of_anybody: bool = False) -> Json:
    body = _HARDLY_A_BODY if of_anybody else {}
    return {"typed_per_filter_config": {FRAMING: _ENABLED, **body}, **_longest(longest_s)}


def _no_buffer() -> Json:
    return typed("extensions.filters.http.buffer.v3.BufferPerRoute", disabled=True)


def _cors(settings: FrontDoorSettings) -> Json:
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
                *OUR_HEADERS,
            )
        ),
        expose_headers="grpc-message,grpc-status,grpc-status-details-bin,inference-header-content-length,retry-after,"
        "x-request-id",
        max_age="600",
        allow_credentials=False,
    )
