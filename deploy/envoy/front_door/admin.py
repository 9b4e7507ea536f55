"""Envoy's admin interface on a Unix socket of mode 0600, and the one port that shows a part of it.

Any client of the interface can drain Envoy, so it has no network address: neither a webhook nor a page in a browser can
name a Unix socket. Prometheus and probes have a listener that forwards two paths only.
"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import TypeVar

from front_door.envoy_settings import EnvoySettings
from front_door.shapes import Json, header_is, typed

CLUSTER = "admin"
LISTENER = "envoy-metrics"
READY, PROMETHEUS = "/ready", "/stats/prometheus"

_MODE = 0o600
# Prometheus and a probe or two; Envoy's main thread answers them, one after the other.
_CONNECTIONS, _REQUESTS = 128, 4
_TIMEOUT_S = 2.0

Settings = TypeVar("Settings", bound=EnvoySettings)


def admin(settings: EnvoySettings) -> Json:
    """Return the admin interface: what may be read there, and what a drain needs."""
    return {
        "address": {"pipe": {"path": str(settings.admin_socket), "mode": _MODE}},
        "allow_paths": [
            {"exact": READY},
            {"exact": "/server_info"},
            {"exact": "/clusters"},
            {"exact": "/stats"},
            {"prefix": "/stats?"},
            {"prefix": PROMETHEUS},
            {"exact": "/healthcheck/fail"},
            {"prefix": "/drain_listeners"},
            {"exact": "/reopen_logs"},
        ],
    }


def metrics_listener(settings: EnvoySettings) -> Json:
    """Return the listener for Prometheus and probes: it reads two paths of the admin interface."""
    limit = typed(
        "extensions.filters.network.connection_limit.v3.ConnectionLimit",
        stat_prefix="envoy_metrics",
        max_connections=_CONNECTIONS,
    )
    return {
        "name": LISTENER,
        "address": {"socket_address": {"address": settings.metrics_host, "port_value": settings.metrics_port}},
        # It has a limit of its own: one asks how a front door is just when that has no room left.
        "ignore_global_conn_limit": True,
        "filter_chains": [
            {
                "filters": [
                    {"name": "envoy.filters.network.connection_limit", "typed_config": limit},
                    {"name": "http", "typed_config": _connection_manager()},
                ]
            }
        ],
    }


def looked_up(settings: Settings) -> Settings:
    """Return the settings with the address of `metrics_host` in the place of its name. Raises OSError."""
    try:
        *_, (address, *_) = socket.getaddrinfo(settings.metrics_host, settings.metrics_port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise OSError(f"metrics_host: {settings.metrics_host}: {error}") from error
    return settings.model_copy(update={"metrics_host": address})


def cluster(settings: EnvoySettings) -> Json:
    """Return the admin interface as what the listener passes questions on to."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(settings.admin_socket)}}}}
    return {
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {
            "thresholds": [{"max_connections": _REQUESTS, "max_pending_requests": _REQUESTS, "max_requests": _REQUESTS}]
        },
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def ask(path: Path, method: str, what: str) -> str:
    """Return the text of an answer of the admin interface at `path`. Raises OSError, also for what is no 200."""
    connection = _UnixConnection(path)
    try:
        connection.request(method, what)
        answer = connection.getresponse()
        text = answer.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"{what}: {type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{what}: HTTP {answer.status} {text.strip()[:300]}")
    return text


def says_ready(settings: EnvoySettings) -> bool:
    """Return whether Envoy answers, over its listener for metrics, that it is ready."""
    connection = http.client.HTTPConnection(settings.metrics_host, settings.metrics_port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", READY)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _connection_manager() -> Json:
    # Paths are compared as they came, and passed on as they came: nothing that is rewritten can mean something else.
    routes = [
        {"match": {"path": path, "headers": [header_is(":method", exact="GET")]}, "route": _TO_ADMIN}
        for path in (PROMETHEUS, READY)
    ]
    nothing = {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="envoy_metrics",
        codec_type="HTTP1",
        common_http_protocol_options={"idle_timeout": "15s", "max_headers_count": 50},
        max_request_headers_kb=16,
        request_headers_timeout="5s",
        stream_idle_timeout="15s",
        drain_timeout="1s",
        route_config={
            "name": LISTENER,
            "virtual_hosts": [{"name": LISTENER, "domains": ["*"], "routes": [*routes, nothing]}],
        },
        http_filters=[
            {"name": "envoy.filters.http.router", "typed_config": typed("extensions.filters.http.router.v3.Router")}
        ],
    )


_TO_ADMIN = {"cluster": CLUSTER, "timeout": "10s"}
