"""The listener: one port, the order of the filters, and the bounds that hold before any of them runs."""

from __future__ import annotations

from pathlib import Path

from headrace_servicekit.identity import FRONT_DOOR_HEADER

from front_door import absent, access, cors, data_plane, errors, framing, routes, strict_json
from front_door.api import Api
from front_door.envoy_settings import EnvoySettings
from front_door.routes import virtual_host
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, anything_but, header_is, seconds, typed
from front_door.telemetry import access_log, grpc_stats, tracing

# Files that Envoy follows while it runs, in the state directory: each holds one filter.
TOKEN_CHECK_FILE = "token_check.json"
DENIED_FILE = "denied_clients.json"
CERTIFICATE_FILE = "certificate.json"
TRANSCODER_FILE = "transcoder.binpb"

HEALTHZ = "/healthz"

_STREAMS = 256
_MOST_HEADERS = 100
_HEADERS_KIB = 32
# How long a stream may be silent, and how much longer than a prediction may take: its own deadline ends that first.
_IDLE_S, _IDLE_MARGIN_S = 15.0, 5.0


def listener(settings: FrontDoorSettings, api: Api) -> Json:
    """Return the listener, with its filters in order."""
    chain: Json = {"filters": [{"name": "http", "typed_config": _connection_manager(settings, api)}]}
    if settings.tls_cert is not None:
        chain |= {"transport_socket_connect_timeout": "5s", "transport_socket": tls(settings)}
    return {
        "name": "front",
        "address": {"socket_address": {"address": settings.host, "port_value": settings.port}},
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "tcp_backlog_size": 4096,
        "listener_filters_timeout": "5s",
        "filter_chains": [chain],
    }


def certificate(settings: EnvoySettings) -> Json:
    """Return the secret by which Envoy reads our certificate again when its directory changes."""
    assert settings.tls_cert is not None
    return typed(
        "extensions.transport_sockets.tls.v3.Secret",
        name="front",
        tls_certificate={
            "certificate_chain": {"filename": str(settings.tls_cert)},
            "private_key": {"filename": str(settings.tls_key)},
            "watched_directory": {"path": str(settings.tls_cert.parent)},
        },
    )


def fold_certificate(settings: EnvoySettings, chain: Json) -> None:
    """Put the certificate itself into a filter chain: validation does not open the followed files."""
    context = chain["transport_socket"]["typed_config"]["common_tls_context"]
    del context["tls_certificate_sds_secret_configs"]
    context["tls_certificates"] = [certificate(settings)["tls_certificate"]]


def followed(path: Path) -> Json:
    """Return the source of a resource in a file that is replaced by rename."""
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
    }


def _connection_manager(settings: FrontDoorSettings, api: Api) -> Json:
    manager: Json = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="front",
        codec_type="AUTO",
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        strip_any_host_port=True,
        server_name="headrace",
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        request_id_extension={"typed_config": _REQUEST_ID},
        early_header_mutation_extensions=[_STRIP],
        local_reply_config=errors.local_replies(api, absent.rules(settings)),
        common_http_protocol_options={
            "headers_with_underscores_action": "DROP_HEADER",
            "idle_timeout": "300s",
            "max_connection_duration": "3600s",
            "max_headers_count": _MOST_HEADERS,
        },
        http_protocol_options={"allow_absolute_url": False},
        http2_protocol_options={
            "max_concurrent_streams": _STREAMS,
            "initial_stream_window_size": 256 * 1024,
            "initial_connection_window_size": 1024 * 1024,
            "max_outbound_frames": 2000,
            "max_outbound_control_frames": 500,
            "max_consecutive_inbound_frames_with_empty_payload": 1,
            "connection_keepalive": {"interval": "30s", "timeout": "10s"},
            # One bad request ends its stream, not the calls beside it.
            "override_stream_error_on_invalid_http_message": True,
        },
        max_request_headers_kb=_HEADERS_KIB,
        request_headers_timeout="5s",
        stream_idle_timeout=seconds(max(_IDLE_S, settings.predict_timeout_max_s + _IDLE_MARGIN_S)),
        drain_timeout="5s",
        delayed_close_timeout="1s",
        access_log=[access_log(settings)],
        route_config={
            "name": "front",
            "virtual_hosts": [virtual_host(settings, api)],
            "validate_clusters": True,
            # The last word about every request that leaves here, whatever a filter or a route did.
            "request_headers_to_add": [_MARK],
        },
        http_filters=http_filters(settings, api),
    )
    if settings.tls_ca is not None:
        manager |= {"forward_client_cert_details": "SANITIZE"}
    if settings.otlp_endpoint:
        manager["tracing"] = tracing()
    return manager


def http_filters(settings: FrontDoorSettings, api: Api) -> list[Json]:
    """Return the filters in order. Preflights and health come before the token, bodies are read only behind it."""
    size = {"max_request_bytes": settings.max_request_bytes}
    known_fields, one_message = _lua(strict_json.script(api)), _lua(framing.script())
    # Off but for the routes that turn it on.
    predicting = data_plane.http_filters() if settings.data_plane == "here" else []
    return [
        _filter(cors.FILTER, typed("extensions.filters.http.cors.v3.Cors")),
        _filter("envoy.filters.http.grpc_web", typed("extensions.filters.http.grpc_web.v3.GrpcWeb")),
        _filter("envoy.filters.http.health_check", _healthz(settings)),
        _followed_filter(settings, access.JWT, TOKEN_CHECK_FILE, "jwt_authn.v3.JwtAuthentication"),
        _filter(access.IDENTITY, access.identity(settings)),
        _followed_filter(settings, access.DENIED, DENIED_FILE, "rbac.v3.RBAC"),
        _filter(access.CLIENT_LIMIT, access.client_limit(settings)),
        _filter(routes.BUFFER, typed("extensions.filters.http.buffer.v3.Buffer", **size)),
        {**_filter(routes.FRAMING, one_message), "disabled": True},  # on for unary methods only
        {**_filter(routes.STRICT_JSON, known_fields), "disabled": True},  # on for transcoded paths only
        _filter(routes.TRANSCODER, _transcoder(settings, api)),
        _filter(access.SCOPES, access.scopes(api)),
        _filter(routes.GRPC_STATS, grpc_stats(api)),
        *predicting,
        _filter(
            "envoy.filters.http.router",
            typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
        ),
    ]


def _lua(script: str) -> Json:
    return typed("extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": script})


def _transcoder(settings: FrontDoorSettings, api: Api) -> Json:
    services = dict.fromkeys(method.service for method in api.public if method.rest)
    return typed(
        "extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=str(settings.state_dir / TRANSCODER_FILE),
        services=list(services),
        convert_grpc_status=True,
        print_options={"preserve_proto_field_names": True, "always_print_primitive_fields": True},
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        max_request_body_size=settings.max_request_bytes,
        max_response_body_size=settings.max_request_bytes,
    )


def _healthz(settings: FrontDoorSettings) -> Json:
    # Says that we are up, are not draining, and can pass predictions on: what a load balancer in front wants to know.
    return typed(
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[header_is(":path", exact=HEALTHZ)],
        cluster_min_healthy_percentages={routes.predicting(settings): {"value": 1}},
    )


def _filter(name: str, typed_config: Json) -> Json:
    return {"name": name, "typed_config": typed_config}


def _followed_filter(settings: FrontDoorSettings, name: str, file: str, kind: str) -> Json:
    return {
        "name": name,
        "config_discovery": {
            "config_source": followed(settings.state_dir / file),
            "type_urls": [f"type.googleapis.com/envoy.extensions.filters.http.{kind}"],
        },
    }


# By it services know what came through here, and must have an identity; stripped from outside (decision 74).
_MARK = {"header": {"key": FRONT_DOOR_HEADER, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}

_OURS = "x-headrace-"
# Of what bears our name, outsiders may say `routes.OUR_HEADERS`; identity, and whatever may be added, is ours to say.
OURS_ALONE = _OURS + anything_but(name.removeprefix(_OURS) for name in routes.OUR_HEADERS)

_REQUEST_ID = typed("extensions.request_id.uuid.v3.UuidRequestIdConfig", pack_trace_reason=False)

# What outsiders may not tell us: who they are, what Envoy thinks, and baggage, which services would carry on.
_STRIP = {
    "name": "envoy.http.early_header_mutation.header_mutation",
    "typed_config": typed(
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[
            {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": OURS_ALONE}}}},
            {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}},
            {"remove": "baggage"},
        ],
    ),
}


def tls(settings: EnvoySettings) -> Json:
    """Return what makes a listener speak TLS, with the certificate that it follows."""
    context: Json = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [
            {"name": "front", "sds_config": followed(settings.state_dir / CERTIFICATE_FILE)}
        ],
    }
    if settings.tls_ca is not None:
        context["validation_context"] = {"trusted_ca": {"filename": str(settings.tls_ca)}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context=context,
            require_client_certificate=settings.tls_ca is not None,
            disable_stateless_session_resumption=settings.tls_ca is not None,
        ),
    }
