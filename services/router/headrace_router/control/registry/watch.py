"""Follows the registry: every model's state at the start, each change after it, across restarts and restores."""

from __future__ import annotations

from typing import Any

import grpc.aio
import structlog
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit.client import budget
from headrace_servicekit.clock import Clock
from headrace_servicekit.health import Health
from headrace_servicekit.peers import Peer

from headrace_router.control.messages import convert
from headrace_router.control.registry.news import Listing, RegistryNews
from headrace_router.control.state.waits import Waits

log = structlog.get_logger()

COMPONENT = "registry"
RETRY_S = 0.2
MAX_RETRY_S = 2.0
ASK_TIMEOUT_S = 1.0


class RegistryWatch:
    """`run` for as long as the control plane lives; `catch_up` before deciding on what a caller has just registered."""

    def __init__(self, channel: Any, news: RegistryNews, waits: Waits, health: Health, clock: Clock) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._news, self._waits, self._health = news, waits, health
        self._registry = Peer("registry", every_s=RETRY_S, max_backoff_s=MAX_RETRY_S, clock=clock)
        self._token = ""
        self._connected = False

    @property
    def connected(self) -> bool:
        """Return whether the registry is being followed at present."""
        return self._connected

    async def run(self) -> None:
        """Hold a watch for ever; while the registry is away, what it said last stays."""
        while True:
            reason = await self._registry.hold(self._watch, ended="the registry ended the watch")
            self._connected = False
            self._health.set(COMPONENT, False, reason)
            await self._registry.pause()

    async def catch_up(self, model: str, left_s: float | None) -> None:
        """Ask the registry how far a model is, and return when that is known here, or soon in any case.

        A caller who has just registered or promoted something expects it to count; without the registry what is known
        has to do.
        """
        try:
            answer = await self._stub.GetModel(
                registry_pb2.GetModelRequest(name=f"models/{model}"),
                timeout=budget(left_s, ASK_TIMEOUT_S),
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                log.info("could not ask the registry", model=model, reason=error.details())
            return
        await self._waits.known(model, answer.model.epoch, left_s)

    async def _watch(self) -> None:
        listed: set[str] = set()
        call = self._stub.WatchModels(registry_pb2.WatchModelsRequest(resume_token=self._token))
        try:
            # The registry sends nothing while nothing changes: headers say that it is there.
            await call.initial_metadata()
            if not call.done():
                self._note_connected()
            async for message in call:
                self._take(message, listed)
        finally:
            call.cancel()

    def _take(self, message: registry_pb2.WatchModelsResponse, listed: set[str]) -> None:
        if message.HasField("model"):
            registered = convert.registered_from_proto(message)
            if message.removed:
                self._news.removed(registered.model)
            else:
                listed.add(registered.model)
                self._news.seen(registered, convert.stored_versions(message))
        if message.snapshot_complete:
            self._news.listed(Listing(frozenset(listed), message.incarnation, self._is_gone))
            log.info("the registry's models are known", models=len(listed))
            listed.clear()
        if message.resume_token:
            self._token = message.resume_token

    async def _is_gone(self, model: str) -> bool:
        """Return whether the registry says that it does not know a model; without an answer it may still exist."""
        try:
            await self._stub.GetModel(registry_pb2.GetModelRequest(name=f"models/{model}"), timeout=ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.NOT_FOUND
        return False

    def _note_connected(self) -> None:
        if not self._connected:
            log.info("the registry is followed", resumed=bool(self._token))
        self._connected = True
        self._registry.well()
        self._health.set(COMPONENT, True)
