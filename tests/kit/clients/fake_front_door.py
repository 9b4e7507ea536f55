"""A front door that a test holds in its hand: any servicers on one real port, every call seen, failures on demand.

with FrontDoor.serving(FakeRoutes(), FakeRegistry()) as door:
    door.fail("Predict", Unavailable("not now"), times=2)
    Client(door.address, token="t").predict(…)
    assert [call.method for call in door.calls] == ["Predict", "Predict", "Predict"]
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Self

import grpc
from grpc_status import rpc_status
from headrace_servicekit.error_details import to_status
from headrace_servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call as it arrived: the method's bare name, its metadata, and the seconds that its deadline left."""

    method: str
    metadata: dict[str, str | bytes]
    remaining_s: float | None


class FrontDoor(grpc.ServerInterceptor):
    """Serves what the given servicers offer. A servicer is added by its own `add_to(server)`.

    calls: every call, in order. Raising a ServiceError in a servicer answers with its status and details.
    """

    def __init__(self) -> None:
        self.address = ""
        self.calls: list[SeenCall] = []
        self._failures: dict[str, deque[ServiceError]] = defaultdict(deque)
        self._lock = threading.Lock()

    @classmethod
    @contextlib.contextmanager
    def serving(cls, *servicers: Any) -> Iterator[Self]:
        """Serve on a free port of 127.0.0.1 until the block ends; `address` is its host:port."""
        door = cls()
        server = grpc.server(futures.ThreadPoolExecutor(16), interceptors=[door])
        for servicer in servicers:
            servicer.add_to(server)
        door.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield door
        finally:
            server.stop(grace=None).wait()

    def fail(self, method: str, error: ServiceError, *, times: int = 1) -> None:
        """Answer the next `times` calls of a method with an error, before the servicer sees them."""
        self._failures[method].extend([error] * times)

    def methods(self) -> list[str]:
        """Return the bare names of the methods called so far."""
        return [call.method for call in self.calls]

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler: Any = continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method.rsplit("/", 1)[-1]
        metadata = dict(handler_call_details.invocation_metadata or ())

        def begin(context: grpc.ServicerContext) -> None:
            with self._lock:
                self.calls.append(SeenCall(method, metadata, context.time_remaining()))
                scripted = self._failures[method].popleft() if self._failures[method] else None
            if scripted is not None:
                raise scripted

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                begin(context)
                yield from handler.unary_stream(request, context)
            except ServiceError as error:
                context.abort_with_status(rpc_status.to_status(to_status(error)))

        def behaviour(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                begin(context)
                return (handler.stream_unary or handler.unary_unary)(request, context)
            except ServiceError as error:
                context.abort_with_status(rpc_status.to_status(to_status(error)))

        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                stream, handler.request_deserializer, handler.response_serializer
            )
        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(behaviour, handler.request_deserializer, handler.response_serializer)
