"""deploy/topology.toml as values, and the classes of settings that it names."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from headrace_servicekit.settings import StrictSettings, variable
from headrace_stack import description
from headrace_stack.description import Call, Service, Topology

CHECKOUT = Path(__file__).parents[3]

__all__ = [
    "CHECKOUT",
    "Call",
    "Service",
    "calls",
    "in_order",
    "own",
    "packages",
    "prefixes",
    "services",
    "settings_of",
    "variables_of",
]


@cache
def services() -> Topology:
    """Return every service by name."""
    return description.read(description.path_in(CHECKOUT))


def own() -> list[str]:
    """Return the names of the services that are ours."""
    return [service.name for service in description.own(services())]


def calls() -> frozenset[Call]:
    """Return every connection that is allowed."""
    return description.calls(services())


def in_order() -> list[str]:
    """Return every service after whom it calls, the stores first."""
    return [*(name for name, service in services().items() if service.store), *description.in_order(services())]


def prefixes() -> tuple[str, ...]:
    """Return what the variables of services begin with."""
    return tuple(dict.fromkeys(prefix for service in services().values() for prefix in service.settings))


def packages(service: Service) -> set[str]:
    """Return the packages of services that a service is made of."""
    named = {path.partition(":")[0].partition(".")[0] for path in service.settings.values()}
    return {package for package in named if package.startswith("headrace_")}


def settings_of(service: Service) -> list[type[StrictSettings]]:
    """Return the classes that read the service's variables."""
    return [_class(path) for path in service.settings.values()]


def variables_of(service: Service) -> frozenset[str]:
    """Return every environment variable that a service can be told."""
    return frozenset(variable(each, name) for each in settings_of(service) for name in each.model_fields)


def _class(path: str) -> type[StrictSettings]:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
