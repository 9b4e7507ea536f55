"""Services as the front door sees them: real servers that keep what reached them and answer as they are told."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from front_door import offered
from headrace_servicekit.testing import free_port

from tests.kit.wire.certificates import Pem

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"  # grpc.health.v1.HealthCheckResponse
HEALTH_CHECK = "/grpc.health.v1.Health/Check"

Answer = Callable[[Iterable[bytes], grpc.ServicerContext], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call that arrived. remaining_s: its deadline as the service saw it, None if it had none. peer: its caller."""

    path: str
    headers: dict[str, str]
    body: bytes
    remaining_s: float | None
    peer: str

    @property
    def client(self) -> str | None:
        return self.headers.get("x-headrace-client")


@dataclass(slots=True)
class GrpcUpstream:
    """Answers every method: with an empty message, or with what `answers` says for its path.

    Health checks are answered by `serving` and not kept. Deadlines and cancellation are gRPC's own.
    begun, cut: paths of calls whose requests come, and of those that were over before all had come: grpcio may end
    these as if all had.
    """

    name: str
    target: str = ""
    serving: bool = True
    calls: list[Call] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    def calls_of(self, client: str | None) -> list[Call]:
        return [call for call in self.calls if call.client == client]

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path = details.method
        headers = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self._handle(path, headers, requests, context)
        )

    def _handle(
        self, path: str, headers: dict[str, str], requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        if path == HEALTH_CHECK and "x-headrace-edge" not in headers:
            yield SERVING if self.serving else NOT_SERVING
            return
        remaining = context.time_remaining()
        self.begun.append(path)
        active = True
        try:
            received = list(requests)
        finally:
            if not (active := context.is_active()):
                self.cut.append(path)
        if not active:
            return
        # grpcio gives a call without a deadline one in the far future.
        bounded = remaining if remaining is not None and remaining < 1e6 else None
        self.calls.append(Call(path, headers, b"".join(received), bounded, context.peer()))
        answer = self.answers.get(path)
        yield from answer(received, context) if answer is not None else [SERVING if path == HEALTH_CHECK else b""]


class _Generic(grpc.GenericRpcHandler):
    def __init__(self, upstream: GrpcUpstream) -> None:
        self._upstream = upstream

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return self._upstream.service(handler_call_details)


@dataclass(slots=True)
class RestUpstream:
    """Answers every request with its own path, headers and body as JSON: with 200, or 503 while it is not `serving`."""

    target: str = ""
    serving: bool = True
    calls: list[Call] = field(default_factory=list)

    def calls_of(self, client: str | None) -> list[Call]:
        return [call for call in self.calls if call.client == client]

    def handle(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        status = 200 if self.serving else 503
        if handler.path == "/readyz":
            return status, b"{}"
        headers = {key.lower(): value for key, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        self.calls.append(Call(handler.path, headers, body, None, str(handler.client_address)))
        echo: dict[str, Any] = {"path": handler.path, "headers": headers, "bytes": len(body)}
        return status, json.dumps(echo).encode()


@dataclass(slots=True)
class Upstreams:
    """What stands behind a front door. pages: services that answer browsers."""

    services: Mapping[str, GrpcUpstream]
    pages: Mapping[str, RestUpstream]
    router_data: GrpcUpstream
    router_rest: RestUpstream

    @property
    def registry(self) -> GrpcUpstream:
        return self.services["registry"]

    @property
    def router_control(self) -> GrpcUpstream:
        return self.services["router-control"]

    @property
    def monitor(self) -> GrpcUpstream:
        return self.services["monitor"]

    def targets(self) -> dict[str, str]:
        """Return the address of each service behind the front door."""
        return {name: one.target for name, one in {**self.services, **self.pages}.items()}

    def grpc(self) -> tuple[GrpcUpstream, ...]:
        return (*self.services.values(), self.router_data)

    def reached_by(self, client: str | None) -> list[Call]:
        """Return every call of a client, wherever it arrived; None finds those without identity."""
        every = (*self.grpc(), self.router_rest, *self.pages.values())
        return [call for upstream in every for call in upstream.calls_of(client)]


@contextlib.contextmanager
def upstreams(tls: Pem | None = None) -> Iterator[Upstreams]:
    """Serve all of them on free ports until the block ends, with TLS when there is a certificate."""
    with contextlib.ExitStack() as stack:
        yield Upstreams(
            services={
                name: stack.enter_context(grpc_upstream(name, tls=tls))
                for name in offered.ports()
                if name not in offered.pages().values()
            },
            pages={name: stack.enter_context(rest_upstream(tls)) for name in offered.pages().values()},
            router_data=stack.enter_context(grpc_upstream("router_data", tls=tls)),
            router_rest=stack.enter_context(rest_upstream(tls)),
        )


@contextlib.contextmanager
def grpc_upstream(name: str, *, port: int | None = None, tls: Pem | None = None) -> Iterator[GrpcUpstream]:
    """Serve one gRPC upstream on a port of 127.0.0.1, a free one unless told.

    Not one that the kernel gives out: what another test left behind, Ray's processes say, may still call whoever had it
    before.
    """
    upstream = GrpcUpstream(name)
    server = grpc.server(
        ThreadPoolExecutor(32, thread_name_prefix=name),
        handlers=[_Generic(upstream)],
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    wanted = f"127.0.0.1:{free_port() if port is None else port}"
    if tls is None:
        taken = server.add_insecure_port(wanted)
    else:
        pair = (tls.key.read_bytes(), tls.cert.read_bytes())
        taken = server.add_secure_port(wanted, grpc.ssl_server_credentials([pair]))
    upstream.target = f"127.0.0.1:{taken}"
    server.start()
    try:
        yield upstream
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def rest_upstream(tls: Pem | None = None) -> Iterator[RestUpstream]:
    """Serve the HTTP/1.1 upstream."""
    upstream = RestUpstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            status, body = upstream.handle(self)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _any  # noqa: N815  (the names are the base class's)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name is the base class's)
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.cert, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    upstream.target = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
