"""The components of a stack at a glance: names, ports, settings, dependencies."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from headrace_stack import description, identity
from headrace_stack.component import Component, StartPolicy
from headrace_stack.components import front_door, postgres, s3, valkey
from headrace_stack.components.plain import plain
from headrace_stack.components.service import service
from headrace_stack.ports import Port, Ports
from headrace_stack.replicas import DEFAULT_POOL, Backend, Pool, named, replicas_of
from headrace_stack.settings import DataPlane, StackSettings
from headrace_stack.start_order import with_needs

REGISTRY, ROUTER_CONTROL, ROUTER_DATA = "registry", "router-control", "router-data"
BATCHER = "batcher"
MONITOR = "monitor"
AUTOSCALER = "autoscaler"
CONSOLE = "console"
# Services with settings beyond those that all services share.
_OF_THEIR_OWN = ("front-door", REGISTRY, ROUTER_CONTROL, BATCHER, "batcher-cpu", MONITOR)
# On one machine people look at once, not every hour: a few seconds after a prediction all is known of it.
_SOON = {"LOG_COMPACT_EVERY_S": 2, "DERIVE_EVERY_S": 1, "WINDOW_S": 15, "DRIFT_SETTLE_S": 10}
# A batcher is ready when it has loaded what serves.
_LOADING = StartPolicy(patience_s=170.0)


def components(settings: StackSettings) -> tuple[Component, ...]:
    """Every component of the stack. It starts after what it needs and stops before it."""
    replicas, services = settings.replicas, settings.services
    described = description.own(services)
    registries = [registry(settings, number) for number in range(replicas.registries)]
    control_planes = [router_control(settings, number) for number in range(replicas.control_planes)]
    batchers = [batcher(settings, pool, number) for pool in replicas.pools for number in pool.numbers]
    data_planes = [router_data(settings, number) for number in range(replicas.data_planes)]
    return (
        postgres.component(settings, tuple(one.database for one in described if one.database)),
        valkey.component(settings),
        s3.component(settings),
        *registries,
        *control_planes,
        *batchers,
        *(monitor(settings, number) for number in range(replicas.monitors) if MONITOR in services),
        *(
            _plain(settings, one.name, number, _own_settings(settings, one.name))
            for one in described
            if one.name not in _OF_THEIR_OWN
            for number in range(replicas_of(replicas, one.name))
        ),
        *_answering(settings, data_planes, _names(*registries, *control_planes)),
    )


def _answering(settings: StackSettings, data_planes: Sequence[Component], needs: tuple[str, ...]) -> list[Component]:
    """Data planes and front door: one beside the other, or each data plane in a front door of its own on one port."""
    if settings.data_plane is DataPlane.SERVICE:
        data_planes = [
            front_door.of_data_plane(settings, data_plane, number) for number, data_plane in enumerate(data_planes)
        ]
    if settings.data_plane is not DataPlane.FRONT_DOOR:
        return [*data_planes, front_door.component(settings, needs=(*needs, *_names(*data_planes)))]
    return [
        front_door.with_data_plane(front_door.component(settings, needs=needs, number=number), data_plane)
        for number, data_plane in enumerate(data_planes)
    ]


def chosen(settings: StackSettings, only: Sequence[str] = ()) -> tuple[Component, ...]:
    """The components named, with everything that they need; all when none is named."""
    return with_needs(components(settings), only) if only else components(settings)


def scalable(settings: StackSettings) -> dict[str, str]:
    """Return what scales besides batchers: of each component, the name of its service."""
    described = description.own(settings.services)
    named_here = {one.name: one.component for one in described if one.scaled is not description.Scaled.SINGLE}
    if settings.data_plane is not DataPlane.FRONT_DOOR:
        named_here["front-door"] = ROUTER_DATA  # then it is the data planes that scale, and not what is before them
    return {component: name for name, component in named_here.items() if not name.startswith(BATCHER)}


def registry(settings: StackSettings, number: int = 0) -> Component:
    return _plain(settings, REGISTRY, number)


def router_control(settings: StackSettings, number: int = 0) -> Component:
    ports, replicas = settings.ports.of_replica(number), settings.replicas
    database_url, passfile = postgres.of_service(settings, "router")
    return service(
        settings,
        named(ROUTER_CONTROL, number),
        "headrace_router.control",
        prefix="ROUTER_CONTROL_",
        grpc=ports.router_control,
        metrics=ports.router_control_metrics,
        needs=(postgres.NAME, valkey.NAME, *_all(REGISTRY, replicas.registries)),
        variables={
            "DATABASE_URL": database_url,
            "DATABASE_PASSFILE": passfile,
            **_s3(settings),
            "DENY_FILE": settings.identity / identity.DENY,
            "VALKEY_URL": valkey.url(settings),
            "REGISTRY_TARGET": _target(settings, REGISTRY),
            "HEALTH_TARGETS": _health_targets(settings),
        },
    )


def monitor(settings: StackSettings, number: int = 0) -> Component:
    """It starts in parallel with the prediction path, which does not need it."""
    return _plain(settings, MONITOR, number, _SOON)


def _own_settings(settings: StackSettings, name: str) -> Mapping[str, object]:
    """Return the settings that only this service has."""
    if name == AUTOSCALER:
        # What scales: us, on our control socket.
        return {"ACTUATOR": "local", "CONTROL_SOCKET": settings.control_socket}
    if name == CONSOLE:
        return {"URL": settings.ports.front_door_url(), "DEVELOPMENT_ISSUER": settings.identity}
    return {}


def _plain(
    settings: StackSettings, name: str, number: int = 0, more: Mapping[str, object] = MappingProxyType({})
) -> Component:
    described = settings.services[name]
    # Without a control plane nothing is known of routes.
    asks = any(call.callee == ROUTER_CONTROL for call in described.calls)
    needs = _all(ROUTER_CONTROL, settings.replicas.control_planes) if asks else ()
    return plain(settings, described, number, target=lambda call: _called(settings, call), needs=needs, more=more)


def batcher(settings: StackSettings, pool: Pool, number: int = 0) -> Component:
    """One of a pool. Triton is its child, not ours: a batcher and its Triton are one unit."""
    name = named(batchers_of(pool.name), number)
    grpc, metrics, triton_metrics, control = _batcher_ports(settings.ports, pool.name, number)
    more_ports: tuple[Port, ...] = ()
    variables: dict[str, object] = {"POOL": pool.name, "BACKEND": pool.backend.value}
    if pool.backend is not Backend.ONNXRUNTIME:
        command, more_ports = [str(settings.checkout / "deploy" / "triton" / "launch")], (triton_metrics,)
        if pool.backend is Backend.SIMULATOR:
            simulator = (sys.executable, "-P", "-m", "headrace_simulator", f"--control={control.address}", "--")
            command, more_ports = [*simulator, *command], (*more_ports, control)
            variables["COMPUTE"] = "triton"  # what is executed in the batcher's process meets no fault
        variables |= {
            "BACKEND": Backend.TRITON.value,
            "TRITON_COMMAND": shlex.join(command),
            "TRITON_METRICS_PORT": triton_metrics.number,
        }
    return service(
        settings,
        name,
        "headrace_batcher",
        prefix="BATCHER_",
        grpc=grpc,
        metrics=metrics,
        more_ports=more_ports,
        needs=(s3.NAME, *_all(ROUTER_CONTROL, settings.replicas.control_planes)),
        variables={
            "CONTROL_TARGET": _target(settings, ROUTER_CONTROL),
            "REGISTRY_TARGET": _target(settings, REGISTRY),
            "STATE_DIR": settings.state(name),
            **_s3(settings),
            **variables,
        },
        start=_LOADING,
    )


def batchers_of(pool: str) -> str:
    """Return the name of the batchers of a pool."""
    return f"{BATCHER}-{pool}"


def _batcher_ports(ports: Ports, pool: str, number: int) -> tuple[Port, Port, Port, Port]:
    """Return those of gRPC, metrics, Triton's metrics, and the control interface of the simulator.

    Only first replicas of two pools have ports kept free.
    """
    if pool == "cpu" and not number:
        triton = ports.of_replica(number, pool)
        return ports.batcher_cpu, ports.batcher_cpu_metrics, triton.triton_metrics, triton.simulator
    own = ports.of_replica(number, "" if pool == DEFAULT_POOL else pool)
    return own.batcher, own.batcher_metrics, own.triton_metrics, own.simulator


def router_data(settings: StackSettings, number: int = 0) -> Component:
    ports, name, replicas = settings.ports.of_replica(number), named(ROUTER_DATA, number), settings.replicas
    return service(
        settings,
        name,
        "headrace_router.data",
        prefix="ROUTER_DATA_",
        grpc=ports.router_data,
        metrics=ports.router_data_metrics,
        more_ports=(ports.router_data_rest,),
        needs=(
            valkey.NAME,
            *_all(ROUTER_CONTROL, replicas.control_planes),
            *(named(batchers_of(pool.name), number) for pool in replicas.pools for number in pool.numbers),
        ),
        variables={
            "REST_PORT": ports.router_data_rest.number,
            "ID": f"data-{number}",
            "CONTROL_TARGET": _target(settings, ROUTER_CONTROL),
            **_reporting(settings, MONITOR, AUTOSCALER),
            # As they are at its start; from then on as the file says.
            "POOLS": ";".join(
                f"{pool}={','.join(addresses)}" for pool, addresses in pools(settings).items() if addresses
            ),
            "POOLS_FILE": settings.pools,
            "STATE_DIR": settings.state(name),
            "VALKEY_URL": valkey.url(settings),
        },
    )


def pools(settings: StackSettings) -> dict[str, tuple[str, ...]]:
    """Return the addresses of the batchers of each pool."""
    return {
        pool.name: tuple(_batcher_ports(settings.ports, pool.name, number)[0].address for number in pool.numbers)
        for pool in settings.replicas.pools
    }


def numbers(settings: StackSettings, component: str) -> dict[str, int]:
    """Return the numbers of a pool's batchers by their addresses; none for another component."""
    return {
        _batcher_ports(settings.ports, pool.name, number)[0].address: number
        for pool in settings.replicas.pools
        if batchers_of(pool.name) == component
        for number in pool.numbers
    }


def _reporting(settings: StackSettings, *names: str) -> dict[str, object]:
    """Return the addresses of services of other parts that the core calls, as far as they are installed."""
    return {f"{name.upper()}_TARGET": _target(settings, name) for name in names if name in settings.services}


def _target(settings: StackSettings, name: str) -> str:
    """The replicas of a service as the file lists them that says which there are: callers follow it.

    Front doors share one port.
    """
    if name == front_door.NAME:
        return settings.ports.front_door.address
    return f"file:{settings.endpoints}#{name}"


def _called(settings: StackSettings, call: description.Call) -> str:
    """Who is called by another service. Data planes are reached where they answer, not through the front door.

    Where batchers are, the control plane says, which knows every pool.
    """
    if call.callee.startswith("batcher"):
        return ""
    return _target(settings, ROUTER_DATA if call.port == "data" else call.callee)


def _health_targets(settings: StackSettings) -> str:
    """What the front door answers health for besides the registry and the control plane."""
    return ";".join(
        f"{api}={_target(settings, 'router-data' if one.published else one.name)}"
        for one in description.own(settings.services)
        if one.name != ROUTER_CONTROL
        for api in one.offers
        if api.startswith("headrace.") and api != "headrace.registry.v1.RegistryService"
    )


def _all(component: str, count: int) -> tuple[str, ...]:
    return tuple(named(component, number) for number in range(count))


def _names(*components: Component) -> tuple[str, ...]:
    return tuple(component.name for component in components)


def _s3(settings: StackSettings) -> dict[str, object]:
    return {
        "S3_ENDPOINT": s3.endpoint(settings),
        "S3_BUCKET": s3.BUCKET,
        "S3_CREDENTIALS_FILE": s3.credentials_file(settings),
    }
