"""Whether the services behind the front door are up."""

from __future__ import annotations

from grpc_health.v1 import health_pb2

from headrace_client import methods
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import HeadraceError, NotFound

DEFAULT_TIMEOUT_S = 5.0

# By what people call them; the empty name is the whole.
SERVICES = {
    "all": "",
    "registry": "headrace.registry.v1.RegistryService",
    "router control plane": "headrace.router.v1.RouteService",
    "router data plane": "headrace.router.v1.RouterService",
    "monitor": "headrace.monitor.v1.MonitorService",
    "batcher": "headrace.batcher.v1.BatcherService",
}


def health(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[dict[str, str]]:
    """Return `serving`, `not serving` or what went wrong for each service that the front door knows, and for `all`."""
    found = {}
    for service, name in SERVICES.items():
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            answer = yield from invoke(session, methods.CHECK_HEALTH, request, timeout_s=timeout)
        except NotFound:
            continue  # this front door does not tell
        except HeadraceError as error:
            if not name:
                raise
            found[service] = f"{error.code.name.lower().replace('_', ' ')}: {error.message}"
        else:
            serving = answer.status == health_pb2.HealthCheckResponse.SERVING
            found[service] = "serving" if serving else "not serving"
    return found
