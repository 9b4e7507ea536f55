"""The front door: `deploy/envoy/front_door.py` renders Envoy's configuration and runs Envoy as its child."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace_stack import description, identity
from headrace_stack.component import Component
from headrace_stack.components.probes import exchange, missing_http, missing_listener, what
from headrace_stack.ports import Port, Ports
from headrace_stack.replicas import named, replicas_of
from headrace_stack.settings import DataPlane, StackSettings

NAME = "front-door"
# Where Envoy answers what only we may ask, in its directory of state.
ADMIN_SOCKET = "admin.sock"

_CHECKS = re.compile(r"^cluster\.([^.]+)\.health_check\.(success|failure): (\d+)$", re.MULTILINE)


def component(settings: StackSettings, needs: tuple[str, ...], number: int = 0) -> Component:
    """One front door; further ones listen on the same port, among which the kernel divides connections."""
    ports, replicas, name = settings.ports, settings.replicas, named(NAME, number)
    own, within = ports.of_replica(number), settings.data_plane is DataPlane.FRONT_DOOR
    state = settings.run / f"envoy{number or ''}"

    async def ready() -> str | None:
        # One that has closed its listeners has closed that of its metrics as well, which no other Envoy listens on.
        # Envoy says that it is ready even when it could not open its listener, and before it knows who is well.
        return (
            await missing_http(own.envoy_metrics, "/ready")
            or await missing_listener(ports.front_door)
            or await _missing_checks(state / ADMIN_SOCKET)
        )

    variables = {
        "PORT": ports.front_door.number,
        "METRICS_PORT": own.envoy_metrics.number,
        "STATE_DIR": state,
        "PROCESSES": replicas.data_planes if within else 1,
        # As they are at its start; from then on as the file says.
        "PARTS": ",".join(settings.parts),
        "TARGETS": ";".join(f"{name}={','.join(addresses)}" for name, addresses in _behind(settings).items()),
        **{_variable(name): ",".join(addresses) for name, addresses in _answering(settings).items()},
        "ENDPOINTS_FILE": settings.endpoints,
        "DATA_PLANE": "here" if within else "service",
        # Its event loop and one worker: on few cores more threads only take turns.
        **({"CONCURRENCY": 1} if within else {}),
        **_believing(settings),
    }
    return Component(
        name=name,
        ready=ready,
        ports=(ports.front_door, own.envoy_metrics) if number == 0 else (own.envoy_metrics,),
        needs=needs,
        stop_grace_s=15.0,
        **_launched(settings, "front_door.py", "FRONT_DOOR_", variables),
    )


def endpoints(settings: StackSettings) -> dict[str, tuple[str, ...]]:
    """Return the addresses of the replicas of everything behind the front door, by its names for them."""
    return {**_behind(settings), **_answering(settings)}


def _behind(settings: StackSettings) -> dict[str, tuple[str, ...]]:
    """Return where all replicas of each service are that offers something at the front door."""
    return {
        one.name: _addresses(
            settings,
            lambda ports, one=one: ports.at(one.offset(one.entry), one.name),
            replicas_of(settings.replicas, one.name),
        )
        for one in description.own(settings.services)
        if one.behind_the_front_door
    }


def _answering(settings: StackSettings) -> dict[str, tuple[str, ...]]:
    """Return where predictions are answered."""
    count = settings.replicas.data_planes
    in_envoys = count if settings.data_plane is DataPlane.SERVICE else 0
    return {
        "router-data": _addresses(settings, lambda ports: ports.router_data, count),
        "router-rest": _addresses(settings, lambda ports: ports.router_data_rest, count),
        "router-edge": _addresses(settings, lambda ports: ports.router_data_edge, in_envoys),
    }


def _addresses(settings: StackSettings, of: Callable[[Ports], Port], count: int) -> tuple[str, ...]:
    return tuple(of(settings.ports.of_replica(number)).address for number in range(count))


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()


def of_data_plane(settings: StackSettings, data_plane: Component, number: int = 0) -> Component:
    """Return the data plane as a service: an Envoy of its own with nothing else in it."""
    own = settings.ports.of_replica(number)

    async def ready() -> str | None:
        metrics, edge = own.router_data_envoy_metrics, own.router_data_edge
        return await missing_http(metrics, "/ready") or await missing_listener(edge)

    variables = {
        "PORT": own.router_data_edge.number,
        "METRICS_PORT": own.router_data_envoy_metrics.number,
        "STATE_DIR": settings.run / f"envoy-{data_plane.name}",
        "PROCESSES": settings.replicas.data_planes,
        "CONCURRENCY": 1,
        **_believing(settings),
    }
    host = Component(
        name=data_plane.name,
        ready=ready,
        ports=(own.router_data_edge, own.router_data_envoy_metrics),
        stop_grace_s=15.0,
        **_launched(settings, "data_plane.py", "DATA_PLANE_", variables),
    )
    return with_data_plane(host, data_plane)


def _believing(settings: StackSettings) -> dict[str, object]:
    return {
        "JWKS_FILE": settings.identity / identity.JWKS,
        "DENY_FILE": settings.identity / identity.DENY,
        "DRAIN_NOTICE_S": 0.1,
        "GRACE_S": 5,
    }


def _launched(settings: StackSettings, script: str, prefix: str, variables: Mapping[str, object]) -> dict[str, Any]:
    """Return command and environment of a launcher of Envoy's."""
    folder = settings.checkout / "deploy" / "envoy"
    return {
        "command": (sys.executable, "-P", str(folder / script)),
        "environment": {
            **{f"{prefix}{variable}": str(value) for variable, value in variables.items()},
            "PYTHONPATH": str(folder),
            **settings.python_environment,
        },
    }


async def _missing_checks(admin: Path) -> str | None:
    try:
        _, body = await exchange("GET", admin, "/stats?filter=health_check", {"host": "localhost"})
    except (OSError, TimeoutError) as error:
        return f"{admin.name}: {what(error)}"
    names = unchecked(body.decode(errors="replace"))
    return f"not yet known to be well: {', '.join(names)}" if names else None


def unchecked(stats: str) -> list[str]:
    """Return the clusters whose health Envoy does not know yet; one that is down is known.

    The first check may fail for a cause of ours: everything starts at the same time, and a check has half a second.
    stats: Envoy's, as text.
    """
    seen: dict[str, dict[str, int]] = {}
    for name, outcome, count in _CHECKS.findall(stats):
        seen.setdefault(name, {})[outcome] = int(count)
    return sorted(name for name, of in seen.items() if not of.get("success") and of.get("failure", 0) < 2)


def with_data_plane(door: Component, data_plane: Component) -> Component:
    """Return an Envoy with a data plane in its process: the same settings and loopback ports."""

    async def ready() -> str | None:
        return await door.ready() or await data_plane.ready()

    return replace(
        door,
        ready=ready,
        prepare=data_plane.prepare,
        ports=(*door.ports, *data_plane.ports),
        environment={**data_plane.environment, **door.environment},
        needs=(*door.needs, *(name for name in data_plane.needs if name not in door.needs)),
    )
