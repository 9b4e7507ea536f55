"""The data plane inside Envoy: the ASGI app that pyvoy's dynamic module loads, `headrace_router.data.hosts.edge:app`.

Envoy gives it the predictions only, before anybody has looked at their tokens. Everything else of the data plane (its
gRPC, REST and metrics ports on loopback) is as in a process of its own, on the same event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from headrace_servicekit.errors import Unauthenticated, Unavailable
from headrace_servicekit.health import serving
from headrace_servicekit.identity import Identity
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.loops import periodic
from headrace_servicekit.ports import PortUnavailable
from headrace_servicekit.runtime import Runtime, StartError
from headrace_servicekit.settings import SettingsError
from headrace_servicekit.watchdog import WatchedEndpoint

from headrace_router.data.__main__ import BATCHERS, Faces, start
from headrace_router.data.hosts import asgi, grpc_asgi
from headrace_router.data.hosts.edge_settings import EdgeSettings
from headrace_router.data.hosts.exchange import Receive, Scope, Send
from headrace_router.data.hosts.framing import PREFIX_BYTES
from headrace_router.data.hosts.grpc_asgi import Request
from headrace_router.data.hosts.handover import Handover, NotLoaded
from headrace_router.data.hosts.methods import predicting_methods
from headrace_router.data.hosts.presence import SWEEP_S, Announced, Swept
from headrace_router.data.identity.callers import Callers
from headrace_router.data.identity.files import IdentityFiles
from headrace_router.data.identity.tokens import Rules
from headrace_router.data.settings import DataSettings

log = structlog.get_logger()

SCOPE = "predict"
CONNECTION_HEADER = b"x-headrace-connection"
# A data plane that failed is built again: Envoy, and what else it serves, goes on meanwhile.
RESTART_S = 1.0
START_S = 10.0
# And so long it gets to hear of tables and batchers, before calls are let in all the same.
SETTLE_S = 1.5

# Requests that do not come whole are looked for so often.
GIVE_UP_S = 0.5

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Edge:
    """The ASGI app. Envoy calls it in one thread, in which its event loop runs."""

    def __init__(self) -> None:
        self._serving: App | None = None
        self._handover: Handover | None = None
        self._runtime: Runtime[DataSettings] | None = None
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        serving = self._serving
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif serving is not None:
            await serving(scope, receive, send)
        else:
            await _refuse(scope, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            settings, edge = DataSettings.load().of_one_process(), EdgeSettings.load()
            if edge.handover is not None:
                self._handover = self._handed_over(edge.handover, settings)
        except (SettingsError, NotLoaded) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        set_up_logs("router.data", level=settings.log_level, log_format=settings.log_format)
        started = asyncio.Event()
        life = asyncio.create_task(self._keep_serving(settings, edge, started), name="data plane")
        with contextlib.suppress(TimeoutError):  # Envoy's other routes do not wait any longer than that
            await asyncio.wait_for(started.wait(), START_S)
            await asyncio.wait_for(self._settled(), SETTLE_S)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._stopping = True
        if self._handover is not None:
            self._handover.stop()
        if self._runtime is not None:
            self._runtime.stop()
        await life
        await send({"type": "lifespan.shutdown.complete"})

    def _handed_over(self, module: Path, settings: DataSettings) -> Handover:
        """Begin to take gRPC's requests from the filter. Raises NotLoaded."""
        handover = Handover(
            module,
            _not_yet,
            most_body_bytes=settings.max_message_bytes + PREFIX_BYTES,
            most_unfinished=settings.max_concurrent_rpcs,
        )
        handover.start()
        return handover

    async def _settled(self) -> None:
        """Return when it would answer predictions: before, Envoy takes no connection that another one might have."""
        if self._runtime is not None and self._serving is not None:
            await serving(self._runtime.health, "")
            await serving(self._runtime.health, BATCHERS)

    async def _keep_serving(self, settings: DataSettings, edge: EdgeSettings, started: asyncio.Event) -> None:
        while not self._stopping:
            self._runtime = runtime = Runtime("router.data", settings, endpoint=WatchedEndpoint)

            async def begin(runtime: Runtime[DataSettings]) -> None:
                self._serving = await self.app(runtime, edge, await start(runtime))

            try:
                await runtime.serve(begin, started=started)
            except (PortUnavailable, StartError) as error:
                log.error("the data plane cannot start: it is tried again", problem=str(error))
            except Exception:
                log.exception("the data plane failed: it is built again")
            finally:
                self._serving = None
                if self._handover is not None:
                    self._handover.respond = _not_yet
                started.set()
            if not self._stopping:
                await asyncio.sleep(RESTART_S)

    async def app(self, runtime: Runtime[DataSettings], edge: EdgeSettings, faces: Faces) -> App:
        """Return the app for the faces, once it is known whom to believe."""
        settings, loop = runtime.settings, asyncio.get_running_loop()
        callers = Callers(
            Rules(edge.issuer, edge.audience, edge.token_max_lifetime_s, edge.token_clock_skew_s),
            requests_per_second=edge.client_requests_per_second,
            wall=time.time,
            now=loop.time,
        )
        files = IdentityFiles(edge.jwks_file, edge.deny_file, callers)
        await files.read()
        runtime.loop("follow identities", lambda: periodic("follow identities", files.follow, every_s=edge.poll_s))
        presence = Swept()
        runtime.loop("sweep", lambda: periodic("sweep", presence.sweep, every_s=SWEEP_S))

        if (handover := self._handover) is not None:

            async def give_up() -> None:
                handover.give_up(settings.max_deadline_s)

            runtime.loop("give up", lambda: periodic("give up", give_up, every_s=GIVE_UP_S))

        connection = connection_behind if edge.behind_a_front_door else connection_here

        def identify(scope: Scope) -> Identity:
            return callers.identify(authorization_of(scope), SCOPE, lambda: connection(scope))

        methods = predicting_methods(faces.predictor)
        grpc = grpc_asgi.GrpcApp(
            methods,
            faces.arrivals,
            presence if self._handover is None else Announced(),
            identify=identify,
            refused=faces.predictor.refused,
            max_message_bytes=settings.max_message_bytes,
            max_active=settings.max_concurrent_rpcs,
        )
        rest = asgi.RestHost(
            faces.predictor,
            faces.arrivals,
            faces.paths,
            max_body_bytes=settings.max_message_bytes,
            max_active=settings.max_concurrent_rpcs,
            ready=lambda: runtime.health.ready,
            presence=presence,
            identify=identify,
        )
        if self._handover is not None:
            self._handover.respond = grpc.respond
            self._handover.identify = lambda request: callers.identify(
                request.authorization,
                SCOPE,
                lambda: request.told_connection if edge.behind_a_front_door else request.connection,
            )
        of_grpc = frozenset(f"/{method}" for method in methods)
        return lambda scope, receive, send: (grpc if scope["path"] in of_grpc else rest)(scope, receive, send)


def authorization_of(scope: Scope) -> bytes | None:
    """Return the authorization header, None without one. Raises Unauthenticated for two."""
    found = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise Unauthenticated("header authorization is repeated", reason="TOKEN_INVALID")
            found = value
    return found


def connection_here(scope: Scope) -> object:
    """Return what tells the caller's connection from others: its address and port."""
    return scope["client"]


def connection_behind(scope: Scope) -> object:
    """Return the same for a request that came through a front door, on whose connection are those of many callers."""
    return next((value for name, value in scope["headers"] if name == CONNECTION_HEADER), None)


def _starting() -> Unavailable:
    return Unavailable("the data plane is starting", reason="DATA_PLANE_STARTING", retry_after_s=1.0)


async def _not_yet(_request: Request) -> grpc_asgi.Answered:
    return grpc_asgi.refusal(_starting(), [])


async def _refuse(scope: Scope, send: Send) -> None:
    error = _starting()
    is_grpc = any(name == b"content-type" and value.startswith(b"application/grpc") for name, value in scope["headers"])
    if is_grpc:
        await grpc_asgi.refuse(send, error)
    else:
        await asgi.refuse(send, [], scope["path"].encode(), error)


app = Edge()
