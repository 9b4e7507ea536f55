"""How a call is passed on: for how long, and what is tried again."""

from __future__ import annotations

from front_door.api import Method
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, seconds, typed

# We end a call this much before the caller's deadline, so that it hears it from us rather than from its own timer.
_HEADSTART_S = 0.005
# Where the deadline is ours, the service gets one this much later: a timeout in the service would name no reason.
_MARGIN_S = 1.0


def call(cluster: str, longest_s: float, retry_policy: Json) -> Json:
    """Return the action of unary calls: the caller's deadline, but never a later one than `longest_s` allows."""
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


def stream(settings: FrontDoorSettings, method: Method, cluster: str) -> Json:
    """Return the action of streams, which have no deadline of ours."""
    # A watch may be silent for as long as nothing changes; keepalive finds callers that are gone.
    idle = seconds(settings.upload_idle_timeout_s) if method.client_streaming else "0s"
    return {"cluster": cluster, "timeout": "0s", "idle_timeout": idle, "retry_policy": not_yet_sent()}


def event_stream(cluster: str, longest_s: float) -> Json:
    """Return the action of streams of events: each has a deadline of its own, which their service keeps."""
    return {"cluster": cluster, "timeout": "0s", "idle_timeout": seconds(longest_s + 5), "retry_policy": not_yet_sent()}


def repeatable(also: str = "") -> Json:
    """Retries of predictions, which may be repeated whatever happened to the first try."""
    codes = {"retriable_status_codes": [int(also)]} if also else {}
    # CANCELLED: a call that reached a gRPC server just as it stopped taking any; callers who cancel wait for no answer.
    on = "connect-failure,refused-stream,reset," + ("retriable-status-codes" if also else "unavailable,cancelled")
    return {**_retries(on, 2), **codes}


def not_yet_sent() -> Json:
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


def longest(longest_s: float) -> Json:
    """Tell the identity filter, which writes the deadline that the service is to see."""
    return {
        "metadata": {"filter_metadata": {"headrace.identity": {"longest_ms": round((longest_s + _MARGIN_S) * 1000)}}}
    }
