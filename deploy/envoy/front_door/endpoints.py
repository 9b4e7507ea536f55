"""Where replicas are that come and go: a file that we follow, and those that Envoy follows."""

from __future__ import annotations

from pathlib import Path

from front_door import clusters, offered, routes
from front_door.settings import FrontDoorSettings, split_address, split_targets
from front_door.shapes import Json, typed

# Data planes have settings of their own.
_OWN = {routes.ROUTER_DATA: "router_data", routes.ROUTER_REST: "router_rest", routes.ROUTER_EDGE: "router_edge"}
_LONGEST = 1024 * 1024


class EndpointsError(ValueError):
    """The file cannot be used; the message says why."""


def read(settings: FrontDoorSettings) -> FrontDoorSettings:
    """Return the settings with the addresses of the file, if there is one. Raises EndpointsError and OSError."""
    path = settings.endpoints_file
    if path is None or not path.exists():
        return settings
    found = parse(_text(path))
    behind = {name: found.get(name, addresses) for name, addresses in settings.behind.items()}
    own = {setting: found[name] for name, setting in _OWN.items() if name in found}
    targets = ";".join(f"{name}={','.join(addresses)}" for name, addresses in behind.items())
    return settings.model_copy(update={"targets": targets, **own})


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses by service; none for one that has no replica at present. Raises EndpointsError."""
    try:
        found = split_targets(text)
    except ValueError as error:
        raise EndpointsError(str(error)) from None
    known = (*offered.ports(), *_OWN)
    for name, addresses in found.items():
        if name not in known:
            raise EndpointsError(f"{name!r} is no service; known are {', '.join(known)}")
        for address in addresses:
            host, port = split_address(address)
            if not clusters.is_ip(host) or not 0 < port < 65536:
                raise EndpointsError(f"{name}: {address!r} is not ip:port")
    return found


def files(settings: FrontDoorSettings) -> dict[str, Json]:
    """Return the files that Envoy follows, by name; none where addresses stay as they are."""
    if settings.endpoints_file is None:
        return {}
    kind = typed("config.endpoint.v3.ClusterLoadAssignment")
    where = {
        **settings.behind,
        routes.HEALTH: settings.behind[routes.ROUTER_CONTROL],
        **{name: getattr(settings, setting) for name, setting in _OWN.items()},
    }
    return {
        clusters.endpoints_file(name): {"resources": [{**kind, **clusters.load_assignment(name, addresses)}]}
        for name, addresses in where.items()
    }


def _text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise EndpointsError(f"{path} has more than {_LONGEST} characters")
    return text
