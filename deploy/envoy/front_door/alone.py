"""An Envoy with nothing but the data plane in it: the router's service where the front door does not answer itself.

Its settings are those of the data plane in the front door: tokens are checked here, not there (decision 130).
"""

from __future__ import annotations

from headrace_servicekit.settings import settings_config

from front_door import admin, data_plane, errors, listener
from front_door.api import Api
from front_door.bootstrap import BOOTSTRAP_FILE, overload
from front_door.envoy_settings import EnvoySettings
from front_door.shapes import Json, exact, header_is, seconds, typed

STAT_PREFIX = "data_plane"
READY_PATH = "/readyz"
# All that a front door sends comes on a connection or two: the data plane's own bound is met first.
_STREAMS = 100_000
# Its own deadline ends a request first; this ends what hangs.
_MARGIN_S = 5.0
_ON = typed("config.route.v3.FilterConfig", config={})


class DataPlaneSettings(EnvoySettings):
    """Listeners, token issuers and limits of the data plane's Envoy."""

    model_config = settings_config("DATA_PLANE_")


def files(settings: DataPlaneSettings, api: Api) -> dict[str, Json | bytes]:
    """Return every file of the state directory by its name."""
    made: dict[str, Json | bytes] = {BOOTSTRAP_FILE: bootstrap(settings, api)}
    if settings.tls_cert is not None:
        made[listener.CERTIFICATE_FILE] = {"resources": [listener.certificate(settings)]}
    return made


def bootstrap(settings: DataPlaneSettings, api: Api) -> Json:
    """Return the file that Envoy is started with."""
    return {
        "node": {"id": "data-plane", "cluster": "headrace"},
        "admin": admin.admin(settings),
        "static_resources": {
            "listeners": [_listener(settings, api), admin.metrics_listener(settings)],
            "clusters": [admin.cluster(settings)],
        },
        # Streams that end early are no attack here: they are those of many callers, on the front door's connection.
        "overload_manager": overload(settings),
    }


def whole(settings: DataPlaneSettings, api: Api) -> Json:
    """Return the configuration for validation, which must not load the data plane nor open followed files."""
    config = bootstrap(settings, api)
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    manager = chain["filters"][0]["typed_config"]
    manager["http_filters"] = [one for one in manager["http_filters"] if one["name"] not in data_plane.FILTERS]
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        route.pop("typed_per_filter_config", None)
    if settings.tls_cert is not None:
        listener.fold_certificate(settings, chain)
    return config


def _listener(settings: DataPlaneSettings, api: Api) -> Json:
    chain: Json = {"filters": [{"name": "http", "typed_config": _connection_manager(settings, api)}]}
    if settings.tls_cert is not None:
        chain |= {"transport_socket_connect_timeout": "5s", "transport_socket": listener.tls(settings)}
    return {
        "name": "data-plane",
        "address": {"socket_address": {"address": settings.host, "port_value": settings.port}},
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "tcp_backlog_size": 4096,
        "filter_chains": [chain],
    }


def _connection_manager(settings: DataPlaneSettings, api: Api) -> Json:
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=STAT_PREFIX,
        codec_type="AUTO",
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        preserve_external_request_id=True,
        local_reply_config=errors.local_replies(api),
        common_http_protocol_options={"headers_with_underscores_action": "DROP_HEADER", "max_headers_count": 200},
        http2_protocol_options={
            "max_concurrent_streams": _STREAMS,
            "initial_stream_window_size": 1024 * 1024,
            "initial_connection_window_size": 16 * 1024 * 1024,
            "override_stream_error_on_invalid_http_message": True,
        },
        max_request_headers_kb=64,
        stream_idle_timeout=seconds(settings.predict_timeout_max_s + _MARGIN_S),
        drain_timeout="5s",
        delayed_close_timeout="1s",
        route_config={"name": "data-plane", "virtual_hosts": [_virtual_host(settings)]},
        http_filters=[
            {"name": "envoy.filters.http.health_check", "typed_config": _drain_check()},
            *data_plane.http_filters(),
            {"name": "envoy.filters.http.router", "typed_config": typed("extensions.filters.http.router.v3.Router")},
        ],
    )


def _virtual_host(settings: DataPlaneSettings) -> Json:
    asked = {"path": READY_PATH, "headers": [header_is(":method", exact="GET")]}
    answered = [
        {
            "match": match,
            "direct_response": {"status": 503},
            "typed_per_filter_config": {data_plane.enabled(match): _ON},
        }
        for match in (*data_plane.matches(), asked)
    ]
    return {
        "name": "predictions",
        "domains": ["*"],
        "request_body_buffer_limit": settings.max_request_bytes,
        "routes": [*answered, {"match": {"prefix": "/"}, "direct_response": {"status": 404}}],
    }


def _drain_check() -> Json:
    # What the data plane says of itself, until we leave: then this answers 503 instead.
    return typed(
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=True,
        headers=[{"name": ":path", "string_match": exact(READY_PATH)}],
    )
