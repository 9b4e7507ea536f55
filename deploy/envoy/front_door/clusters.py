"""The services behind the front door: where they are, how their health is known, how much they are sent."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from front_door import offered, routes
from front_door.settings import FrontDoorSettings, split_address
from front_door.shapes import Json, seconds, typed

OTLP = "otlp"
# Enough that the services' own limits, which answer with a reason, are met first.
_MOST_REQUESTS = 10_000
_DNS_REFRESH_S = 2.0


def clusters(settings: FrontDoorSettings) -> list[Json]:
    """Return every cluster. No store, no Triton, no batcher is among them."""
    with_pages = offered.pages().values()
    made = [
        *(
            _asked_anyway(_service(settings, name, addresses, http1=True))
            if name in with_pages
            else _service(settings, name, addresses)
            for name, addresses in settings.behind.items()
        ),
        _service(settings, routes.ROUTER_DATA, settings.router_data),
        _service(settings, routes.ROUTER_REST, settings.router_rest, http1=True),
        _asked_for_health(settings),
    ]
    if settings.router_edge:
        made.append(_predicting(settings))
    if settings.otlp_endpoint:
        made.append(
            {**_endpoints(OTLP, (settings.otlp_endpoint,)), **_protocol(http1=False), "connect_timeout": "0.25s"}
        )
    return made


def _service(
    settings: FrontDoorSettings, name: str, addresses: Sequence[str], *, http1: bool = False, check: Json | None = None
) -> Json:
    return {
        **_bare(settings, name, addresses, http1=http1),
        "health_checks": [
            {
                "timeout": "0.5s",
                "interval": "1s",
                "interval_jitter": "0.1s",
                # A host that comes back is soon used again: the next one of a rolling restart may be about to leave.
                # Where no call has gone yet, as to a data plane in this Envoy none does, it is the second that counts.
                "unhealthy_interval": "0.2s",
                "no_traffic_interval": "0.2s",
                "no_traffic_healthy_interval": "1s",
                # The first check is made on a timer, which runs once a data plane in this Envoy has been loaded. Made
                # at once it would find the port closed, and `/healthz` would say so until the next one.
                "initial_jitter": "0.001s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "always_log_health_check_failures": False,
                **(check or (_REST_CHECK if http1 else {"grpc_health_check": {"service_name": ""}})),
            }
        ],
        "outlier_detection": {
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            # One model's errors must not cost the others the service.
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "interval": "1s",
            "base_ejection_time": "3s",
            "max_ejection_time": "30s",
            # The last one of several is never taken out; a single one is left to its health check.
            "max_ejection_percent": 50 if len(addresses) > 1 or settings.endpoints_file is not None else 0,
        },
        "ignore_health_on_host_removal": True,
    }


def _predicting(settings: FrontDoorSettings) -> Json:
    """Return the cluster of data planes in Envoys of their own."""
    check = {"path": "/readyz", "expected_statuses": [{"start": 200, "end": 201}], "codec_client_type": "HTTP2"}
    return _asked_anyway(
        _service(settings, routes.ROUTER_EDGE, settings.router_edge, check={"http_health_check": check})
    )


def _asked_anyway(cluster: Json) -> Json:
    """Return a cluster whose hosts are asked also when none is known to be well.

    They may only be late with that answer, and one that is not ready answers with its reason, the console with a
    page (decision 93).
    """
    cluster["common_lb_config"]["healthy_panic_threshold"] = {"value": 1}
    return cluster


# A host that answers at all is up; 503 says that it wants no calls.
_REST_CHECK: Json = {"http_health_check": {"path": "/readyz", "expected_statuses": [{"start": 200, "end": 500}]}}


def _asked_for_health(settings: FrontDoorSettings) -> Json:
    return _bare(settings, routes.HEALTH, settings.behind[routes.ROUTER_CONTROL], http1=False)


def _bare(settings: FrontDoorSettings, name: str, addresses: Sequence[str], *, http1: bool) -> Json:
    cluster: Json = {
        **(_followed(settings, name) if settings.endpoints_file is not None else _endpoints(name, addresses)),
        **_protocol(http1=http1),
        "connect_timeout": "0.5s",
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "common_lb_config": {
            # With the default of 50 % a cluster that is mostly down gets its traffic anyway.
            "healthy_panic_threshold": {"value": 0},
            # By default Envoy delays the update of a recovered host by up to a second, to merge it with others.
            "update_merge_window": "0s",
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 1024,
                    "max_pending_requests": _MOST_REQUESTS,
                    "max_requests": _MOST_REQUESTS,
                    # The floor is for what waits on one host of several when its connection ends, all at one moment.
                    "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 200},
                    "track_remaining": True,
                }
            ]
        },
        "load_balancing_policy": {"policies": [{"typed_extension_config": _LEAST_REQUEST}]},
    }
    if settings.upstream_tls_ca is not None:
        cluster["transport_socket"] = _tls(settings, settings.upstream_tls_ca, addresses, http1=http1)
    return cluster


_LEAST_REQUEST = {
    "name": "envoy.load_balancing_policies.least_request",
    "typed_config": typed("extensions.load_balancing_policies.least_request.v3.LeastRequest", choice_count=2),
}


def endpoints_file(cluster: str) -> str:
    """Return the name of the file that Envoy follows for where a cluster is."""
    return f"endpoints-{cluster}.json"


def load_assignment(name: str, addresses: Sequence[str]) -> Json:
    """Return where a cluster is."""
    hosts = [split_address(address) for address in addresses]
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}} for host, port in hosts
    ]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def _followed(settings: FrontDoorSettings, name: str) -> Json:
    source = {
        "path": str(settings.state_dir / endpoints_file(name)),
        "watched_directory": {"path": str(settings.state_dir)},
    }
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"path_config_source": source, "resource_api_version": "V3"}},
    }


def _endpoints(name: str, addresses: Sequence[str]) -> Json:
    named = not all(is_ip(split_address(address)[0]) for address in addresses)
    discovery: Json = {"type": "STATIC"}
    if named:
        # A name stands for as many replicas as it has addresses: they come and go with DNS.
        discovery = {
            "type": "STRICT_DNS",
            "dns_refresh_rate": seconds(_DNS_REFRESH_S),
            "dns_lookup_family": "V4_PREFERRED",
        }
    return {"name": name, **discovery, "load_assignment": load_assignment(name, addresses)}


def _protocol(*, http1: bool) -> Json:
    http2 = {
        # A host that hangs is noticed within 4 s: its connection is closed, and predictions on it are repeated
        # elsewhere. A failed health check only keeps new calls away. Our servers take pings a second apart or more.
        "connection_keepalive": {"interval": "2s", "timeout": "1.5s"},
        "initial_stream_window_size": 1024 * 1024,
        "initial_connection_window_size": 16 * 1024 * 1024,
    }
    explicit: Json = {"http_protocol_options": {}} if http1 else {"http2_protocol_options": http2}
    options = typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config=explicit,
        # Idle connections of HTTP/1.1 hosts are dropped before the host does it under a request.
        common_http_protocol_options={"idle_timeout": "4s" if http1 else "300s"},
    )
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}}


def _tls(settings: FrontDoorSettings, authorities: Path, addresses: Sequence[str], *, http1: bool) -> Json:
    # Without a name to match, any certificate of the same authority would do.
    names = dict.fromkeys(split_address(address)[0] for address in addresses)
    validation = {
        "trusted_ca": {"filename": str(authorities), "watched_directory": {"path": str(authorities.parent)}},
        "match_typed_subject_alt_names": [
            {"san_type": "IP_ADDRESS" if is_ip(name) else "DNS", "matcher": {"exact": name}} for name in names
        ],
    }
    context: Json = {
        "alpn_protocols": ["http/1.1" if http1 else "h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "validation_context": validation,
    }
    if settings.upstream_tls_cert is not None:
        context["tls_certificates"] = [
            {
                "certificate_chain": {"filename": str(settings.upstream_tls_cert)},
                "private_key": {"filename": str(settings.upstream_tls_key)},
            }
        ]
    first = next(iter(names))
    sni = {} if is_ip(first) else {"sni": first}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "extensions.transport_sockets.tls.v3.UpstreamTlsContext", common_tls_context=context, **sni
        ),
    }


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
