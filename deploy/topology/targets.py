"""Addresses of services in containers, for the front door and the control plane."""

from __future__ import annotations

from headrace_stack.description import Service, Topology, own

FRONT_DOOR, CONTROL = "front-door", "router-control"
# The control plane has the registry's address for its own calls.
KNOWN_BY_ITSELF = "headrace.registry.v1.RegistryService"


def behind_the_front_door(services: Topology) -> list[Service]:
    """Return the services with an API there; the data plane has settings of its own."""
    return [service for service in own(services) if service.behind_the_front_door]


def front_door_targets(services: Topology) -> str:
    """Return FRONT_DOOR_TARGETS."""
    return ";".join(f"{service.name}={service.address(service.entry)}" for service in behind_the_front_door(services))


def health_targets(services: Topology) -> str:
    """Return ROUTER_CONTROL_HEALTH_TARGETS: all of our API but what the control plane is and knows by itself."""
    return ";".join(
        f"{api}=dns:///{service.address('data' if service.name == FRONT_DOOR else 'grpc')}"
        for service in own(services)
        if service.name != CONTROL
        for api in service.offers
        if api.startswith("headrace.") and api != KNOWN_BY_ITSELF
    )
