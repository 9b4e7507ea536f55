"""Whom the front door's questions about health are passed on to."""

from __future__ import annotations

from headrace_servicekit.client import channel
from headrace_servicekit.health import SERVING
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_router.control.edge.health import Ask, Installation, ask_peer
from headrace_router.control.settings import ControlSettings, parse_targets

REGISTRY_SERVICE = "headrace.registry.v1.RegistryService"
ROUTE_SERVICE = "headrace.router.v1.RouteService"
PRECOMPUTED_SERVICE = "headrace.router.v1.PrecomputedService"


async def installation_of(runtime: Runtime[ControlSettings], tls: Tls | None) -> Installation:
    """Return the health of every public service: this one's own, and how to ask the others."""

    async def own() -> bool:
        return runtime.health.status("") == SERVING

    asks: dict[str, Ask] = {ROUTE_SERVICE: own}
    if runtime.settings.valkey_url:
        asks[PRECOMPUTED_SERVICE] = own
    targets = {REGISTRY_SERVICE: runtime.settings.registry_target, **parse_targets(runtime.settings.health_targets)}
    for service, target in targets.items():
        # Asked also while NOT_SERVING: that is the answer.
        peer = await runtime.enter(channel(target, tls=tls, health_checked=False))
        asks[service] = ask_peer(peer, service)
    return Installation(asks, runtime.clock)
