"""The life of a service: start, ready, drain, stop.

The metrics port opens; then `start` builds everything while health is NOT_SERVING; servers accept calls; when every
required check passes the process is SERVING. `stop` makes it NOT_SERVING, and after the notice the servers refuse new
calls and finish those in flight; only then are loops cancelled and resources closed, last opened first.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import structlog
from google.protobuf import descriptor_pb2
from prometheus_client import CollectorRegistry

from headrace_servicekit.clock import Clock, SystemClock
from headrace_servicekit.denials import FOLLOW_EVERY_S, Denials
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.health import Health, poll
from headrace_servicekit.loops import delay_s, periodic
from headrace_servicekit.metrics import HealthMetrics, RpcMetrics, new_registry
from headrace_servicekit.peers import ERRORS
from headrace_servicekit.ports import PortUnavailable, cause_of
from headrace_servicekit.server import Server
from headrace_servicekit.settings import ServiceSettings, variable
from headrace_servicekit.telemetry import MetricsEndpoint
from headrace_servicekit.tls import Tls

if TYPE_CHECKING:
    from headrace_servicekit.tracing import Tracing

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)
T = TypeVar("T")

_CLOSE_S = 5.0
_CANCEL_AGAIN_S = 20.0


class StartError(Exception):
    """The service cannot start, for a reason that an operator can act on: the message is shown without a traceback."""


class Migrated(Protocol):
    """A store with a schema."""

    async def migrate(self) -> None:
        """Bring it to the schema of this code, unless it is there. Raises Unavailable, and StartError for one that
        this code cannot work with.
        """
        ...


class Serving(Protocol):
    """A port that is taken, and answers between `start` and `stop`."""

    port: int

    async def start(self) -> None:
        """Begin to serve."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Refuse what is new, and give what is in flight `grace_s` seconds."""
        ...


class Runtime(Generic[S]):
    """What `start` builds a service from. Everything entered here is stopped in the right order, whatever fails."""

    def __init__(
        self,
        name: str,
        settings: S,
        clock: Clock | None = None,
        *,
        endpoint: Callable[[CollectorRegistry, Health], MetricsEndpoint] = MetricsEndpoint,
    ) -> None:
        self.name = name
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.health = Health()
        self.metrics: CollectorRegistry = new_registry()
        self.metrics.register(ERRORS)
        self.tracing: Tracing | None = None
        self.stopping = asyncio.Event()
        """Set when the drain begins; long streams end themselves on it (`loops.until`)."""
        self.servers: list[Server] = []
        self._others: list[Serving] = []
        self.metrics_port = 0
        self.rpc_metrics = RpcMetrics(self.metrics)
        self.denials = Denials()
        """Who is denied: `deny_file` is followed."""
        self._make_endpoint = endpoint
        self._resources = AsyncExitStack()
        self._loops: set[asyncio.Task[Any]] = set()
        self._drains: list[Callable[[], Awaitable[object]]] = []
        self.failure: BaseException | None = None
        """What it was stopped for by `fail`."""

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Open a resource (a pool, a channel); it is closed after the drain, last opened first."""
        return await self._resources.enter_async_context(resource)

    def server(
        self,
        *,
        port: int | None = None,
        port_setting: str | None = None,
        descriptors: descriptor_pb2.FileDescriptorSet | None = None,
        **options: Any,
    ) -> Server:
        """Make a gRPC server from the settings (`port`, `port_setting` for a second one). It serves once `start`
        has returned.

        Raises PortUnavailable at once when the port is taken.
        """
        settings = self.settings
        server = Server(
            settings.host,
            settings.port if port is None else port,
            port_setting=port_setting or variable(type(settings), "port"),
            tls=Tls.of(settings),
            max_message_bytes=settings.max_message_bytes,
            max_concurrent_rpcs=settings.max_concurrent_rpcs,
            health=self.health,
            metrics=self.rpc_metrics,
            denials=self.denials,
            tracing=self.tracing,
            descriptors=descriptors,
            **options,
        )
        self.servers.append(server)
        return server

    def serve_beside(self, server: Serving) -> None:
        """Start and stop a port that is not of gRPC as those of gRPC are: HTTP, for browsers."""
        self._others.append(server)

    def loop(self, name: str, body: Callable[[], Awaitable[object]]) -> None:
        """Run `body` in the background until the service stops.

        It should never end: when it raises or returns, the service becomes NOT_SERVING, stops, and exits non-zero.
        Give work that is repeated to `every`; what a peer breaks or sends ends nothing within `peers.Peer`.
        """

        async def supervise() -> None:
            try:
                await body()
                error: BaseException = RuntimeError(f"loop '{name}' ended")
            except asyncio.CancelledError:
                if self.stopping.is_set():
                    raise
                error = RuntimeError(f"loop '{name}' was cancelled")
            except Exception as caught:
                error = caught
            if self.stopping.is_set():
                log.warning("loop failed while stopping", loop=name, exc_info=error)
                return
            log.error("loop died: stopping the service", loop=name, exc_info=error)
            self.fail(error)

        task = asyncio.create_task(supervise(), name=name)
        self._loops.add(task)
        task.add_done_callback(self._loops.discard)

    def every(
        self,
        name: str,
        every_s: float,
        step: Callable[[], Awaitable[object]],
        *,
        after: asyncio.Event | None = None,
        max_backoff_s: float = 30.0,
    ) -> None:
        """Repeat `step` until the service stops, with back-off while it fails. after: what the first one waits for."""

        async def body() -> None:
            if after is not None:
                await after.wait()
            await periodic(name, step, every_s=every_s, clock=self.clock, max_backoff_s=max_backoff_s)

        self.loop(name, body)

    def check(self, name: str, probe: Callable[[], Awaitable[object]], *, required: bool = True) -> None:
        """Poll a health component each second: unhealthy when `probe` raises, answers False, or was silent three times.

        A required one must be healthy for the service to be SERVING; others are only reported under their name.
        """
        self.health.add(name, required=required)
        self.loop(f"check {name}", lambda: poll(self.health, name, probe, self.clock))

    def migrated(self, store: Migrated, *, component: str | None = None) -> asyncio.Event:
        """Migrate a store to the schema of this code as soon as it can be reached, then set the event.

        `start` does not wait for it: a service starts without its database; nor does a health check, which has one
        second. component: of health, which shows the failure meanwhile.
        """
        there = asyncio.Event()

        async def migrate() -> None:
            await self.reached(store.migrate, component=component)
            there.set()
            await asyncio.Event().wait()

        self.loop("migrate", migrate)
        return there

    async def reached(self, act: Callable[[], Awaitable[object]], *, component: str | None = None) -> None:
        """Run work that needs a store or a peer; retry with back-off while it raises Unavailable.

        component: of health, which shows the failure meanwhile.
        """
        for failures in itertools.count(1):
            try:
                await act()
                return
            except Unavailable as error:
                if component is not None:
                    self.health.set(component, False, error.public_message)
                log.warning("waiting for what is unavailable", problem=error.public_message, failures=failures)
            await self.clock.sleep(delay_s(failures, every_s=0.2, max_backoff_s=2.0, jitter=0.2, draw=0.5))

    def on_drain(self, action: Callable[[], Awaitable[object]]) -> None:
        """Run `action` when calls are about to be refused (finish a queue, end a stream); within `grace_s`."""
        self._drains.append(action)

    def stop(self) -> None:
        """Begin the drain, as SIGTERM does."""
        self.health.drain()
        self.stopping.set()

    def fail(self, error: BaseException) -> None:
        """Begin the drain because the service cannot go on; the process exits non-zero. The first error counts."""
        self.failure = self.failure or error
        self.stop()

    async def serve(
        self, start: Callable[[Runtime[S]], Awaitable[object]], *, started: asyncio.Event | None = None
    ) -> None:
        """Run the whole life: start, serve until `stop` or `fail`, drain, close. Raises what made it fail.

        started: set once the servers accept calls; checks may still be failing.
        """
        try:
            self._open_tracing()
            await self._open_metrics()
            await self._follow_denials()
            if await self._start(start):
                for server in (*self.servers, *self._others):
                    await server.start()
                self.health.open()
                log.info(
                    "started",
                    ready=self.health.ready,
                    ports=[s.port for s in (*self.servers, *self._others)],
                    metrics_port=self.metrics_port,
                )
                if started is not None:
                    started.set()
                await self.stopping.wait()
                await self._drain()
        finally:
            self.stop()
            await self._close()
        if self.failure is not None:
            raise self.failure

    async def _start(self, start: Callable[[Runtime[S]], Awaitable[object]]) -> bool:
        """Run `start`; return False when a stop came first."""
        starting = asyncio.create_task(_as_coroutine(start(self)), name="start")
        stopping = asyncio.create_task(self.stopping.wait(), name="stopping")
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return False
            starting.result()
            return not self.stopping.is_set()
        finally:
            await _end(starting, stopping)

    def _open_tracing(self) -> None:
        if self.settings.otlp_endpoint is None:
            return
        from headrace_servicekit.tracing import start_tracing  # half a second of imports that most never need

        self.tracing = start_tracing(self.name, self.settings.otlp_endpoint)

    async def _follow_denials(self) -> None:
        """Know the denied clients before the first call, and follow them."""
        file = self.settings.deny_file
        if file is None:
            return
        await self.denials.follow(file)
        self.every("denied clients", FOLLOW_EVERY_S, functools.partial(self.denials.follow, file))

    async def _open_metrics(self) -> None:
        settings = self.settings
        endpoint = self._make_endpoint(self.metrics, self.health)
        try:
            await endpoint.start(settings.host, settings.metrics_port)
        except OSError as error:
            setting = variable(type(settings), "metrics_port")
            raise PortUnavailable(settings.host, settings.metrics_port, setting, cause_of(error)) from None
        self.metrics_port = endpoint.port
        self._resources.push_async_callback(endpoint.stop)
        self.metrics.register(HealthMetrics(self.health))

    async def _drain(self) -> None:
        settings = self.settings
        log.info("draining", notice_s=settings.drain_notice_s, grace_s=settings.grace_s)
        # Callers learn from health that we leave; until they have, we still take their calls.
        await asyncio.sleep(settings.drain_notice_s)
        for action in self._drains:
            try:
                async with asyncio.timeout(settings.grace_s):
                    await action()
            except Exception:
                log.exception("drain action failed")

    async def _close(self) -> None:
        """Stop servers, then loops, then resources; each part is tried, and none may hold the exit up for ever."""
        grace_s = self.settings.grace_s
        stops = await asyncio.gather(
            *(server.stop(grace_s) for server in (*self.servers, *self._others)), return_exceptions=True
        )
        for error in stops:
            if error is not None:
                log.error("server did not stop", exc_info=error)
        await _end(*self._loops)
        try:
            async with asyncio.timeout(max(grace_s, _CLOSE_S)):
                await self._resources.aclose()
        except TimeoutError:
            log.error("resources did not close in time")
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)


async def _as_coroutine(awaitable: Awaitable[object]) -> None:
    await awaitable


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are gone; errors on the way out are logged, not raised.

    Those that go on for longer than any of them needs to tidy up are cancelled again: a cancellation may have been
    swallowed (see `loops.end_if_cancelled`).
    """
    going: set[asyncio.Task[Any]] = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=_CANCEL_AGAIN_S)
    for task, outcome in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if (
            isinstance(outcome, Exception)
            and not isinstance(outcome, (asyncio.CancelledError,))
            and task.get_name() != "start"
        ):
            log.warning("task failed while stopping", task=task.get_name(), exc_info=outcome)
