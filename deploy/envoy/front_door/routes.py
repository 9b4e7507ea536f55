"""Which cluster answers which path."""

from __future__ import annotations

from front_door import absent, access, cors, data_plane, inference, offered
from front_door.access import (
    HEALTH_PREFIX,
    PREDICT_PATH,
    PREDICT_PATH_REGEX,
    PREDICT_STREAM_REGEX,
    REFLECTION_SERVICES,
)
from front_door.api import Api, Method
from front_door.calling import call, event_stream, longest, not_yet_sent, repeatable, stream
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, header_is, typed

# Every other cluster has the name of its service in deploy/topology.toml.
ROUTER_CONTROL = "router-control"
ROUTER_DATA = "router-data"
ROUTER_REST = "router-rest"
# Data planes in Envoys of their own, where there are any.
ROUTER_EDGE = "router-edge"
# The router's control plane again, without health checks: it must be asked for health when it is unwell.
HEALTH = "router-control-health"

BUFFER = "envoy.filters.http.buffer"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
FRAMING = "headrace.framing"
STRICT_JSON = "headrace.strict_json"
GRPC_STATS = "envoy.filters.http.grpc_stats"

# Tells a data plane behind us which connection a prediction came on; stripped from outside.
CONNECTION_HEADER = "x-headrace-connection"

# Headrace headers that callers may set: entity and context of a prediction, maximum age of an answer, and whether to
# explain it.
OUR_HEADERS = ("x-headrace-entity-id", "x-headrace-explain", "x-headrace-max-age-ms", "x-headrace-user-id")

TOKEN_REMOVED: Json = {"request_headers_to_remove": ["authorization"]}

# gRPC-Web's types begin alike.
_GRPC = header_is("content-type", prefix="application/grpc")
_NOT_GRPC = {**_GRPC, "invert_match": True, "treat_missing_header_as_empty": True}
_PREDICT_PATHS: tuple[Json, ...] = ({"path": PREDICT_PATH}, {"safe_regex": {"regex": PREDICT_PATH_REGEX}})
_STREAM_PATH: Json = {"safe_regex": {"regex": PREDICT_STREAM_REGEX}}
_INFER_PATH: Json = {"safe_regex": {"regex": inference.REST_INFER_REGEX}}
_POST = header_is(":method", exact="POST")
_DISABLED = typed("config.route.v3.FilterConfig", disabled=True)
_ENABLED = typed("config.route.v3.FilterConfig", config={})
# Paths without a token have hardly any request body: an anonymous caller may not make us buffer more.
_HARDLY_A_BODY = {BUFFER: typed("extensions.filters.http.buffer.v3.BufferPerRoute", buffer={"max_request_bytes": 1024})}


def virtual_host(settings: FrontDoorSettings, api: Api) -> Json:
    """Return the one virtual host: what has no route here does not exist for callers."""
    return {
        "name": "api",
        "domains": ["*"],
        "request_body_buffer_limit": settings.max_request_bytes,
        "include_request_attempt_count": False,
        "typed_per_filter_config": {cors.FILTER: cors.policy(settings, OUR_HEADERS)},
        "routes": [_to_services(route) for route in _routes(settings, api)],
    }


def _to_services(route: Json) -> Json:
    """Return a route that keeps the caller's token from services, but from those that use it.

    Data planes of their own check it themselves, and pages that a program saves call the API with it.
    """
    trusted = (None, ROUTER_EDGE, *offered.pages().values())
    return route if route.get("route", {}).get("cluster") in trusted else {**route, **TOKEN_REMOVED}


def _routes(settings: FrontDoorSettings, api: Api) -> list[Json]:
    return [
        cors.preflight(ROUTER_CONTROL),
        *_predictions(settings),
        *(_grpc_route(settings, method) for method in _most_called_first(api) if _is_answered(settings, method)),
        *(_rest_predict(settings, path) for path in _PREDICT_PATHS),
        _rest_stream(settings),
        *(_not_posted(path) for path in (*_PREDICT_PATHS, _STREAM_PATH)),
        _rest_predict(settings, _INFER_PATH, "rest-infer"),
        *(_rest_read(settings, {"path": path}, of_anybody=True) for path in inference.REST_HEALTH_PATHS),
        _rest_read(settings, {"path": inference.REST_ROOT}),
        _rest_read(settings, {"prefix": f"{inference.REST_ROOT}/"}),
        *_kserve(settings),
        _transcoded(settings),
        *(_pages(path, service) for path, service in offered.pages().items() if settings.has(service)),
        *absent.routes(settings, {**_NOT_ON_PAGES, BUFFER: _no_buffer()}),
        _health(settings),
        *(_reflection(service) for service in REFLECTION_SERVICES),
        {"name": "nothing", "match": {"prefix": "/"}, "direct_response": {"status": 404}},
    ]


def predicting(settings: FrontDoorSettings) -> str:
    """Return the cluster whose health tells whether predictions can be answered."""
    return ROUTER_EDGE if settings.data_plane == "service" and settings.router_edge else ROUTER_DATA


def _predictions(settings: FrontDoorSettings) -> list[Json]:
    """Return the routes of predictions that a data plane in an Envoy answers, this one or others."""
    if settings.data_plane == "here":
        return [_predict_here(match) for match in data_plane.matches()]
    if not settings.router_edge:
        return []
    return [
        *(_predict_there(settings, match, repeatable()) for match in data_plane.grpc_matches()),
        *(_predict_there(settings, match, repeatable(also="503")) for match in data_plane.rest_matches()),
        {
            **_predict_there(settings, data_plane.stream_match(), repeatable()),
            "route": event_stream(ROUTER_EDGE, settings.predict_timeout_max_s),
        },
    ]


# What the data plane does itself, in fewer microseconds; and what would only look on.
_NOT_ON_PREDICTIONS = dict.fromkeys(
    (access.JWT, access.IDENTITY, access.DENIED, access.CLIENT_LIMIT, BUFFER, TRANSCODER, access.SCOPES, GRPC_STATS),
    _DISABLED,
)


def _predict_here(match: Json) -> Json:
    """Return the route of a prediction in this process. It leads nowhere: the data plane answers before."""
    return {
        "name": "predict-here",
        "match": match,
        "direct_response": {"status": 503},
        "typed_per_filter_config": {**_NOT_ON_PREDICTIONS, data_plane.enabled(match): _ENABLED},
    }


def _predict_there(settings: FrontDoorSettings, match: Json, retry_policy: Json) -> Json:
    """Return the route of a prediction in another Envoy, which looks at the token itself."""
    connection = {"key": CONNECTION_HEADER, "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}
    return {
        "name": "predict-there",
        "match": match,
        "route": call(ROUTER_EDGE, settings.predict_timeout_max_s, retry_policy),
        "request_headers_to_add": [{"header": connection, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "typed_per_filter_config": _NOT_ON_PREDICTIONS,
    }


def _most_called_first(api: Api) -> list[Method]:
    # Routes are tried one after the other.
    return sorted((*api.public, *inference.methods()), key=lambda method: cluster_of(method) != ROUTER_DATA)


def _is_answered(settings: FrontDoorSettings, method: Method) -> bool:
    return cluster_of(method) == ROUTER_DATA or settings.has(cluster_of(method))


def cluster_of(method: Method) -> str:
    """Return the cluster that serves a public method. Raises ValueError for a service without one."""
    try:
        service = offered.services()[method.service]
    except KeyError:
        raise ValueError(
            f"{method.service} is public and no service offers it: add it in deploy/topology.toml"
        ) from None
    return ROUTER_DATA if service == offered.FRONT_DOOR else service


def _grpc_route(settings: FrontDoorSettings, method: Method) -> Json:
    # One exact path per method, so that a method that the descriptors do not have never reaches a service.
    cluster = cluster_of(method)
    if method.streaming:
        action, extra = stream(settings, method, cluster), {"typed_per_filter_config": {BUFFER: _no_buffer()}}
    elif cluster == ROUTER_DATA:
        action = call(cluster, settings.predict_timeout_max_s, repeatable())
        extra = _unary(settings.predict_timeout_max_s, of_anybody=method.path in inference.OPEN_PATHS)
    else:
        action = call(cluster, settings.call_timeout_max_s, not_yet_sent())
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
        "route": call(ROUTER_REST, settings.predict_timeout_max_s, repeatable(also="503")),
        "typed_per_filter_config": {TRANSCODER: _DISABLED},
        **longest(settings.predict_timeout_max_s),
    }


def _rest_stream(settings: FrontDoorSettings) -> Json:
    return {
        "name": "rest-predict-stream",
        "match": {**_STREAM_PATH, "headers": [_POST]},
        "route": event_stream(ROUTER_REST, settings.predict_timeout_max_s),
        "typed_per_filter_config": {TRANSCODER: _DISABLED},
    }


def _rest_read(settings: FrontDoorSettings, path: Json, *, of_anybody: bool = False) -> Json:
    # Whatever else is asked of the Open Inference Protocol: the data plane knows its paths and what is not among them.
    return {
        "name": "rest-inference",
        "match": path,
        "route": call(ROUTER_REST, settings.predict_timeout_max_s, repeatable()),
        "typed_per_filter_config": {TRANSCODER: _DISABLED, **(_HARDLY_A_BODY if of_anybody else {})},
        **longest(settings.predict_timeout_max_s),
    }


def _kserve(settings: FrontDoorSettings) -> list[Json]:
    """Return the routes of KServe's first protocol, which the data plane answers below other paths."""
    predict = _rest_predict(settings, {"safe_regex": {"regex": inference.KSERVE_PREDICT_REGEX}}, "kserve-predict")
    ready = _rest_read(settings, {"safe_regex": {"regex": inference.KSERVE_READY_REGEX}})
    return [
        _rewritten(predict, inference.KSERVE_PREDICT_REGEX, inference.KSERVE_PREDICT_PATH),
        {**_rewritten(ready, inference.KSERVE_READY_REGEX, inference.KSERVE_READY_PATH), "name": "kserve-ready"},
        {
            "name": "kserve-live",
            "match": {"safe_regex": {"regex": inference.KSERVE_LIVE_REGEX}},
            "direct_response": {"status": 200, "body": {"inline_string": '{"status":"alive"}'}},
            "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/json"}}],
            "typed_per_filter_config": {TRANSCODER: _DISABLED},
        },
    ]


def _rewritten(route: Json, regex: str, path: str) -> Json:
    return {**route, "route": {**route["route"], "regex_rewrite": {"pattern": {"regex": regex}, "substitution": path}}}


def _not_posted(path: Json) -> Json:
    # The transcoder would take `digits:predict` for the name of a model.
    return {
        "name": "predict-not-posted",
        "match": path,
        "direct_response": {"status": 404},
        "typed_per_filter_config": {TRANSCODER: _DISABLED},
    }


def _transcoded(settings: FrontDoorSettings) -> Json:
    # Never used unchanged: the transcoder gives the request its gRPC path, and Envoy chooses the route again. It
    # refuses unknown paths.
    small = typed(
        "extensions.filters.http.buffer.v3.BufferPerRoute", buffer={"max_request_bytes": settings.max_json_bytes}
    )
    return {
        "name": "rest",
        "match": {"prefix": "/v1/", "headers": [_NOT_GRPC]},
        "route": call(ROUTER_CONTROL, settings.call_timeout_max_s, not_yet_sent()),
        "typed_per_filter_config": {BUFFER: small, STRICT_JSON: _ENABLED},
        **longest(settings.call_timeout_max_s),
    }


# A browser backend identifies people by its own cookies and calls here with their tokens.
_NOT_ON_PAGES = dict.fromkeys(
    (access.JWT, access.IDENTITY, access.DENIED, access.CLIENT_LIMIT, TRANSCODER, access.SCOPES, GRPC_STATS), _DISABLED
)
# The longest form that a page has, with room; what is sent without a session is no larger.
_FORM = {BUFFER: typed("extensions.filters.http.buffer.v3.BufferPerRoute", buffer={"max_request_bytes": 64 * 1024})}


def _pages(path: str, service: str) -> Json:
    return {
        "name": f"pages-{service}",
        "match": {"path_separated_prefix": path},
        # A page may go on telling what changes; its server says something every few seconds.
        "route": {"cluster": service, "timeout": "0s", "idle_timeout": "60s", "retry_policy": not_yet_sent()},
        "typed_per_filter_config": {**_NOT_ON_PAGES, **_FORM},
    }


def _health(settings: FrontDoorSettings) -> Json:
    return {
        "name": "health",
        "match": {"prefix": HEALTH_PREFIX, "headers": [_GRPC, _POST]},
        # Watch is a stream without end.
        "route": {"cluster": HEALTH, "timeout": "0s", "idle_timeout": "0s"},
        "typed_per_filter_config": {BUFFER: _no_buffer()},
    }


def _reflection(service: str) -> Json:
    return {
        "name": service,
        "match": {"prefix": f"/{service}/", "headers": [_GRPC, _POST]},
        "route": {"cluster": HEALTH, "timeout": "0s", "idle_timeout": "60s"},
        "typed_per_filter_config": {BUFFER: _no_buffer()},
    }


def _unary(longest_s: float, *, of_anybody: bool = False) -> Json:
    body = _HARDLY_A_BODY if of_anybody else {}
    return {"typed_per_filter_config": {FRAMING: _ENABLED, **body}, **longest(longest_s)}


def _no_buffer() -> Json:
    return typed("extensions.filters.http.buffer.v3.BufferPerRoute", disabled=True)
