"""A service as deploy/topology.toml describes it, without a line of code of its own here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from headrace_stack import identity
from headrace_stack.component import Component
from headrace_stack.components import postgres, s3, valkey
from headrace_stack.components.service import service
from headrace_stack.description import Call, Service
from headrace_stack.replicas import named
from headrace_stack.settings import StackSettings

STORES = (postgres.NAME, s3.NAME, valkey.NAME)


def plain(
    settings: StackSettings,
    described: Service,
    number: int = 0,
    *,
    target: Callable[[Call], str],
    needs: tuple[str, ...] = (),
    more: Mapping[str, object] = MappingProxyType({}),
) -> Component:
    """Return one replica; its stores and targets are set by the variable names that all services share.

    target: address of a called service's replicas. needs: components to start first, besides its stores. more: further
    settings, without the prefix.
    """
    ports, package = settings.ports.of_replica(number), described.package
    assert package is not None, f"{described.name} is not started by its package"
    name = named(described.component, number)
    entry, metrics, *others = (ports.at(described.offset(port), f"{name} {port}") for port in _first(described))
    called = [call.callee for call in described.calls]
    stores = tuple(callee for callee in called if callee in STORES)
    return service(
        settings,
        name,
        package,
        prefix=described.prefix,
        grpc=entry,
        metrics=metrics,
        more_ports=tuple(others),
        needs=(*stores, *needs),
        leans_on=(postgres.NAME,) if postgres.NAME in stores else (),
        variables={
            **_stores(settings, described, stores),
            **({"DENY_FILE": settings.identity / identity.DENY} if described.behind_the_front_door else {}),
            **({"STATE_DIR": settings.state(name)} if described.state else {}),
            **{target_variable(call): target(call) for call in described.calls if call.callee not in STORES},
            **more,
        },
    )


def target_variable(call: Call) -> str:
    """Return the variables that name the services it calls: CONTROL_TARGET the router-control, DATA_TARGET data
    planes."""
    name = "data" if call.port == "data" else call.callee.removeprefix("router-")
    return f"{name.replace('-', '_').upper()}_TARGET"


def _first(described: Service) -> list[str]:
    first = (described.entry, "metrics")
    return [*first, *(port for port in described.ports if port not in first)]


def _stores(settings: StackSettings, described: Service, stores: tuple[str, ...]) -> dict[str, object]:
    environment: dict[str, object] = {}
    if postgres.NAME in stores and described.database:
        environment["DATABASE_URL"], environment["DATABASE_PASSFILE"] = postgres.of_service(
            settings, described.database
        )
    if s3.NAME in stores:
        environment |= {"S3_ENDPOINT": s3.endpoint(settings), "S3_CREDENTIALS_FILE": s3.credentials_file(settings)}
        environment |= described.buckets
    if valkey.NAME in stores:
        environment |= {"VALKEY_URL": valkey.url(settings)}
    return environment
