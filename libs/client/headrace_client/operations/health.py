"""Whether the services behind the front door are up."""

from __future__ import annotations

from grpc_health.v1 import health_pb2

from headrace_client.api_description import public_services
from headrace_client.calls import Call, Method, Operation, Session, invoke
from headrace_client.errors import HeadraceError, NotFound

DEFAULT_TIMEOUT_S = 5.0
_ABSENT = "not installed"

_CALLED = {
    "headrace.router.v1.RouteService": "router control plane",
    "headrace.router.v1.RouterService": "router data plane",
}


def services() -> dict[str, str]:
    """Return the full name of the first service of each process, by what people call that; the whole is empty."""
    found = {"all": ""}
    for service in public_services():
        _, package, _, name = service.split(".")
        if service in _CALLED or name.lower() == f"{package}service":
            found[_CALLED.get(service, package)] = service
    return found


def is_down(state: str) -> bool:
    """Return whether a service should serve and does not; what is not installed should not."""
    return state != "serving" and not state.startswith(_ABSENT)


def health(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[dict[str, str]]:
    """Return `serving`, `not serving`, `not installed: …` or what went wrong for each service, and for `all`."""
    found = {}
    for service, name in services().items():
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            answer = yield from invoke(session, health_pb2.HealthCheckResponse, request, timeout_s=timeout)
        except NotFound:
            if absence := (yield from _absence(session, name, timeout)):
                found[service] = absence
        except HeadraceError as error:
            if not name:
                raise
            found[service] = f"{error.code.name.lower().replace('_', ' ')}: {error.message}"
        else:
            serving = answer.status == health_pb2.HealthCheckResponse.SERVING
            found[service] = "serving" if serving else "not serving"
    return found


def _absence(session: Session, service: str, timeout: float) -> Operation[str]:
    """Return the command that adds a service of unknown health; empty where the front door does not say.

    It answers for all calls to parts that are not installed, whatever they are called.
    """
    any_call = Method(f"/{service}/Any", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)
    try:
        yield Call(any_call, health_pb2.HealthCheckRequest(), timeout, session.headers)
    except HeadraceError as error:
        if error.reason == "PART_NOT_INSTALLED":
            return f"{_ABSENT}: `{error.metadata['add']}` adds it"
    return ""
