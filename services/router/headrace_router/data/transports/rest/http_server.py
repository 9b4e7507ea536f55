"""The port of REST, whose server is imported once the rest of the data plane has begun to serve."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from headrace_servicekit.ports import PortUnavailable, listening
from headrace_servicekit.tls import Tls

if TYPE_CHECKING:
    import uvicorn

# Importing the server takes a twelfth of the time in which a data plane starts (`python -X importtime`). It waits until
# predictions are answered, but not longer than this: connections wait with it.
IMPORT_DELAY_S = 1.0


class HttpServer:
    """Serves an ASGI app on a port that is taken at construction. Raises PortUnavailable.

    begun: returns when what matters more has begun to serve.
    """

    def __init__(
        self,
        app: Any,
        host: str,
        port: int,
        *,
        port_setting: str,
        tls: Tls | None,
        grace_s: float,
        begun: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            self._socket = listening(host, port)
        except OSError as error:
            raise PortUnavailable(host, port, port_setting, error.strerror or str(error)) from None
        self.port: int = self._socket.getsockname()[1]
        self._app, self._tls, self._grace_s, self._begun = app, tls, grace_s, begun
        self._server: uvicorn.Server | None = None
        self._ended = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Serve until `stop`, and then wait to be cancelled. Returns only when the server ended by itself."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IMPORT_DELAY_S):
                    await self._begun()
            self._server = await asyncio.to_thread(_server_of, self._app, self._tls, self._grace_s)
            self._server.should_exit = self._stopping
            await self._server.serve(sockets=[self._socket])
        finally:
            self._socket.close()
            self._ended.set()
        if self._stopping:
            await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Refuse new connections, finish the requests in flight, and return when the port is closed."""
        self._stopping = True
        if self._server is not None:
            self._server.should_exit = True
        await self._ended.wait()


def _server_of(app: Any, tls: Tls | None, grace_s: float) -> uvicorn.Server:
    """Return uvicorn for an app on this process's own event loop. Imports it."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave signals to the process: it drains more than this server."""
            yield

    return Server(
        uvicorn.Config(
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
    )
