"""The gRPC server that every service runs: interceptors, health, reflection, limits and TLS are built in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2_grpc
from prometheus_client import CollectorRegistry

from headrace_servicekit.access import access_of
from headrace_servicekit.denials import Denials
from headrace_servicekit.health import Health, HealthServicer
from headrace_servicekit.http2.server import Http2Server
from headrace_servicekit.interceptors import Interceptors
from headrace_servicekit.metrics import RpcMetrics
from headrace_servicekit.open_files import most_connections
from headrace_servicekit.ports import PortUnavailable, cause_of, problem, target
from headrace_servicekit.reflection import Reflection
from headrace_servicekit.tls import Tls, server_context, server_credentials

if TYPE_CHECKING:
    from headrace_servicekit.tracing import Tracing

_MAX_METHODS = 1000
_OTHER = "/other/Other"

MAX_PENDING_CALLS = 65_536


class Server:
    """A gRPC server. Give it to the generated `add_XServicer_to_server(servicer, server)` like any other.

    The port is taken at construction, so that two instances cannot both seem to run; calls are served after `start()`.

    host, port: where to listen; port 0 takes a free one, `port` tells which.
    port_setting: name of the variable that sets the port, for the message when it is taken.
    descriptors: what reflection shows; None shows the services registered here.
    on_the_loop: serve by `headrace_servicekit.http2` rather than by grpc.aio, whose `options` it does not know: a
        message takes a fifth of the time, compressed ones are not taken. For a service that predictions go through.
    Raises PortUnavailable, and OSError for unreadable certificates.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        port_setting: str = "the port setting",
        tls: Tls | None = None,
        max_message_bytes: int = 16 * 1024 * 1024,
        max_concurrent_rpcs: int | None = None,
        health: Health | None = None,
        metrics: RpcMetrics | None = None,
        denials: Denials | None = None,
        tracing: Tracing | None = None,
        access_log: bool = True,
        descriptors: descriptor_pb2.FileDescriptorSet | None = None,
        on_the_loop: bool = False,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self.health = health or Health()
        self.host = host
        self._interceptors = Interceptors(
            metrics or RpcMetrics(CollectorRegistry()),
            denials=denials,
            tracing=tracing,
            access_log=access_log,
            max_calls=max_concurrent_rpcs,
            insiders=tls.internal if tls is not None else frozenset(),
        )
        self._reflection = Reflection(descriptors)
        self._server: grpc.aio.Server | Http2Server
        if on_the_loop:
            self._server = Http2Server(max_message_bytes=max_message_bytes, max_concurrent_rpcs=max_concurrent_rpcs)
        else:
            self._server = grpc.aio.server(
                options=[*server_options(max_message_bytes), *options], maximum_concurrent_rpcs=max_concurrent_rpcs
            )
        self._routes = _Routes(self._interceptors)
        self._server.add_generic_rpc_handlers((self._routes,))
        self.port = self._bind(host, port, port_setting, tls)
        health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(self.health), self)
        for service, methods in self._reflection.services():
            self._routes.add(service, methods)

    @property
    def address(self) -> str:
        """Return `host:port` as a channel target."""
        return target(self.host, self.port)

    @property
    def active(self) -> int:
        """Return how many calls are in progress."""
        return self._interceptors.metrics.active

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Serve handlers that find their methods themselves, with the kit's interceptors around each."""
        self._routes.generic += generic_rpc_handlers

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Serve the methods of a service, with the kit's interceptors around each. Generated code calls this.

        Raises TypeError for a handler that is not `async def`, ValueError for an access option that fits no field.
        """
        self._reflection.add(service_name)
        self.health.add_service(service_name)
        self._routes.add(service_name, method_handlers)

    def add_bare_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Serve the methods of a service without the kit's interceptors.

        For a host that checks the caller, maps errors and accounts itself, in the microseconds that a prediction has.
        """
        self._reflection.add(service_name)
        self.health.add_service(service_name)
        self._routes.add_bare(service_name, method_handlers)

    def also_serve_as(self, former: str, service: str) -> None:
        """Serve a service that was added by a name that it had before, too: callers of the release before use it."""
        self._routes.alias(former, service)

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, give those in flight `grace_s` seconds, then cancel them."""
        self.health.drain()
        self.health.close()
        await self._server.stop(grace_s)

    async def wait_for_termination(self) -> None:
        """Return when the server has stopped."""
        await self._server.wait_for_termination()

    def _bind(self, host: str, port: int, setting: str, tls: Tls | None) -> int:
        if isinstance(self._server, Http2Server):
            context = server_context(tls) if tls is not None else None
            try:
                return self._server.bind(host, port, context)
            except OSError as error:
                raise PortUnavailable(host, port, setting, cause_of(error)) from None
        credentials = server_credentials(tls) if tls is not None else None
        cause = problem(host, port)
        if cause is not None:
            raise PortUnavailable(host, port, setting, cause)
        address = target(host, port)
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise PortUnavailable(host, port, setting, str(error)) from None


class _Routes(grpc.GenericRpcHandler):
    """All methods of a server by full name, each wrapped once."""

    def __init__(self, interceptors: Interceptors) -> None:
        self._interceptors = interceptors
        self._wrapped: dict[str, grpc.RpcMethodHandler] = {}
        self.generic: list[grpc.GenericRpcHandler] = []

    def add(self, service: str, methods: Mapping[str, Any]) -> None:
        for name, handler in methods.items():
            method = f"/{service}/{name}"
            self._wrapped[method] = self._interceptors.wrap(method, handler)

    def add_bare(self, service: str, methods: Mapping[str, Any]) -> None:
        self._wrapped.update({f"/{service}/{name}": handler for name, handler in methods.items()})

    def alias(self, former: str, service: str) -> None:
        known = [(name.removeprefix(f"/{service}/"), handler) for name, handler in self._wrapped.items()]
        self._wrapped.update({f"/{former}/{name}": handler for name, handler in known if "/" not in name})

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method: Any = handler_call_details.method
        known = self._wrapped.get(method)
        if known is not None:
            return known
        for candidate in self.generic:
            handler = candidate.service(handler_call_details)
            if handler is None:
                continue
            if len(self._wrapped) >= _MAX_METHODS:
                # A generic handler may answer to any name that a caller invents: metrics must not grow with them.
                return self._interceptors.wrap(_OTHER, handler, access_of(method))
            self._wrapped[method] = self._interceptors.wrap(method, handler)
            return self._wrapped[method]
        return None


def server_options(max_message_bytes: int) -> list[tuple[str, Any]]:
    """Return the channel arguments of every server."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # Two processes on one port would each get half of the calls; we want the second one to fail.
        ("grpc.so_reuseport", 0),
        # What cannot be accepted for want of files would wait, and its caller with it.
        ("grpc.max_allowed_incoming_connections", most_connections()),
        # From 1000 calls that wait to be accepted on, grpc answers some with CANCELLED, behind HTTP 200: at 2048 in
        # flight more than half. Calls are refused by our own bounds instead, with a reason and a time to come back.
        ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
        # Our clients ping every 2 s also without calls; the default would answer that with GOAWAY.
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 10_000),
    ]
