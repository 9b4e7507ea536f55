"""Waiting for what was asked: the outcome of a change, an epoch of the registry, acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Aborted, DeadlineExceeded, PreconditionFailed

from headrace_router.control.decisions.acks import connected
from headrace_router.control.decisions.states import Outcome
from headrace_router.control.decisions.status import Status
from headrace_router.control.state.view import View
from headrace_router.control.storage.store import ChangeRecord, Store

T = TypeVar("T")

# How long a model that the registry has just made may take to be known here.
KNOWN_WITHIN_S = 2.0
# A write's own timeout ends it; the wait only has to be longer.
_SLACK_S = 10.0


class Waits:
    """Waits on changes of the view; each is bounded by the caller's deadline."""

    def __init__(self, view: View, store: Store, clock: Clock) -> None:
        self._view, self._store, self._clock = view, store, clock

    async def outcome(self, model: str, change: UUID, left_s: float | None) -> ChangeRecord:
        """Return a change that took effect.

        Raises PreconditionFailed, reason VERSION_NOT_READY, when it was dropped; Aborted, reason SUPERSEDED; and
        DeadlineExceeded, reason CHANGE_PENDING, when the caller's time is used up first: the change keeps waiting.
        """
        limit_s = self._view.timing.limits.ready_timeout.total_seconds() + _SLACK_S
        waits_no_more = await self._until(lambda: not self._pending(model, change), limit_s, left_s)
        record = await self._store.change(change) if waits_no_more else None
        if record is None or record.outcome is None:
            state = self._view.mirror.state(model)
            reason = self._view.status(state).reason if state is not None else ""
            raise DeadlineExceeded(f"the change waits still: {reason}", reason="CHANGE_PENDING")
        if record.outcome is Outcome.NOT_READY:
            raise PreconditionFailed(
                f"dropped, traffic stays where it is: {record.outcome_reason}", reason="VERSION_NOT_READY"
            )
        if record.outcome is Outcome.SUPERSEDED:
            raise Aborted(f"superseded: {record.outcome_reason}", reason="SUPERSEDED")
        return record

    async def epoch(self, model: str, epoch: int, left_s: float | None) -> Status:
        """Return the status of a route once it serves what the registry said at an epoch.

        Raises PreconditionFailed, reason VERSION_NOT_READY; the change stays wanted.
        """

        def reached() -> bool:
            state = self._view.mirror.state(model)
            return state is not None and state.active is not None and state.active.epoch >= epoch

        limit_s = self._view.timing.limits.ready_timeout.total_seconds()
        if not await self._until(reached, limit_s, left_s):
            raise PreconditionFailed(self._why_not(model, epoch), reason="VERSION_NOT_READY")
        state = self._view.mirror.state(model)
        assert state is not None
        return self._view.status(state)

    async def known(self, model: str, epoch: int, left_s: float | None) -> None:
        """Return when the model is known here at that epoch, or soon in any case."""

        def seen() -> bool:
            state = self._view.mirror.state(model)
            return state is not None and state.registered.epoch >= epoch

        await self._until(seen, KNOWN_WITHIN_S, left_s)

    async def acknowledged(self, generation: int, left_s: float | None) -> None:
        """Return when every connected data plane has acknowledged a generation, or soon in any case."""

        def all_have() -> bool:
            now, watching = self._clock.now(), self._view.tables.watching
            return all(
                plane.acknowledged >= generation
                for plane in self._view.mirror.planes.values()
                if connected(plane, watching, now)
            )

        await self._until(all_have, self._view.timing.acknowledge_wait.total_seconds(), left_s)

    def _pending(self, model: str, change: UUID) -> bool:
        state = self._view.mirror.state(model)
        return state is not None and state.pending is not None and state.pending.id == change

    def _why_not(self, model: str, epoch: int) -> str:
        state = self._view.mirror.state(model)
        if state is None or state.registered.epoch < epoch:
            return f"epoch {epoch} of '{model}' has not arrived from the registry yet"
        reason = self._view.status(state).reason
        return f"what epoch {epoch} of '{model}' says is wanted and does not serve yet: {reason}"

    async def _until(self, condition: Callable[[], bool], limit_s: float, left_s: float | None) -> bool:
        """Return whether the condition came to hold in time; answers in time for the caller to hear it."""
        limit_s = limit_s if left_s is None else min(limit_s, left_s - min(0.1, left_s / 10))
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    count = self._view.changed.count
                    if condition():
                        return True
                    await self._view.changed.after(count)
        except TimeoutError:
            return condition()
