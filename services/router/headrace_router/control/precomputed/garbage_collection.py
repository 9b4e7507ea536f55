"""Garbage collection: abandons publishes without a publisher, removes generations without a reader, detects losses.

Any number of control planes may do it at once: every step may be repeated, and none removes what a route's state names.
"""

from __future__ import annotations

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, ServiceError, Unavailable

from headrace_router.control.decisions.acks import oldest_in_use, remembered_since
from headrace_router.control.decisions.stored_answers import AnswerState
from headrace_router.control.precomputed.decisions.places import Place
from headrace_router.control.precomputed.decisions.publishes import (
    Condition,
    Publish,
    condition_of,
    place_of,
    plan_sweep,
)
from headrace_router.control.precomputed.limits import PublishLimits
from headrace_router.control.precomputed.metrics import PrecomputedMetrics
from headrace_router.control.precomputed.postgres import PublishRows
from headrace_router.control.precomputed.publications import Publishing
from headrace_router.control.precomputed.valkey import AnswerStore
from headrace_router.control.routes.stored_answers import AnswerWriter
from headrace_router.control.state.view import View

log = structlog.get_logger()

# Between two steps of a removal, each of which takes Valkey about a millisecond.
PAUSE_S = 0.01


class GarbageCollector:
    """`step` again and again."""

    def __init__(
        self,
        view: View,
        rows: PublishRows,
        answers: AnswerStore,
        answer_writer: AnswerWriter,
        publishing: Publishing,
        clock: Clock,
        limits: PublishLimits,
        metrics: PrecomputedMetrics,
    ) -> None:
        self._view, self._rows, self._answers = view, rows, answers
        self._answer_writer, self._publishing, self._clock = answer_writer, publishing, clock
        self._limits, self._metrics = limits, metrics
        self._lost: frozenset[int] = frozenset()

    async def step(self) -> None:
        """Do once all that is to be done now. Raises Unavailable."""
        if not self._view.mirror.loaded:
            return
        await self._view.read()
        await self._give_up_abandoned()
        publishes = {one.generation: one for one in await self._rows.kept()}
        kept = self._kept()
        newest = self._view.mirror.newest_generation
        now = self._clock.now()
        since = remembered_since(now, self._view.timing.forget_after)
        oldest = oldest_in_use(self._view.mirror.planes.values(), since)
        todo = plan_sweep(
            publishes.values(),
            kept,
            incarnation=self._view.mirror.incarnation,
            oldest_in_use=newest if oldest is None else oldest,
            settled=await self._rows.closed_for(self._limits.settle),
            past_revert=await self._rows.closed_for(self._limits.revert),
            expired_before=now - self._limits.clocks_differ,
        )
        for number in todo.committed:
            await self._note_committed(publishes[number], kept)
        if todo.closed:
            await self._rows.close(todo.closed, newest)
        if todo.reopened:
            await self._rows.reopen(todo.reopened)
        await self._remove([publishes[number] for number in todo.removable], kept)
        await self._look_for_losses(kept)

    def _kept(self) -> dict[tuple[str, str], AnswerState]:
        return {
            (state.model, digest): kept
            for state in self._view.mirror.states()
            for digest, kept in state.kept.items()
            if digest in state.registered.versions.values()
        }

    async def _give_up_abandoned(self) -> None:
        silent_s = self._limits.abandoned.total_seconds()
        for publish in await self._rows.abandoned(self._limits.abandoned):
            try:
                await self._publishing.abort(publish, f"nothing was added to it for {silent_s:g} s")
            except NotFound:  # the model is gone
                await self._rows.abort(publish.generation, "the model was removed")
            except Unavailable:
                raise
            except ServiceError as error:
                log.info("publish not given up", publish=publish.name, reason=error.public_message)

    async def _note_committed(self, publish: Publish, kept: dict[tuple[str, str], AnswerState]) -> None:
        """Note what a control plane put in force and did not live to note."""
        state = kept[publish.model, publish.digest]
        for one in filter(None, (state.precomputed, *state.earlier)):
            if one.generation == publish.generation:
                await self._rows.commit(one.generation, one.committed_at, one.expires_at)

    async def _remove(self, doomed: list[Publish], kept: dict[tuple[str, str], AnswerState]) -> None:
        doomed = [publish for publish in doomed if await self._forgotten(publish, kept)]
        former = await self._rows.former_incarnations()
        if not doomed and not former:
            return
        removed = 0
        prefixes = [f"{kind}:{incarnation}:".encode() for incarnation in former for kind in ("p", "m", "u")]
        async for count in self._answers.remove([place_of(one) for one in doomed], prefixes):
            removed += count
            await self._clock.sleep(PAUSE_S)
        await self._rows.removed([one.generation for one in doomed])
        await self._rows.former_removed(former)
        self._metrics.removed(removed)
        log.info("precomputed answers removed", generations=[one.generation for one in doomed][:50], answers=removed)

    async def _forgotten(self, publish: Publish, kept: dict[tuple[str, str], AnswerState]) -> bool:
        """Return whether a publish may be removed: no revert goes back to it any more, and none has just now."""
        state = kept.get((publish.model, publish.digest))
        if state is None or all(one.generation != publish.generation for one in state.earlier):
            return True
        left = await self._answer_writer.remove_precomputed(publish.model, publish.digest, publish.generation)
        return left.generation != publish.generation

    async def _look_for_losses(self, kept: dict[tuple[str, str], AnswerState]) -> None:
        """Say once when answers in force are lost, and show how many versions that concerns."""
        incarnation, now = self._view.mirror.incarnation, self._clock.now()
        in_force = [(key, one) for key, one in kept.items() if one.generation]
        marks = await self._answers.marked(
            [Place(incarnation, digest, one.generation) for (_, digest), one in in_force]
        )
        marked = {one.generation for (_, one), mark in zip(in_force, marks, strict=True) if mark}
        lost = {
            one.generation: model for (model, _), one in in_force if condition_of(one, marked, now) is Condition.LOST
        }
        for generation in lost.keys() - self._lost:
            log.warning(
                "precomputed answers are lost: publish them again", model=lost[generation], generation=generation
            )
        self._lost = frozenset(lost)
        self._metrics.lost = len(lost)
