"""Changing a version's stored answers: the change made durable, and the wait until data planes read by it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound
from headrace_servicekit.identity import model_not_found

from headrace_router.control.decisions.changes import kept_changed
from headrace_router.control.decisions.states import RouteState, Step
from headrace_router.control.decisions.stored_answers import (
    NOTHING,
    AnswerState,
    Precomputed,
    committed,
    purged,
    removed_up_to,
    reverted,
)
from headrace_router.control.routes.controller import Controller
from headrace_router.control.state.view import View
from headrace_router.control.state.waits import Waits
from headrace_router.control.storage.store import Request

log = structlog.get_logger()

TimeLeft = Callable[[], float | None]


class AnswerWriter:
    """Each method returns the state afterwards. All but `remove_precomputed` wait for connected data planes; the
    status of the route names those that are late.

    Raises NotFound, reason MODEL_NOT_FOUND or VERSION_NOT_FOUND, and Unavailable.
    """

    def __init__(self, view: View, controller: Controller, waits: Waits, clock: Clock) -> None:
        self._view, self._controller, self._waits, self._clock = view, controller, waits, clock

    def kept(self, model: str, digest: str) -> AnswerState:
        """Return the stored answers of a version of a model."""
        state = self._view.mirror.state(model)
        if state is None:
            raise model_not_found(model)
        return state.kept.get(digest, NOTHING)

    async def purge_cache(
        self, model: str, digest: str, time_left: TimeLeft, request: Request | None = None
    ) -> AnswerState:
        """Make every cached answer of a version void. Raises RequestUsed."""
        return await self._change(model, digest, purged, time_left, request)

    async def commit_precomputed(
        self, model: str, digest: str, new: Precomputed, *, expected: int, time_left: TimeLeft
    ) -> AnswerState:
        """Make a generation of precomputed answers the one that counts; nothing changes when it is already.

        expected: the generation that counted when its publish began; 0 for none. Raises Aborted, reason
        PUBLISH_OVERTAKEN.
        """
        return await self._change(model, digest, partial(committed, new=new, expected=expected), time_left)

    async def revert_precomputed(self, model: str, digest: str, *, expected: int, time_left: TimeLeft) -> AnswerState:
        """Make the generation before the present one count again, or none when there was none before.

        expected: the generation to give up; 0 for the one that counts. Raises PreconditionFailed, reason
        NOTHING_TO_REVERT, and Aborted, reason PUBLISH_OVERTAKEN, when another one counts.
        """
        return await self._change(model, digest, partial(reverted, expected=expected), time_left)

    async def remove_precomputed(self, model: str, digest: str, generation: int) -> AnswerState:
        """Let no revert go back to a generation or to one before it. Remove their answers only after this returned."""
        return await self._changed(model, digest, partial(removed_up_to, generation=generation), None)

    async def _change(
        self,
        model: str,
        digest: str,
        change: Callable[[AnswerState], AnswerState],
        time_left: TimeLeft,
        request: Request | None = None,
    ) -> AnswerState:
        kept = await self._changed(model, digest, change, request)
        await self.acknowledged(model, time_left)
        return kept

    async def acknowledged(self, model: str, time_left: TimeLeft) -> None:
        """Return when connected data planes have acknowledged what is in force, or soon in any case.

        Also when the table in force does not name the version that was changed: an older one, which a data plane may
        still serve, might.
        """
        state = self._view.mirror.state(model)
        if state is not None and state.active is not None:
            await self._waits.acknowledged(state.active.number, time_left())

    async def _changed(
        self, model: str, digest: str, change: Callable[[AnswerState], AnswerState], request: Request | None
    ) -> AnswerState:
        if self._view.mirror.state(model) is None:
            raise model_not_found(model)

        def decide(state: RouteState) -> Step:
            if digest not in state.registered.versions.values():
                raise NotFound(f"model '{model}' has no version with digest {digest}", reason="VERSION_NOT_FOUND")
            return kept_changed(state, digest, change, now=self._clock.now())

        # What was committed or reverted at another control plane a moment ago decides whether there is anything to do.
        await self._view.read()
        step = await self._controller.write(model, decide, request)
        kept = step.state.kept.get(digest, NOTHING)
        log.info(
            "stored answers changed",
            model=model,
            digest=digest,
            cache_epoch=kept.cache_epoch,
            precomputed_generation=kept.generation,
        )
        return kept
