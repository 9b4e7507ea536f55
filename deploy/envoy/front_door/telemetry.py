"""What the front door tells of its calls: access log, counters by method, traces when there is a collector."""

from __future__ import annotations

from front_door import inference
from front_door.access import PREDICT_METHOD, PREDICT_PATH, PREDICT_PATH_REGEX, PREDICT_STREAM_REGEX
from front_door.api import Api
from front_door.clusters import OTLP
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, header_is, typed

_PREDICTIONS = (
    *(header_is(":path", exact=path) for path in (PREDICT_METHOD, inference.path("ModelInfer"), PREDICT_PATH)),
    *(
        header_is(":path", safe_regex={"regex": regex})
        for regex in (PREDICT_PATH_REGEX, PREDICT_STREAM_REGEX, inference.REST_INFER_REGEX)
    ),
)
# A W3C traceparent whose flags say that the trace is recorded.
_RECORDED = "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf].*"
# Every response flag but those of clients that leave, which come by thousands when one is stopped.
_OWN_ERRORS = (
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "URX", "SI", "IH", "DPE",
    "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO",
)  # fmt: skip


def access_log(settings: FrontDoorSettings) -> Json:
    """Return the log of one JSON line a call. Queries are left out: callers put secrets there."""
    line = {
        "ts": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "trace_id": "%TRACE_ID%",
        # Of the caller: there is a trace id only where there is a collector.
        "traceparent": "%REQ(TRACEPARENT)%",
        "client": "%REQ(X-HEADRACE-CLIENT)%",
        "method": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",
        "grpc_path": "%PATH(NQ:PATH)%",
        "protocol": "%PROTOCOL%",
        "http": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS(CAMEL_STRING)%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
        "upstream": "%UPSTREAM_HOST%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    }
    return {
        "name": "envoy.access_loggers.file",
        **({"filter": _sampled_predictions()} if settings.access_log_predictions == "sampled" else {}),
        "typed_config": typed(
            "extensions.access_loggers.file.v3.FileAccessLog",
            path=str(settings.access_log),
            log_format={"omit_empty_values": True, "json_format": line},
        ),
    }


def _sampled_predictions() -> Json:
    """Return the filter that leaves predictions out, but for those that are traced and those that Envoy refuses.

    The data plane logs predictions itself, by the same rule. Evaluated in its order until one is true.
    """
    others = [{"header_filter": {"header": {**path, "invert_match": True}}} for path in _PREDICTIONS]
    return {
        "or_filter": {
            "filters": [
                {"and_filter": {"filters": others}},
                {"header_filter": {"header": header_is("traceparent", safe_regex={"regex": _RECORDED})}},
                {"response_flag_filter": {"flags": list(_OWN_ERRORS)}},
                {"grpc_status_filter": {"statuses": ["UNAUTHENTICATED", "PERMISSION_DENIED"]}},
                {
                    "status_code_filter": {
                        "comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "unused"}}
                    }
                },
            ]
        }
    }


def grpc_stats(api: Api) -> Json:
    """Return the filter that counts calls of each public method by status."""
    methods = [
        {"name": service, "method_names": [m.path.rpartition("/")[2] for m in api.public if m.service == service]}
        for service in api.public_services
    ]
    named = (*inference.PREDICT_METHODS, *inference.HEALTH_METHODS, *inference.READ_METHODS)
    methods.append({"name": inference.SERVICE, "method_names": list(named)})
    return typed(
        "extensions.filters.http.grpc_stats.v3.FilterConfig",
        emit_filter_state=False,
        individual_method_stats_allowlist={"services": methods},
    )


def tracing() -> Json:
    """Return the `tracing` of the connection manager; a sampled caller stays sampled."""
    collector = {"envoy_grpc": {"cluster_name": OTLP}, "timeout": "0.25s"}
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": typed(
                "config.trace.v3.OpenTelemetryConfig",
                grpc_service=collector,
                service_name="front-door",
                max_cache_size=1024,
            ),
        },
        "spawn_upstream_span": True,
        "random_sampling": {"value": 1},
    }
