"""The data plane inside Envoy: `app` is the ASGI app that pyvoy's dynamic module loads.

Envoy gives it the predictions only, before anybody has looked at their tokens: those that are answered in parts as
ASGI, all others by the filter bridge. Everything else of the data plane (its gRPC, REST and metrics ports on loopback)
is as in a process of its own, on the same event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.health import serving
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.ports import PortUnavailable
from headrace_servicekit.runtime import Runtime, StartError
from headrace_servicekit.settings import SettingsError
from headrace_servicekit.watchdog import WatchedEndpoint

from headrace_router.data.answer.answer import Answer
from headrace_router.data.dependencies import BATCHERS
from headrace_router.data.identity.callers import Callers
from headrace_router.data.plane import DataPlane
from headrace_router.data.request.request import Call, ResolvedRequest
from headrace_router.data.service import start
from headrace_router.data.settings import DataSettings
from headrace_router.data.transports.envoy.bridged_answer import Answered
from headrace_router.data.transports.envoy.bridged_request import BridgedRequest
from headrace_router.data.transports.envoy.filter_bridge import FilterBridge, NotLoaded, opened
from headrace_router.data.transports.envoy.repeated_answers import RepeatedAnswers
from headrace_router.data.transports.envoy.rest_calls import packed_reply
from headrace_router.data.transports.envoy.settings import EdgeSettings
from headrace_router.data.transports.envoy.transport import EnvoyTransport, believed_callers, envoy_transport
from headrace_router.data.transports.envoy.unary_calls import refusal
from headrace_router.data.transports.rest.app import refuse
from headrace_router.data.transports.rest.disconnects import App, Receive, Scope, Send
from headrace_router.data.transports.rest.refusal import refused

log = structlog.get_logger()

# A data plane that failed is built again: Envoy keeps serving everything else meanwhile.
RESTART_S = 1.0
START_S = 10.0
# And so long it gets to hear of tables and batchers, before calls are let in all the same.
SETTLE_S = 1.5
# Requests that do not come whole are looked for so often.
GIVE_UP_S = 0.5


class EnvoyService:
    """The ASGI app. Envoy calls it in one thread, in which its event loop runs."""

    def __init__(self) -> None:
        self._app: App | None = None
        self._bridge: FilterBridge | None = None
        self._runtime: Runtime[DataSettings] | None = None
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        app = self._app
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif app is not None:
            await app(scope, receive, send)
        else:
            await refuse(send, [], scope["path"].encode(), _starting())

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            settings, edge = DataSettings.load().of_one_process(), EdgeSettings.load()
            bridge = self._bridge = FilterBridge(
                opened(edge.filter_bridge),
                _grpc_not_yet,
                _rest_not_yet,
                most_message_bytes=settings.max_message_bytes,
                most_unfinished=settings.max_concurrent_rpcs,
                behind_a_front_door=edge.behind_a_front_door,
            )
        except (SettingsError, NotLoaded) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        bridge.start()
        set_up_logs("router.data", level=settings.log_level, log_format=settings.log_format)
        started = asyncio.Event()
        life = asyncio.create_task(self._keep_serving(settings, edge, bridge, started), name="data plane")
        with contextlib.suppress(TimeoutError):  # Envoy's other routes do not wait any longer than that
            async with asyncio.timeout(START_S):
                await started.wait()
            async with asyncio.timeout(SETTLE_S):
                await self._settled()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._stopping = True
        bridge.stop()
        if self._runtime is not None:
            self._runtime.stop()
        await life
        await send({"type": "lifespan.shutdown.complete"})

    async def _settled(self) -> None:
        """Return when it would answer predictions: before, Envoy takes no connection that another one might have."""
        if self._runtime is not None and self._app is not None:
            await serving(self._runtime.health, "")
            await serving(self._runtime.health, BATCHERS)

    async def _keep_serving(
        self, settings: DataSettings, edge: EdgeSettings, bridge: FilterBridge, started: asyncio.Event
    ) -> None:
        async def begin(runtime: Runtime[DataSettings]) -> None:
            plane = await start(runtime)
            transport = await transport_of(runtime, edge, plane)
            if edge.repeat_answers_bytes:
                await runtime.enter(_repeating(runtime, bridge, plane, transport.callers, edge.repeat_answers_bytes))

            async def give_up() -> None:
                bridge.give_up(settings.max_deadline_s)

            runtime.every("give up", GIVE_UP_S, give_up)
            bridge.grpc, bridge.rest = transport.grpc.respond, transport.rest.respond
            bridge.identify, self._app = transport.callers.identify, transport.app

        while not self._stopping:
            self._runtime = runtime = Runtime("router.data", settings, endpoint=WatchedEndpoint)
            try:
                await runtime.serve(begin, started=started)
            except (PortUnavailable, StartError) as error:
                log.error("the data plane cannot start: it is tried again", problem=str(error))
            except Exception:
                log.exception("the data plane failed: it is built again")
            finally:
                self._app, bridge.grpc, bridge.rest = None, _grpc_not_yet, _rest_not_yet
                started.set()
            if not self._stopping:
                await asyncio.sleep(RESTART_S)


async def transport_of(runtime: Runtime[DataSettings], edge: EdgeSettings, plane: DataPlane) -> EnvoyTransport:
    """Return what answers predictions, once the keys of the issuer are known."""
    return envoy_transport(
        runtime,
        await believed_callers(runtime, edge),
        plane.predictor,
        plane.contexts,
        plane.paths,
        plane.events,
        behind_a_front_door=edge.behind_a_front_door,
    )


class _AnswerSources:
    """What a data plane and the callers of one transport know (`repeated_answers.Sources`)."""

    def __init__(self, plane: DataPlane, callers: Callers) -> None:
        self._plane, self._callers = plane, callers

    def fresh(self, resolved: ResolvedRequest, found: Answer) -> tuple[float, float]:
        return self._plane.lookup.fresh(resolved, found)

    def valid_for_s(self, authorization: bytes | None) -> float:
        return self._callers.valid_for_s(authorization)

    def lease(self, client: str, model: str, tokens: int) -> int:
        if any(over == client for over, _ in self._plane.budgets.over):
            return 0
        granted = self._callers.lease(client, tokens)
        limited = self._plane.rate_limits.lease(client, model, granted)
        self._callers.give_back(client, granted - limited)
        return limited

    def give_back(self, client: str, model: str, tokens: int) -> None:
        self._callers.give_back(client, tokens)
        self._plane.rate_limits.give_back(client, model, tokens)

    def note(self, resolved: ResolvedRequest, call: Call, found: Answer, ended: float) -> None:
        self._plane.lookup.note_repeated(found)
        self._plane.predictor.note_repeated(resolved, call, found, ended)

    def pass_over(self, requests: int) -> None:
        self._plane.contexts.pass_over(requests)
        self._plane.explanations.pass_over(requests)


@contextlib.asynccontextmanager
async def _repeating(
    runtime: Runtime[DataSettings], bridge: FilterBridge, plane: DataPlane, callers: Callers, most_bytes: int
) -> AsyncIterator[None]:
    """Have answers repeated by Envoy's workers, until nothing is answered any more."""
    repeated = RepeatedAnswers(
        bridge, _AnswerSources(plane, callers), asyncio.get_running_loop(), most_bytes=most_bytes
    )
    runtime.metrics.register(repeated)
    plane.watcher.tables.changing = callers.changing = repeated.forget
    plane.predictor.repeat_with(repeated.observe)
    try:
        yield
    finally:
        repeated.close()


def _starting() -> Unavailable:
    return Unavailable("the data plane is starting", reason="DATA_PLANE_STARTING", retry_after_s=1.0)


async def _grpc_not_yet(_request: BridgedRequest) -> Answered:
    return refusal(_starting(), [])


async def _rest_not_yet(request: BridgedRequest) -> Answered:
    return packed_reply(refused(request.path.encode("latin-1"), _starting()), [])


app = EnvoyService()
