"""Our own services: Python modules that answer `/readyz` beside their gRPC port."""

import sys
from collections.abc import Mapping

from headrace_stack.component import Component, StartPolicy
from headrace_stack.components.probes import missing_http, missing_listener
from headrace_stack.ports import Port
from headrace_stack.settings import StackSettings

# Local calls are short: `make down` need not wait 10 s for them.
_QUICK_STOP = {"DRAIN_NOTICE_S": "0.1", "GRACE_S": "5"}


def service(
    settings: StackSettings,
    name: str,
    module: str,
    *,
    prefix: str,
    grpc: Port,
    metrics: Port,
    more_ports: tuple[Port, ...] = (),
    needs: tuple[str, ...],
    variables: Mapping[str, object],
    leans_on: tuple[str, ...] = (),
    start: StartPolicy | None = None,
) -> Component:
    """A service started as `python -m module`, configured by variables that begin with `prefix`.

    It is ready when `/readyz` is 200, the state that `grpc.health.v1` reports too, and its gRPC port accepts
    connections.
    """

    async def prepare() -> None:
        settings.state(name).mkdir(mode=0o700, parents=True, exist_ok=True)

    async def ready() -> str | None:
        return await missing_http(metrics, "/readyz") or await missing_listener(grpc)

    given = {**_QUICK_STOP, "PORT": grpc.number, "METRICS_PORT": metrics.number, **variables}
    return Component(
        name=name,
        command=(sys.executable, "-P", "-m", module),
        prepare=prepare,
        ready=ready,
        ports=(grpc, metrics, *more_ports),
        environment={
            **{f"{prefix}{variable}": str(value) for variable, value in given.items()},
            # Exported by a caller's own tools, they would change what our processes import.
            "PYTHONPATH": "",
            **settings.python_environment,
        },
        needs=needs,
        leans_on=leans_on,
        stop_grace_s=12.0,
        start=start or StartPolicy(),
    )
