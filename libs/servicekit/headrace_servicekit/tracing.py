"""Server spans of sampled calls, sent to a collector by OTLP. Imported only when a collector is configured."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from headrace_servicekit.calls import Call

_EXPORT_TIMEOUT_S = 2
# The codes that OpenTelemetry's RPC conventions count as a server's fault.
_SERVER_FAULTS = frozenset(("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"))


class Tracing:
    """Makes the server span of each call that its caller samples, or that has no caller's trace.

    `tracer` is for spans of a service's own; there is no global provider.
    """

    def __init__(self, service: str, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON), resource=Resource.create({"service.name": f"headrace-{service}"})
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._propagator = TraceContextTextMapPropagator()
        self.tracer = self._provider.get_tracer("headrace_servicekit")

    def start(self, method: str, call: Call) -> tuple[Call, trace.Span | None]:
        """Begin the span of a call. The call returned names the span as the parent of child calls."""
        if call.traceparent is not None and not call.sampled:
            return call, None
        carrier = {"traceparent": call.traceparent or "", "tracestate": call.tracestate or ""}
        service, _, name = method.lstrip("/").partition("/")
        span = self.tracer.start_span(
            method.lstrip("/"),
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system.name": "grpc", "rpc.service": service, "rpc.method": name},
        )
        child: dict[str, str] = {}
        self._propagator.inject(child, trace.set_span_in_context(span))
        return Call(call.request_id, child.get("traceparent"), child.get("tracestate")), span

    def end(self, span: Any, code: str) -> None:
        """End a call's span with the status that it was answered with."""
        span.set_attribute("rpc.response.status_code", code)
        if code in _SERVER_FAULTS:
            span.set_status(StatusCode.ERROR, code)
        span.end()

    def close(self) -> None:
        """Send what is left. Blocks for seconds when the collector does not answer."""
        self._provider.shutdown()


def start_tracing(service: str, otlp_endpoint: str) -> Tracing:
    """Return tracing to the collector at `host:port`, or at a URL whose https means TLS."""
    secure = otlp_endpoint.startswith("https://")
    return Tracing(service, OTLPSpanExporter(endpoint=otlp_endpoint, insecure=not secure, timeout=_EXPORT_TIMEOUT_S))
