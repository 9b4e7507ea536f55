"""uvicorn on the data plane's own event loop, for an ASGI app."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn
from headrace_servicekit.tls import Tls


class Server(uvicorn.Server):
    """Serves an app on sockets that are given to `serve`."""

    def __init__(self, app: Any, *, tls: Tls | None, grace_s: float) -> None:
        super().__init__(
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

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it drains more than this server."""
        yield
