"""What runs in a stack, at a glance: names, ports, settings, and who needs whom."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from headrace_stack import description, identity
from headrace_stack.component import Component, StartPolicy
from headrace_stack.components import front_door, postgres, s3, valkey
from headrace_stack.components.plain import plain
from headrace_stack.components.service import service
from headrace_stack.ordering import with_needs
from headrace_stack.ports import Port, Ports
from headrace_stack.replicas import named, replicas_of
from headrace_stack.settings import DataPlane, StackSettings

REGISTRY, ROUTER_CONTROL, ROUTER_DATA = "registry", "router-control", "router-data"
BATCHER, BATCHER_CPU = "batcher-default", "batcher-cpu"
MONITOR = "monitor"
# Those that are told more than what all services are told.
_OF_THEIR_OWN = ("front-door", REGISTRY, ROUTER_CONTROL, "batcher", BATCHER_CPU, MONITOR)
# On one machine people look at once, not every hour: a few seconds after a prediction all is known of it.
_SOON = {"LOG_COMPACT_EVERY_S": 2, "DERIVE_EVERY_S": 1, "WINDOW_S": 15, "DRIFT_SETTLE_S": 10}
# A batcher is ready when it has loaded what serves.
_LOADING = StartPolicy(patience_s=170.0)


def components(settings: StackSettings) -> tuple[Component, ...]:
    """Every component of the stack. It starts after what it needs and stops before it."""
    replicas, described = settings.replicas, description.own(description.of(settings.checkout))
    registries = [registry(settings, number) for number in range(replicas.registries)]
    control_planes = [router_control(settings, number) for number in range(replicas.control_planes)]
    batchers = [batcher(settings, number) for number in range(replicas.batchers)]
    data_planes = [router_data(settings, number) for number in range(replicas.data_planes)]
    return (
        postgres.component(settings, tuple(one.database for one in described if one.database)),
        valkey.component(settings),
        s3.component(settings),
        *registries,
        *control_planes,
        *batchers,
        batcher_cpu(settings),
        *(monitor(settings, number) for number in range(replicas.monitors)),
        *(_plain(settings, one.name) for one in described if one.name not in _OF_THEIR_OWN),
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


def registry(settings: StackSettings, number: int = 0) -> Component:
    return _plain(settings, REGISTRY, number)


def router_control(settings: StackSettings, number: int = 0) -> Component:
    ports, replicas = settings.ports.of_replica(number), settings.replicas
    return service(
        settings,
        named(ROUTER_CONTROL, number),
        "headrace_router.control",
        prefix="ROUTER_CONTROL_",
        grpc=ports.router_control,
        metrics=ports.router_control_metrics,
        needs=(postgres.NAME, valkey.NAME, *_all(REGISTRY, replicas.registries)),
        variables={
            "DATABASE_URL": postgres.bare_url(settings, "router"),
            "DATABASE_PASSFILE": postgres.passfile(settings),
            "DENY_FILE": settings.identity / identity.DENY,
            "VALKEY_URL": valkey.url(settings),
            "REGISTRY_TARGET": _target(settings, lambda ports: ports.registry, replicas.registries),
            "HEALTH_TARGETS": _health_targets(settings),
        },
    )


def monitor(settings: StackSettings, number: int = 0) -> Component:
    """It starts beside what answers predictions: nobody waits for it."""
    return _plain(settings, MONITOR, number, _SOON)


def _plain(
    settings: StackSettings, name: str, number: int = 0, more: Mapping[str, object] = MappingProxyType({})
) -> Component:
    described = description.of(settings.checkout)[name]
    return plain(settings, described, number, target=lambda callee: _target_of(settings, callee), more=more)


def batcher(settings: StackSettings, number: int = 0) -> Component:
    """One of the pool `default`. Triton is its child, not ours: a batcher and its Triton are one unit."""
    ports, name = settings.ports.of_replica(number), named(BATCHER, number)
    return service(
        settings,
        name,
        "headrace_batcher",
        prefix="BATCHER_",
        grpc=ports.batcher,
        metrics=ports.batcher_metrics,
        more_ports=(ports.triton, ports.triton_metrics),
        needs=(s3.NAME, *_all(ROUTER_CONTROL, settings.replicas.control_planes)),
        variables={
            **_batcher(settings, name),
            "POOL": "default",
            "BACKEND": "triton",
            "TRITON_COMMAND": shlex.quote(str(settings.checkout / "deploy" / "triton" / "launch")),
            "TRITON_GRPC_PORT": ports.triton.number,
            "TRITON_METRICS_PORT": ports.triton_metrics.number,
        },
        start=_LOADING,
    )


def batcher_cpu(settings: StackSettings) -> Component:
    """The pool `cpu`: ONNX Runtime inside the batcher, what routes fall back to."""
    return service(
        settings,
        BATCHER_CPU,
        "headrace_batcher",
        prefix="BATCHER_",
        grpc=settings.ports.batcher_cpu,
        metrics=settings.ports.batcher_cpu_metrics,
        needs=(s3.NAME, *_all(ROUTER_CONTROL, settings.replicas.control_planes)),
        variables={**_batcher(settings, BATCHER_CPU), "POOL": "cpu", "BACKEND": "onnxruntime"},
        start=_LOADING,
    )


def router_data(settings: StackSettings, number: int = 0) -> Component:
    ports, name, replicas = settings.ports.of_replica(number), named(ROUTER_DATA, number), settings.replicas
    batchers = settings.ports.addresses(lambda ports: ports.batcher, replicas.batchers)
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
            *_all(BATCHER, replicas.batchers),
            BATCHER_CPU,
        ),
        variables={
            "REST_PORT": ports.router_data_rest.number,
            "ID": f"data-{number}",
            "CONTROL_TARGET": _control_planes(settings),
            "MONITOR_TARGET": _monitors(settings),
            "POOLS": f"default={batchers};cpu={settings.ports.batcher_cpu.address}",
            "STATE_DIR": settings.state(name),
            "VALKEY_URL": valkey.url(settings),
        },
    )


def _batcher(settings: StackSettings, name: str) -> dict[str, object]:
    return {
        "CONTROL_TARGET": _control_planes(settings),
        "REGISTRY_TARGET": _target(settings, lambda ports: ports.registry, settings.replicas.registries),
        "STATE_DIR": settings.state(name),
        **_s3(settings),
    }


def _health_targets(settings: StackSettings) -> str:
    """What the front door answers health for besides the registry and the control plane."""
    return ";".join(
        f"{api}={_target_of(settings, one.name, 'data' if one.published else 'grpc')}"
        for one in description.own(description.of(settings.checkout))
        if one.name not in (REGISTRY, ROUTER_CONTROL)
        for api in one.offers
        if api.startswith("headrace.")
    )


def _target_of(settings: StackSettings, name: str, port: str = "grpc") -> str:
    offset = description.of(settings.checkout)[name].offset(port)
    return _target(settings, lambda ports: ports.at(offset, name), replicas_of(settings.replicas, name))


def _monitors(settings: StackSettings) -> str:
    return _target(settings, lambda ports: ports.monitor, settings.replicas.monitors)


def _control_planes(settings: StackSettings) -> str:
    return _target(settings, lambda ports: ports.router_control, settings.replicas.control_planes)


def _target(settings: StackSettings, of: Callable[[Ports], Port], count: int) -> str:
    """The replicas of a service as one target of gRPC, which uses all of them in turn."""
    addresses = settings.ports.addresses(of, count)
    return f"ipv4:{addresses}" if count > 1 else addresses


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
