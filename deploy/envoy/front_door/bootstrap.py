"""The whole of what Envoy reads: a bootstrap file, and the resources that it follows while it runs."""

from __future__ import annotations

import copy

from front_door import access, admin, data_plane, endpoints
from front_door.api import Api, transcoder_files
from front_door.clusters import clusters
from front_door.envoy_settings import EnvoySettings
from front_door.identities import Identities
from front_door.listener import (
    CERTIFICATE_FILE,
    DENIED_FILE,
    TOKEN_CHECK_FILE,
    TRANSCODER_FILE,
    certificate,
    fold_certificate,
    listener,
)
from front_door.open_files import PRESSURE_FILE
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, typed

BOOTSTRAP_FILE = "bootstrap.json"


def bootstrap(settings: FrontDoorSettings, api: Api) -> Json:
    """Return the file that Envoy is started with."""
    return {
        # Resources in files are refused without a node.
        "node": {"id": "front-door", "cluster": "headrace"},
        "admin": admin.admin(settings),
        "static_resources": {
            "listeners": [listener(settings, api), admin.metrics_listener(settings)],
            "clusters": [*clusters(settings), admin.cluster(settings)],
        },
        "overload_manager": overload(settings),
        "layered_runtime": {"layers": [{"name": "static", "static_layer": _RUNTIME}]},
        "stats_config": {"histogram_bucket_settings": [_LATENCY_BUCKETS]},
    }


def files(settings: FrontDoorSettings, api: Api, identities: Identities) -> dict[str, Json | bytes]:
    """Return every file of the state directory by its name."""
    made: dict[str, Json | bytes] = {
        TRANSCODER_FILE: transcoder_files(api.files),
        **followed_files(settings, identities),
        **endpoints.files(settings),
        BOOTSTRAP_FILE: bootstrap(settings, api),
    }
    if settings.tls_cert is not None:
        made[CERTIFICATE_FILE] = {"resources": [certificate(settings)]}
    return made


def followed_files(settings: FrontDoorSettings, identities: Identities) -> dict[str, Json]:
    """Return the files that change while Envoy runs."""
    return {
        TOKEN_CHECK_FILE: _filter_file(access.JWT, access.token_check(settings, identities.jwks)),
        DENIED_FILE: _filter_file(access.DENIED, access.denied_clients(identities.denied)),
    }


def whole(settings: FrontDoorSettings, api: Api, identities: Identities) -> Json:
    """Return one static configuration with everything in it: validation does not open the followed files."""
    config = copy.deepcopy(bootstrap(settings.model_copy(update={"endpoints_file": None}), api))
    now = {
        access.JWT: access.token_check(settings, identities.jwks),
        access.DENIED: access.denied_clients(identities.denied),
    }
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    # Validation would load the data plane, which opens ports of its own; the launcher imports it instead.
    manager["http_filters"] = [one for one in manager["http_filters"] if one["name"] not in data_plane.FILTERS]
    for http_filter in manager["http_filters"]:
        if http_filter.pop("config_discovery", None):
            http_filter["typed_config"] = now[http_filter["name"]]
    if settings.tls_cert is not None:
        fold_certificate(settings, config["static_resources"]["listeners"][0]["filter_chains"][0])
    return config


def _filter_file(name: str, typed_config: Json) -> Json:
    kind = typed("config.core.v3.TypedExtensionConfig")
    return {"resources": [{**kind, "name": name, "typed_config": typed_config}]}


_RUNTIME = {
    # Callers that open streams only to reset them (CVE-2023-44487) lose their connection.
    "overload.premature_reset_total_stream_count": 500,
    "overload.premature_reset_min_stream_lifetime_seconds": 1,
    # Ours are all written here; the one that tells our headers from callers' is longer than the 100 that are usual.
    "re2.max_program_size.error_level": 500,
}

_LATENCY_BUCKETS = {
    "match": {"suffix": "_rq_time"},
    "buckets": [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000],
}


def overload(settings: EnvoySettings) -> Json:
    """Return what is shed when memory or connections run out."""
    heap = "envoy.resource_monitors.fixed_heap"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    files = "envoy.resource_monitors.injected_resource"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": typed(
                    "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    max_heap_size_bytes=settings.max_heap_bytes,
                ),
            },
            {
                "name": connections,
                "typed_config": typed(
                    "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=settings.share(settings.max_connections),
                ),
            },
            {
                "name": files,
                "typed_config": typed(
                    "extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
                    filename=str(settings.state_dir / PRESSURE_FILE),
                ),
            },
        ],
        "actions": [
            _action("envoy.overload_actions.shrink_heap", heap, {"threshold": {"value": 0.8}}),
            # First reset the streams that buffer most, such as those of callers that do not read; only then refuse all
            # calls.
            _action(
                "envoy.overload_actions.reset_high_memory_stream",
                heap,
                {"scaled": {"scaling_threshold": 0.85, "saturation_threshold": 0.92}},
            ),
            _action("envoy.overload_actions.disable_http_keepalive", heap, {"threshold": {"value": 0.94}}),
            _action("envoy.overload_actions.stop_accepting_requests", heap, {"threshold": {"value": 0.95}}),
            # A connection that cannot be accepted would wait, and its caller with it.
            _action("envoy.overload_actions.reject_incoming_connections", files, {"threshold": {"value": 1.0}}),
        ],
        "loadshed_points": [
            _action("envoy.load_shed_points.tcp_listener_accept", heap, {"threshold": {"value": 0.97}}),
        ],
        # Streams from 16 KiB on are known by what they hold: one unread answer is little, many are not.
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 14},
    }


def _action(name: str, monitor: str, trigger: Json) -> Json:
    return {"name": name, "triggers": [{"name": monitor, **trigger}]}
