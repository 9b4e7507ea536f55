"""Follow the control plane: keep the tables up to date, acknowledge generations, save last-known-good snapshots."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import structlog
from headrace.router.v1 import control_pb2, control_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.health import Health
from headrace_servicekit.peers import Peer

from headrace_router.data.tables.last_known_good import LastKnownGood
from headrace_router.data.tables.tables import Tables

log = structlog.get_logger()

COMPONENT = "tables"
RETRY_S = 0.2
MAX_RETRY_S = 5.0
# Without news an acknowledgement is repeated, so that the control plane knows that this data plane lives.
HEARTBEAT_S = 30.0
CALL_TIMEOUT_S = 5.0
# How long a control plane may take to say its first word before the last-known-good tables have to do. What they name
# may have been removed since, and its removal acknowledged: they serve only when there is nothing newer to be had.
FIRST_WORD_S = 2.0
# Promotions may come in quick succession: the disk rests for so many times as long as a write took.
REST_PER_WRITE = 5.0
MAX_REST_S = 0.5
RETRY_WRITE_S = 5.0


class StaleSnapshot(ConnectionError):
    """The control plane that answered is behind what this data plane already serves."""


class Watcher:
    """The loops around `Tables`. Run `follow`, `acknowledge` and `save` for as long as the data plane lives."""

    def __init__(
        self, data_plane: str, channel: Any, last_known_good: LastKnownGood, health: Health, clock: Clock
    ) -> None:
        self.tables = Tables(drained=self._note)
        self._data_plane, self._last_known_good, self._health, self._clock = data_plane, last_known_good, health, clock
        self._stub = control_pb2_grpc.ControlServiceStub(channel)
        self._control = Peer("control", every_s=RETRY_S, max_backoff_s=MAX_RETRY_S, clock=clock)
        self._acknowledging = Peer(
            "control", every_s=RETRY_S, max_backoff_s=RETRY_S, clock=clock, call="acknowledgement"
        )
        self._changed = Wakeup()
        self._dirty = Wakeup()
        self.watching = False
        self._acknowledged = ("", 0)
        # Incarnation and generation below which no start of this data plane would serve: what the disk holds.
        self._kept = ("", 0)

    async def start(self) -> None:
        """Read the last-known-good snapshot, if there is one. It is served when the control plane does not answer."""
        messages = await asyncio.to_thread(self._last_known_good.read)
        if messages:
            self.tables.replace(messages)
            self.tables.loaded = False
            self._kept = (messages[-1].incarnation, messages[-1].newest_generation)
            log.info("last-known-good tables read", models=len(self.tables.by_model), generation=self._kept[1])

    async def follow(self) -> None:
        """Watch the control plane for ever; while it is away, the last tables stay in force."""
        timer = asyncio.get_running_loop().call_later(FIRST_WORD_S, self._make_do, "the control plane is silent")
        try:
            await self._follow()
        finally:
            timer.cancel()

    async def _follow(self) -> None:
        while True:
            reason = await self._control.hold(self._watch, ended="the control plane ended the watch")
            self.watching = False
            self._make_do(reason)
            await self._control.pause()

    def _make_do(self, reason: str) -> None:
        """Serve what there is, for want of a control plane that says anything newer."""
        if self.watching:
            return
        if self._kept[0] and not self.tables.loaded:
            log.warning("the last-known-good tables serve", generation=self.tables.newest_generation, reason=reason)
            self.tables.loaded = True
        loaded = self.tables.loaded
        self._health.set(COMPONENT, loaded, f"{'the last-known-good tables' if loaded else 'none yet'}; {reason}")

    async def acknowledge(self) -> None:
        """Say how far this data plane is, whenever that grows, and now and then without news."""
        while True:
            if self.watching:
                await self._acknowledge()
            if not await self._changed.wait(HEARTBEAT_S):
                self._acknowledged = ("", 0)

    async def save(self) -> None:
        """Write the tables to disk after each change: only what is there is acknowledged, or a start would undo it."""
        written = True
        while True:
            await self._dirty.wait(math.inf if written else RETRY_WRITE_S)
            messages, began = self.tables.messages(), self._clock.monotonic()
            written = await asyncio.to_thread(self._write, messages)
            # Without room for the new tables the old ones go: to have none is better than to have what was removed.
            if written or await asyncio.to_thread(self._last_known_good.forget):
                self._kept = (messages[-1].incarnation, messages[-1].newest_generation)
                self._note()
            took_s = self._clock.monotonic() - began
            await self._clock.sleep(min(REST_PER_WRITE * took_s, MAX_REST_S))

    def _write(self, messages: list[control_pb2.WatchTablesResponse]) -> bool:
        try:
            self._last_known_good.write(messages)
        except (OSError, ValueError) as error:
            log.error("last-known-good tables not written", path=str(self._last_known_good.path), reason=str(error))
            return False
        return True

    async def _watch(self) -> None:
        """Hold one watch until it ends. Raises what the connection or a message of nonsense does, StaleSnapshot."""
        snapshot: list[control_pb2.WatchTablesResponse] = []
        whole = False
        call = self._stub.WatchTables(control_pb2.WatchTablesRequest(data_plane=self._data_plane))
        try:
            async for message in call:
                if whole and message.incarnation == self.tables.incarnation:
                    self.tables.change(message)
                    self._taken()
                    continue
                if whole:  # another store has taken over: its snapshot is what counts
                    return
                snapshot.append(message)
                if message.snapshot_complete:
                    self._take_snapshot(snapshot)
                    snapshot, whole = [], True
        finally:
            call.cancel()

    def _take_snapshot(self, snapshot: list[control_pb2.WatchTablesResponse]) -> None:
        if not self.tables.replace(snapshot):
            newest = snapshot[-1].newest_generation
            raise StaleSnapshot(f"a snapshot of generation {newest}, older than {self.tables.newest_generation}")
        self.watching = True
        self._control.well()
        log.info("tables are watched", models=len(self.tables.by_model), generation=self.tables.newest_generation)
        self._health.set(COMPONENT, True)
        self._taken()

    def _taken(self) -> None:
        self._dirty.wake()
        self._note()

    def _note(self) -> None:
        self._changed.wake()

    async def _acknowledge(self) -> None:
        incarnation, generation = self._kept
        reached = (incarnation, min(generation, self.tables.acknowledgeable()))
        if incarnation != self.tables.incarnation or reached == self._acknowledged:
            return
        request = control_pb2.AcknowledgeGenerationsRequest(
            data_plane=self._data_plane, incarnation=reached[0], generation=reached[1]
        )
        if await self._acknowledging.call(lambda: self._stub.AcknowledgeGenerations(request, timeout=CALL_TIMEOUT_S)):
            self._acknowledged = reached
        else:
            await self._clock.sleep(RETRY_S)
            self._changed.wake()
