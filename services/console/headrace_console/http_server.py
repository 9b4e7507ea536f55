"""A port of HTTP/1.1 in the life of a service: taken at its start, served when all is wired, drained at its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn
from headrace_servicekit.ports import PortUnavailable, listening
from headrace_servicekit.tls import Tls, server_context

# Limit of connections. The front door opens fewer; more come from elsewhere.
_MOST_AT_ONCE = 2000


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it drains more than this server."""
        yield


class HttpServer:
    """Serves an ASGI app. Raises PortUnavailable at once when the port is taken."""

    def __init__(self, app: Any, host: str, port: int, *, port_setting: str, tls: Tls | None) -> None:
        try:
            self._socket = listening(host, port)
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
            proxy_headers=False,
            limit_concurrency=_MOST_AT_ONCE,
        )
        config.load()
        config.ssl = server_context(tls) if tls is not None else None
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http server")

    async def stop(self, grace_s: float) -> None:
        """Refuse new connections and give requests in flight `grace_s` seconds."""
        self._server.config.timeout_graceful_shutdown = max(1, int(grace_s))
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()
