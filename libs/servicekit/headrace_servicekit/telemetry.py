"""Metrics, liveness and readiness over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from headrace_servicekit.health import Health

_REQUEST_LIMIT_BYTES = 8192
_REQUEST_TIMEOUT_S = 5.0
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


class MetricsEndpoint:
    """HTTP/1.1 on the service's own event loop, so that `/livez` fails when the loop hangs.

    `/metrics` Prometheus text; `/livez` 200 while the loop turns; `/readyz` 200 or 503 with each component and reason.
    """

    def __init__(self, registry: CollectorRegistry, health: Health) -> None:
        self._registry, self._health = registry, health
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_REQUEST_LIMIT_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await incoming.readuntil(b"\r\n\r\n")
                status, kind, body = await self._answer(head, str((outgoing.get_extra_info("peername") or ("",))[0]))
                outgoing.write(
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                outgoing.write(body)
                await outgoing.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, RuntimeError):
            pass  # a scraper that left or never asked; RuntimeError is uvloop's for a connection that was reset
        finally:
            outgoing.close()

    async def _answer(self, head: bytes, peer: str) -> Answer:
        """Return the answer to a request. peer: the address that it came from."""
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3:
            return 400, "text/plain", b"bad request\n"
        if parts[0] not in (b"GET", b"HEAD"):
            return 405, "text/plain", b"GET only\n"
        path = parts[1].split(b"?", 1)[0]
        if path == b"/metrics":
            return await self.metrics()
        if path == b"/livez":
            return 200, "text/plain", b"alive\n"
        if path == b"/readyz":
            return self.readiness()
        return 404, "text/plain", b"known paths: /metrics /livez /readyz\n"

    async def metrics(self) -> Answer:
        """Return what `/metrics` answers."""
        return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def readiness(self) -> Answer:
        """Return what `/readyz` answers."""
        return ready_answer(self._health.ready, self._health.components())


def ready_answer(ready: bool, components: Mapping[str, tuple[bool, str]]) -> Answer:
    """Return readiness as HTTP. components: by name, whether each is healthy and why not."""
    states = {name: {"healthy": healthy, "reason": reason} for name, (healthy, reason) in components.items()}
    body = json.dumps({"ready": ready, "components": states}).encode() + b"\n"
    return (200 if ready else 503), "application/json", body
