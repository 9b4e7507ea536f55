"""deploy/topology.toml as values: components, listeners, connections and data stores.

The standard library alone: the supervisor reads this at its start, the generator in deploy/ and tests read it too.
"""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

BASE = 8080
"""The port in containers that the base port of a wheel stack stands for."""
BLOCK = 60
"""Ports that the first replicas of one stack use: from its base port on."""
CORE = "core"
"""The part that serves predictions by itself."""
PARTS = "parts"
"""The table that says what each part is for; every other table is a service."""


class DescriptionError(ValueError):
    """The description says something that cannot be; the message names the service and the field."""


class Scaled(enum.StrEnum):
    """What one more of a service is."""

    PROCESS = "process"
    PAIR = "pair"
    """A process and the Triton that it starts: both, or none."""
    SINGLE = "single"


class Outage(enum.StrEnum):
    """What becomes of predictions while all replicas of a service are away."""

    GO_ON = "predictions go on"
    STOP = "predictions stop"


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """Connections that `caller` opens to a port of `callee`."""

    caller: str
    callee: str
    port: str


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of the description; the file says what each field means."""

    name: str
    component: str
    ports: Mapping[str, int]
    outage: Outage
    part: str = CORE
    package: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    offsets: Mapping[str, int] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    published: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    pages: str | None = None
    calls: tuple[Call, ...] = ()
    asks_health: bool = False
    database: str | None = None
    buckets: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    state: bool = False
    replicas: int = 1
    scaled: Scaled = Scaled.SINGLE
    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "100m", "memory": "192Mi"})
    store: bool = False

    @property
    def prefix(self) -> str:
        """What the variables of the service's own settings begin with."""
        return next(iter(self.settings))

    @property
    def entry(self) -> str:
        """The port on which it answers what it is for: gRPC, or HTTP where it has pages."""
        return "http" if self.pages else "grpc"

    @property
    def behind_the_front_door(self) -> bool:
        """Whether a front door forwards calls to it."""
        return bool(self.offers or self.pages) and not self.published

    def address(self, port: str) -> str:
        """Return where a port is reached in containers: a name that stands for every replica, and the number."""
        return f"{self.hosts.get(port, self.name)}:{self.ports[port]}"

    def offset(self, port: str) -> int:
        """Return how far a port of the first replica is from the base port of a wheel stack."""
        return self.offsets[port] if port in self.offsets else self.ports[port] - BASE

    @property
    def wheel_ports(self) -> dict[str, int]:
        """Every port that it may have in a wheel stack, as the offset from the base port."""
        return {port: self.offset(port) for port in (*self.ports, *(o for o in self.offsets if o not in self.ports))}


Topology = Mapping[str, Service]
"""Every service by name, in the order of the file: what is called stands before or after its callers."""


def path_in(checkout: Path) -> Path:
    """Return where the description is."""
    return checkout / "deploy" / "topology.toml"


@cache
def of(checkout: Path) -> Topology:
    """Return every service that a checkout describes. Raises DescriptionError, OSError."""
    return read(path_in(checkout))


def read(path: Path) -> Topology:
    """Return every service by name. Raises DescriptionError, OSError."""
    return parsed(path.read_text(encoding="utf-8"))


def parsed(text: str) -> Topology:
    """Return every service of a description. Raises DescriptionError."""
    found = tables(text)
    known = {CORE, *found.pop(PARTS, {})}
    services = {name: _service(name, entry) for name, entry in found.items()}
    _check(services)
    for service in services.values():
        if service.part not in known:
            raise DescriptionError(f"{service.name}: part {service.part} is not one of {', '.join(sorted(known))}")
    return services


def tables(text: str) -> dict[str, Any]:
    """Return the tables of a description as they stand. Raises DescriptionError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DescriptionError(f"the topology is not TOML: {error}") from error


def calls(services: Topology) -> frozenset[Call]:
    """Return every connection that is allowed."""
    return frozenset(call for service in services.values() for call in connections(services, service))


def connections(services: Topology, service: Service) -> list[Call]:
    """Return the services that a service connects to: those that it calls, and for one that forwards outside calls or
    checks health, all services with an API.
    """
    beside = {service.name, *(call.callee for call in service.calls)}
    others = [one for one in services.values() if one.name not in beside]
    reached = [
        one
        for one in others
        if (one.offers and service.asks_health) or (service.published and one.behind_the_front_door)
    ]
    return [*service.calls, *(Call(service.name, one.name, one.entry) for one in reached)]


def own(services: Topology) -> list[Service]:
    """Return the services that are ours: all but the stores."""
    return [service for service in services.values() if not service.store]


def free_ports(services: Topology, count: int) -> list[int]:
    """Return ports that a further service may have. Raises DescriptionError when there are not so many."""
    taken = {offset for one in services.values() for offset in one.wheel_ports.values()}
    free = [BASE + offset for offset in range(BLOCK) if offset not in taken]
    if len(free) < count:
        raise DescriptionError(f"{count} free ports are wanted, and of {BASE} to {BASE + BLOCK - 1} {len(free)} are")
    # Those of one service stand beside each other.
    runs = (free[at : at + count] for at in range(len(free) - count + 1))
    return next((run for run in runs if run[-1] - run[0] == count - 1), free[:count])


def in_order(services: Topology) -> list[str]:
    """Return the names of our services, each after those that it calls.

    The front door is the last: the services behind it only check its health.
    """
    inner = {one.name: one for one in own(services) if not one.published}
    called = {name: [call.callee for call in one.calls if call.callee in inner] for name, one in inner.items()}
    return [*TopologicalSorter(called).static_order(), *(one.name for one in own(services) if one.published)]


def callers(services: Topology, callee: str, port: str) -> list[str]:
    """Return who connects to a port of a service, in the order of the file."""
    wanted = [(name, Call(name, callee, port)) for name in services]
    return [name for name, call in wanted if call in connections(services, services[name])]


def _service(name: str, entry: Any) -> Service:
    if not isinstance(entry, dict):
        raise DescriptionError(f"{name}: a service is a table")
    known = {one.name for one in fields(Service)} - {"name"}
    required = {one.name for one in fields(Service) if one.default is one.default_factory is MISSING} - {"name"}
    if unknown := entry.keys() - known:
        raise DescriptionError(
            f"{name}: {', '.join(sorted(unknown))} is no field; there are {', '.join(sorted(known))}"
        )
    if missing := required - entry.keys():
        raise DescriptionError(f"{name}: {', '.join(sorted(missing))} is missing")
    try:
        return Service(
            **{
                **entry,
                "name": name,
                "calls": tuple(_call(name, call) for call in entry.get("calls", ())),
                "published": tuple(entry.get("published", ())),
                "offers": tuple(entry.get("offers", ())),
                "scaled": Scaled(entry.get("scaled", Scaled.SINGLE)),
                "outage": Outage(entry["outage"]),
            }
        )
    except ValueError as error:
        raise DescriptionError(f"{name}: {error}") from error


def _call(caller: str, text: str) -> Call:
    callee, colon, port = text.partition(":")
    if not (callee and colon and port):
        raise ValueError(f"the call {text!r} is not service:port")
    return Call(caller, callee, port)


def _check(services: Topology) -> None:
    for call in calls(services):
        if call.callee not in services or call.port not in services[call.callee].ports:
            raise DescriptionError(f"{call.caller}: calls {call.callee}:{call.port}, which is not there")
    for service in services.values():
        of_ports = {*service.published, *service.hosts}
        if stray := of_ports - service.ports.keys():
            raise DescriptionError(f"{service.name}: {', '.join(sorted(stray))} is not one of its ports")
        for port, offset in service.wheel_ports.items():
            if not 0 <= offset < BLOCK:
                raise DescriptionError(f"{service.name}: {port} must lie in {BASE}..{BASE + BLOCK - 1}")
        if not service.store and not service.settings:
            raise DescriptionError(f"{service.name}: settings is missing, and only a store has none")
        if service.pages and not (service.pages.startswith("/") and "http" in service.ports):
            raise DescriptionError(f"{service.name}: pages is a path, of a service that has a port http")
        if service.store and not service.network:
            raise DescriptionError(f"{service.name}: network is missing, and every store has one")
        if service.database and not any(call.callee == "postgres" for call in service.calls):
            raise DescriptionError(f"{service.name}: has a database and does not call postgres:postgres")
        if service.buckets and not any(call.callee == "s3" for call in service.calls):
            raise DescriptionError(f"{service.name}: has buckets and does not call s3:s3")
    try:
        in_order(services)
    except CycleError as error:
        raise DescriptionError(f"these call each other in a circle: {', '.join(error.args[1])}") from None
    _no_two("component", ((service.name, service.component) for service in services.values()))
    _no_two("database", ((service.name, service.database) for service in services.values() if service.database))
    _no_two("offers", ((service.name, api) for service in services.values() for api in service.offers))
    _no_two("pages", ((service.name, service.pages) for service in services.values() if service.pages))
    _no_two("port", ((service.name, port) for service in own(services) for port in service.ports.values()))
    _no_two("offset", ((s.name, offset) for s in services.values() for offset in s.wheel_ports.values()))


def _no_two(what: str, pairs: Iterable[tuple[str, object]]) -> None:
    seen: dict[object, str] = {}
    for name, value in pairs:
        if value in seen:
            raise DescriptionError(f"{name}: {what} {value} is that of {seen[value]}")
        seen[value] = name
