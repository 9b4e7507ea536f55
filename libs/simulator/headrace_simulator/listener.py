"""The port of Triton's gRPC: closed while a fault says so, and reopened."""

from __future__ import annotations

import grpc
import grpc.aio

# A call that a fault holds is held here.
MAX_CALLS = 1024
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Batchers ping often.
    ("grpc.http2.min_ping_interval_without_data_ms", 100),
    ("grpc.keepalive_permit_without_calls", 1),
)


class PortTaken(Exception):
    """Something else listens there."""


class Listener:
    """Serves handlers at an address, from time to time. port: 0 takes a free one, and keeps it."""

    def __init__(self, host: str, port: int, handler: grpc.GenericRpcHandler) -> None:
        self._host, self.port, self._handler = host, port, handler
        self._server: grpc.aio.Server | None = None

    @property
    def open(self) -> bool:
        """Return whether the port is open."""
        return self._server is not None

    async def start(self) -> None:
        """Listen. Raises PortTaken."""
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        server.add_generic_rpc_handlers((self._handler,))
        try:
            port = server.add_insecure_port(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise PortTaken(f"cannot listen on {self._host}:{self.port}: {error}") from None
        self.port = self.port or port  # of a socket gRPC says 1, whichever it is
        await server.start()
        self._server = server

    async def stop(self, grace_s: float | None = None) -> None:
        """Close the port and, after a grace, all connections; None breaks them off at once."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace_s)
