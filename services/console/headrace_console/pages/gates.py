"""What a version must show before it may be promoted, as people type it. Pure."""

from __future__ import annotations

from headrace.registry.v1 import registry_pb2

from headrace_console.figures import number


def gates_of(model: registry_pb2.Model) -> list[str]:
    """Return the gates of a model in the CLI's syntax; the default gates if it has no promotion policy."""
    if not model.HasField("promotion_policy"):
        return ["accuracy>=0.85 (default)", "latency_p99_ms<=100 (default)"]
    return [gate_text(gate) for gate in model.promotion_policy.gates]


def gate_text(gate: registry_pb2.PromotionGate) -> str:
    """Return a gate as it is typed."""
    kind = gate.WhichOneof("bound") or "maximum"
    side, _, relation = kind.partition("_")
    value = getattr(gate, kind)
    bound = number(value)
    if relation == "ratio":
        bound = f"{number(value)}*production"
    elif relation == "delta":
        bound = "production" + (f"{value:+.4g}" if value else "")
    return f"{gate.metric}{'>=' if side == 'minimum' else '<='}{bound}{'@measured' if gate.measured_only else ''}"
