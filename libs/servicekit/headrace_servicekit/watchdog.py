"""Metrics and readiness from a separate thread, for a service whose event loop may be blocked by other code."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import threading
import time
import traceback
from concurrent.futures import Future
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from headrace_servicekit.health import Health
from headrace_servicekit.loops import periodic
from headrace_servicekit.telemetry import Answer, MetricsEndpoint, ready_answer

log = structlog.get_logger()

BEAT_S = 0.25
# A loop that has not turned for so long is held up: no call is answered meanwhile.
BLOCKED_S = 2.0
METRICS_S, STOP_S = 2.0, 2.0
LOOP = "event loop"


class WatchedEndpoint(MetricsEndpoint):
    """The endpoint in a thread beside the event loop, which it watches.

    `/readyz` is 503 while the loop does not turn, and the log says where it is held up; `/metrics` is still made on the
    loop, whose state it reads, and is 503 meanwhile. `POST /drain`, from this machine only, makes the service
    NOT_SERVING for good, while it still answers calls.
    """

    def __init__(self, registry: CollectorRegistry, health: Health) -> None:
        super().__init__(registry, health)
        self._watched: asyncio.AbstractEventLoop | None = None
        self._watched_thread = 0
        self._own: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._beating: asyncio.Task[Any] | None = None
        self._beat_at = 0.0
        self._reported = False

    async def start(self, host: str, port: int) -> None:
        """Listen; raises OSError when the port is taken."""
        self._watched, self._watched_thread = asyncio.get_running_loop(), threading.get_ident()
        await self._beat()
        self._beating = asyncio.create_task(periodic("beat", self._beat, every_s=BEAT_S), name="beat")
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(host, port, opened), name="watchdog", daemon=True)
        self._thread.start()
        try:
            await asyncio.wrap_future(opened)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the port and end the thread."""
        if self._beating is not None:
            self._beating.cancel()
        if self._own is not None and not self._own.is_closed():
            self._own.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_S)

    def blocked_s(self) -> float:
        """Return how long the loop has not turned, 0 while it does."""
        silent_s = time.monotonic() - self._beat_at - BEAT_S
        return silent_s if silent_s >= BLOCKED_S else 0.0

    async def metrics(self) -> Answer:
        """Return what `/metrics` answers."""
        assert self._watched is not None
        made = asyncio.run_coroutine_threadsafe(super().metrics(), self._watched)
        try:
            async with asyncio.timeout(METRICS_S):
                return await asyncio.wrap_future(made)
        except TimeoutError:
            return 503, "text/plain", b"the event loop does not turn\n"

    def readiness(self) -> Answer:
        """Return what `/readyz` answers."""
        blocked_s, components = self.blocked_s(), self._health.components()
        if not blocked_s:
            return ready_answer(self._health.ready, {**components, LOOP: (True, "")})
        return ready_answer(False, {**components, LOOP: (False, f"has not turned for {blocked_s:.1f} s")})

    async def _answer(self, head: bytes, peer: str) -> Answer:
        if not head.startswith(b"POST /drain "):
            return await super()._answer(head, peer)
        if not peer or not ipaddress.ip_address(peer).is_loopback:
            return 405, "text/plain", b"only from this machine\n"
        assert self._watched is not None
        self._watched.call_soon_threadsafe(self._health.drain)
        return 200, "text/plain", b"draining\n"

    def _run(self, host: str, port: int, opened: Future[None]) -> None:
        try:
            asyncio.run(self._live(host, port, opened))
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    async def _live(self, host: str, port: int, opened: Future[None]) -> None:
        self._own = asyncio.get_running_loop()
        await super().start(host, port)
        opened.set_result(None)
        watching = asyncio.create_task(periodic("watch", self._watch, every_s=BEAT_S), name="watch")
        await self._stopping.wait()
        watching.cancel()
        await super().stop()

    async def _beat(self) -> None:
        self._beat_at = time.monotonic()

    async def _watch(self) -> None:
        """Say once where the loop is held up, and when it turns again."""
        blocked_s = self.blocked_s()
        if blocked_s and not self._reported:
            frame = sys._current_frames().get(self._watched_thread)
            log.error("event loop is held up", held_s=round(blocked_s, 1), at=traceback.format_stack(frame)[-8:])
        elif self._reported and not blocked_s:
            log.warning("event loop turns again")
        self._reported = bool(blocked_s)
