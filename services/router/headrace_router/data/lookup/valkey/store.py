"""Valkey as the store of stored answers: one MGET for all that one turn of the loop asks for, at most two under way.

Answers to be kept gather for a moment: they are written after the answer that a caller waits for, and many at once.

A store that is late, hung or gone costs a request the timeout at most, and those after it nothing: they learn it at
once that there is no store until it answers again.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import hiredis
import structlog
from headrace_servicekit.loops import delay_s

from headrace_router.data.lookup.layers import OnValues
from headrace_router.data.lookup.metrics import Counts
from headrace_router.data.lookup.valkey.connection import Address, Command, Connection, Replies, StoreClock

log = structlog.get_logger()


MAX_UNDER_WAY = 2
MAX_GETS = 256
"""Look-ups in one MGET: the server serves no other command meanwhile."""
QUEUE_BYTES = 16 * 1024 * 1024
"""Of values to be written, above which more are dropped."""
WRITE_AFTER_S = 0.001
CONNECT_S = 1.0
PROBE_EVERY_S = 1.0
PROBE_S = 1.0
RECONNECT_S = 0.1
MAX_RECONNECT_S = 1.0
# The loop's own delay is not the store's: when the time is over, what has arrived meanwhile is read first.
LAST_LOOK_S = 0.001


class Valkey:
    """The store (`lookup.store.Store`). `run` keeps the connection; until it stands, nothing is found or kept.

    timeout_s: longest wait of a request. password: read at each connection; empty for none. changed: called with
    whether the store answers, at each change.
    """

    def __init__(
        self,
        address: Address,
        counts: Counts,
        clock: StoreClock,
        *,
        timeout_s: float,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
        password: Callable[[], str] = lambda: "",
        changed: Callable[[bool, str], object] = lambda ready, reason: None,
    ) -> None:
        self._address, self._password, self._counts, self._clock = address, password, counts, clock
        self._timeout_s = timeout_s
        self._loop, self._rng, self._changed = loop, rng, changed
        self._connection: Connection | None = None
        self._wanted: list[Get] = []
        self._asked: list[Mget] = []
        self._late = False
        self._writes: deque[Command] = deque()
        self._write_bytes = 0
        self._turn_ends = self._write_due = False

    @property
    def answers(self) -> bool:
        """Return whether look-ups are sent at present."""
        return self._connection is not None and not self._late

    def now_ms(self) -> float:
        return self._clock.now_ms()

    def get(self, keys: tuple[bytes, ...], on_values: OnValues, *, patient: bool = False) -> None:
        if self._connection is None or (self._late and not patient):
            on_values(None)
            return
        self._wanted.append(Get(keys, on_values, patient))
        if not self._turn_ends:
            self._turn_ends = True
            self._loop.call_soon(self._turn_ended)

    def put(self, key: bytes, value: bytes, keep_ms: int) -> None:
        if self._connection is None or self._late or self._write_bytes + len(value) > QUEUE_BYTES:
            self._counts.dropped_writes += 1
            return
        self._writes.append(("SET", key, value, "PX", keep_ms))
        self._write_bytes += len(value)
        self._write_soon()

    def ask(self, command: Command, on_replies: Replies) -> bool:
        """Send a command of another kind; `on_replies` gets its reply, or None where the connection is lost.

        Return False where there is none. How long to wait for it is for the caller to say.
        """
        if self._connection is None:
            return False
        try:
            self._connection.send([command], on_replies)
        except ConnectionError:
            return False
        return True

    async def run(self) -> NoReturn:
        """Keep a connection to the store; never returns."""
        failures = 0
        while True:
            try:
                await self._session()
                reason = "the connection was lost"
            except Exception as error:  # whatever it is: predictions go on without a store, and it is tried again
                reason = str(error) or "it does not answer"
            if self._connection is not None or not failures:
                log.warning("no connection to the store of stored answers", host=self._address.host, reason=reason)
                self._changed(False, reason)
                failures = 0
            self._drop()
            failures += 1
            await asyncio.sleep(
                delay_s(
                    failures - 1,
                    every_s=RECONNECT_S,
                    max_backoff_s=MAX_RECONNECT_S,
                    jitter=0.2,
                    draw=self._rng.random(),
                )
            )

    async def _session(self) -> None:
        """Connect, and probe until the connection ends or the store does not answer in time."""
        address, lost = self._address, asyncio.Event()
        async with asyncio.timeout(CONNECT_S):
            _, connection = await self._loop.create_connection(
                lambda: Connection(lost.set), address.host, address.port, ssl=address.context()
            )
        try:
            async with asyncio.timeout(CONNECT_S):
                await connection.ask(*_greeting(address, self._password()))
                await self._read_clock(connection)
            self._connection = connection
            log.info("connected to the store of stored answers", host=address.host, port=address.port)
            self._changed(True, "")
            while not lost.is_set():
                try:
                    async with asyncio.timeout(PROBE_EVERY_S):
                        await lost.wait()
                except TimeoutError:
                    async with asyncio.timeout(PROBE_S):
                        await self._read_clock(connection)
        finally:
            connection.abort()

    async def _read_clock(self, connection: Connection) -> None:
        asked_at = self._loop.time()
        (reply,) = await connection.ask(("TIME",))
        self._clock.read(int(reply[0]) * 1000 + int(reply[1]) / 1000, asked_at, self._loop.time())

    def _drop(self) -> None:
        """Forget the connection and everything that waited for it."""
        self._connection, self._late = None, False
        self._writes.clear()
        self._write_bytes = 0
        asked, self._asked = self._asked, []
        wanted, self._wanted = self._wanted, []
        for one in (*asked, Mget(wanted)):
            one.settle(None)

    def _turn_ended(self) -> None:
        self._turn_ends = False
        self._ask()

    def _ask(self) -> None:
        """Send what is wanted as one MGET, unless two are under way: then it waits, and gathers more."""
        while self._wanted and len(self._asked) < MAX_UNDER_WAY and self._connection is not None:
            gets, self._wanted = self._wanted[:MAX_GETS], self._wanted[MAX_GETS:]
            ask = Mget(gets)
            try:
                self._connection.send([("MGET", *(key for get in gets for key in get.keys))], self._answer(ask))
            except ConnectionError:
                ask.settle(None)
                continue
            self._counts.mgets += 1
            self._asked.append(ask)
            ask.timer = self._loop.call_later(self._timeout_s, self._timed_out, ask)

    def _answer(self, ask: Mget) -> Callable[[list[Any] | None], None]:
        def answered(replies: list[Any] | None) -> None:
            if ask in self._asked:
                self._asked.remove(ask)
            values = None if replies is None else replies[0]
            if isinstance(values, hiredis.ReplyError):
                self._counts.store_errors += 1
                values = None
            if self._late and not any(one.released for one in self._asked):
                self._late = False
            ask.settle(values)
            self._ask()

        return answered

    def _timed_out(self, ask: Mget) -> None:
        ask.timer = self._loop.call_later(LAST_LOOK_S, self._release, ask)

    def _release(self, ask: Mget) -> None:
        """Let everybody go on without the store; it counts as down until it has answered what it was asked."""
        self._late = True
        self._counts.store_late += 1
        waiting = Mget(self._wanted)
        for one in (*self._asked, waiting):
            one.release()
        self._wanted = [get for get in waiting.gets if get.patient]

    def _write_soon(self) -> None:
        if not self._write_due:
            self._write_due = True
            self._loop.call_later(WRITE_AFTER_S, self._write)

    def _write(self) -> None:
        self._write_due = False
        connection, writes = self._connection, self._writes
        if not writes or connection is None or not connection.writable:
            return
        self._writes, self._write_bytes = deque(), 0
        try:
            connection.send(list(writes), self._written)
        except ConnectionError:
            self._counts.dropped_writes += len(writes)

    def _written(self, replies: list[Any] | None) -> None:
        errors = [reply for reply in replies or () if isinstance(reply, hiredis.ReplyError)]
        self._counts.store_errors += len(errors)
        if self._writes:
            self._write_soon()


def _greeting(address: Address, password: str) -> list[Command]:
    commands: list[Command] = []
    if password:
        commands.append(("AUTH", address.user or "default", password))
    commands.append(("SELECT", address.database))
    return commands


@dataclass(slots=True)
class Get:
    """What one request wants."""

    keys: tuple[bytes, ...]
    on_values: OnValues
    patient: bool


class Mget:
    """One MGET under way. gets: what is wanted of it, in its order; released: whether only the patient still wait."""

    __slots__ = ("gets", "released", "timer")

    def __init__(self, gets: list[Get]) -> None:
        self.gets = gets
        self.released = False
        self.timer: asyncio.TimerHandle | None = None

    def settle(self, values: Sequence[bytes | None] | None) -> None:
        """Give all waiting callers their values, or None when there are none."""
        if self.timer is not None:
            self.timer.cancel()
        at, gets = 0, self.gets
        self.gets = []
        for get in gets:
            if get.patient or not self.released:
                _deliver(get, None if values is None else values[at : at + len(get.keys)])
            at += len(get.keys)

    def release(self) -> None:
        """Tell those who are not patient that there is nothing."""
        if not self.released:
            self.released = True
            for get in self.gets:
                if not get.patient:
                    _deliver(get, None)


def _deliver(get: Get, values: Sequence[bytes | None] | None) -> None:
    try:
        get.on_values(values)
    except Exception:  # one that cannot take its values must not strand those behind it
        log.exception("stored answers not taken")
