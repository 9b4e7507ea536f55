"""What Prometheus reads of the console, named after OpenTelemetry's `http.server.request.duration`."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ConsoleMetrics:
    """Requests by page, sign-ins by what came of them, pages that follow what changes."""

    def __init__(self, registry: CollectorRegistry, streams: Callable[[], int]) -> None:
        self.requests = Histogram(
            "http_server_request_duration_seconds",
            "Duration of pages served, to the begin of the answer of a stream.",
            ("http_route", "http_request_method", "http_response_status_code"),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.sign_ins = Counter(
            "console_sign_ins", "Sign-ins by outcome: begun, done, refused, limited.", ("outcome",), registry=registry
        )
        Gauge("console_streams", "Pages that follow what changes.", registry=registry).set_function(streams)
