"""uvicorn on the data plane's own event loop, for an ASGI app."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from headrace_servicekit.server import PortUnavailable
from headrace_servicekit.tls import Tls


class HttpServer:
    """Serves an ASGI app on a port that is taken at construction. Raises PortUnavailable."""

    def __init__(self, app: Any, host: str, port: int, *, port_setting: str, tls: Tls | None, grace_s: float) -> None:
        try:
            self._socket = socket.create_server((host, port), backlog=1024, reuse_port=False)
        except OSError as error:
            raise PortUnavailable(host, port, port_setting, error.strerror or str(error)) from None
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=max(1, int(grace_s)),
            ssl_certfile=None if tls is None else tls.cert,
            ssl_keyfile=None if tls is None else tls.key,
            ssl_ca_certs=None if tls is None or tls.ca is None else str(tls.ca),
            ssl_cert_reqs=2 if tls is not None and tls.ca is not None else 0,
        )
        self._server = _Server(config)
        self._ended = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Serve until `stop`, and then wait to be cancelled. Returns only when the server ended by itself."""
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._ended.set()
        if self._stopping:
            await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Refuse new connections, finish the requests in flight, and return when the port is closed."""
        self._stopping = self._server.should_exit = True
        await self._ended.wait()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it drains more than this server."""
        yield
