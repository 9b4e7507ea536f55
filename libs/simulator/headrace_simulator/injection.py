"""The faults that are set, and which of them each call meets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from headrace_simulator.decisions.faults import (
    FAULT,
    MAX_FAULTS,
    Fault,
    Operation,
    ScheduledFault,
    concerns,
    next_change_s,
    refuses_connections,
    scheduled,
    strikes,
)

log = structlog.get_logger()


class TooManyFaults(Exception):
    """There are as many as are kept."""


@dataclass(slots=True)
class InjectedFault:
    """A fault in its time. calls: of its model; hits: those that it affected. removed: set when a caller ended it."""

    scheduled: ScheduledFault
    calls: int = 0
    hits: int = 0
    removed: asyncio.Event = field(default_factory=asyncio.Event)

    async def over(self) -> None:
        """Wait until the fault has expired or was removed."""
        try:
            async with asyncio.timeout_at(self.scheduled.ends_s):
                await self.removed.wait()
        except TimeoutError:
            pass


class Injection:
    """Faults by name, on the clock of the event loop. changed: called when what is in force may be another."""

    def __init__(self, now: Callable[[], float], changed: Callable[[], object] = lambda: None) -> None:
        self._now = now
        self._changed = changed
        self._faults: dict[str, InjectedFault] = {}

    def put(self, name: str, fault: Fault) -> None:
        """Set a fault from now on, in the place of one of that name. Raises TooManyFaults."""
        self._forget_ended()
        if name not in self._faults and len(self._faults) >= MAX_FAULTS:
            raise TooManyFaults(f"{MAX_FAULTS} faults are set, which is the most: clear some")
        self._end(name)
        self._faults[name] = InjectedFault(scheduled(name, fault, self._now()))
        log.info("fault set", fault=name, **fault.model_dump(exclude_none=True, mode="json"))
        self._changed()

    def remove(self, name: str) -> bool:
        """End a fault; return whether there was one."""
        ended = self._end(name)
        self._changed()
        return ended

    def clear(self) -> None:
        """End all faults."""
        for name in list(self._faults):
            self._end(name)
        self._changed()

    def meet(self, operation: Operation, model: str = "") -> list[InjectedFault]:
        """Return the faults that a call meets, and count it."""
        met, now = [], self._now()
        for one in self._faults.values():
            if one.scheduled.active(now) and concerns(one.scheduled.fault, operation, model):
                one.calls += 1
                if strikes(one.scheduled.fault, one.calls - 1):
                    one.hits += 1
                    met.append(one)
        return met

    @property
    def refuses_connections(self) -> bool:
        """Return whether the port is closed now."""
        return refuses_connections(self._scheduled, self._now())

    @property
    def next_change_s(self) -> float:
        """Return when the next fault begins or ends by itself, on the clock; infinite for never."""
        return next_change_s(self._scheduled, self._now())

    def listing(self) -> list[Mapping[str, Any]]:
        """Return every fault that has not ended, as it was set and as it is: for people and programs."""
        self._forget_ended()
        now = self._now()
        return [
            {
                "name": name,
                **FAULT.dump_python(one.scheduled.fault, mode="json", exclude_none=True),
                "active": one.scheduled.active(now),
                "ends_in_s": None if one.scheduled.fault.for_s is None else round(one.scheduled.ends_s - now, 3),
                "calls": one.calls,
                "hits": one.hits,
            }
            for name, one in self._faults.items()
        ]

    @property
    def _scheduled(self) -> list[ScheduledFault]:
        return [one.scheduled for one in self._faults.values()]

    def _forget_ended(self) -> None:
        now = self._now()
        for name in [name for name, one in self._faults.items() if one.scheduled.ends_s <= now]:
            self._end(name)

    def _end(self, name: str) -> bool:
        one = self._faults.pop(name, None)
        if one is None:
            return False
        one.removed.set()
        log.info("fault ended", fault=name, hits=one.hits)
        return True
