"""How commands print where a route looks for answers, what it falls back to, and when it asks twice."""

from __future__ import annotations

from headrace.router.v1 import route_pb2

from headrace_client.cli.output import Output, shown
from headrace_client.durations import duration_text
from headrace_client.fallbacks import FallbackStep

_MODES = {
    route_pb2.Lookup.MODE_UNSPECIFIED: "hybrid",
    route_pb2.Lookup.MODE_HYBRID: "hybrid",
    route_pb2.Lookup.MODE_ONLINE: "online",
    route_pb2.Lookup.MODE_BATCH: "batch",
}


def lookup_text(route: route_pb2.Route) -> str:
    """Return what a route says of lookups in one line; empty when it leaves everything to the defaults."""
    if not route.HasField("lookup"):
        return ""
    lookup = route.lookup
    parts = [_MODES.get(lookup.mode, "?")]
    if lookup.key == route_pb2.Lookup.KEY_ENTITY:
        parts.append("key entity")
    for name, words in (
        ("ttl", "ttl"),
        ("stale_while_revalidate", "stale while revalidate"),
        ("stale_on_error", "stale on error"),
        ("max_precomputed_age", "precomputed at most"),
    ):
        if lookup.HasField(name):
            parts.append(f"{words} {duration_text(getattr(lookup, name).ToTimedelta())}")
    if lookup.cache_large_inputs:
        parts.append("large inputs too")
    return ", ".join(parts)


def hedging_text(route: route_pb2.Route) -> str:
    """Return when a route asks twice; empty for never."""
    if not route.HasField("hedging"):
        return ""
    if route.hedging.HasField("delay"):
        return f"after {duration_text(route.hedging.delay.ToTimedelta())}"
    return "after the 95th percentile of what is measured"


def shadowing_text(route: route_pb2.Route) -> str:
    """Return the shadow variants that get copies of a route's requests; empty for none."""
    if not route.HasField("shadowing"):
        return ""
    return f"{route.shadowing.variant}, {route.shadowing.share:.3%} of what others compute"


def parts(route: route_pb2.Route) -> list[str]:
    """Return what a route declares besides its variants, in a word or two each."""
    rules, steps = len(route.rules), len(route.fallback)
    declared = [f"{rules} rules" if rules else "", f"{steps} fallbacks" if steps else ""]
    declared += [name for name in ("lookup", "hedging", "shadowing") if route.HasField(name)]
    return [part for part in declared if part]


def show_fallback(output: Output, route: route_pb2.Route) -> None:
    """Print the fallbacks of a route in their order, as they are typed; nothing when there are none."""
    if route.fallback:
        output.say("")
        output.table(("fallback, tried in this order", "version"), [_cells(step) for step in route.fallback])


def _cells(proto: route_pb2.FallbackStep) -> tuple[str, str]:
    version = ""
    if proto.WhichOneof("source") == "backup":
        same = proto.backup.WhichOneof("serves") is None
        version = "the request's" if same else proto.backup.serving_version or "none yet"
    return shown(str(FallbackStep.from_proto(proto))), version
