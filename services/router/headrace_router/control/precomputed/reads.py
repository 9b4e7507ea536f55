"""The precomputed answers of a model's versions, and whether they can be served."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import ServiceError, Unavailable
from headrace_servicekit.identity import model_not_found

from headrace_router.control.decisions.states import RouteState
from headrace_router.control.decisions.stored_answers import AnswerState, Precomputed
from headrace_router.control.precomputed.decisions.places import Place
from headrace_router.control.precomputed.decisions.publishes import Answers, Publish, State, condition_of, place_of
from headrace_router.control.precomputed.postgres import PublishRows
from headrace_router.control.precomputed.valkey import AnswerStore
from headrace_router.control.routes.writes import CatchUp
from headrace_router.control.state.view import View

# A look at the conditions does not wait longer for the store.
LOOK_WITHIN_S = 2.0


class PublishReader:
    """Reads the database and the store of answers; without the store it says what is known."""

    def __init__(self, view: View, rows: PublishRows, answers: AnswerStore, clock: Clock, catch_up: CatchUp) -> None:
        self._view, self._rows, self._answers = view, rows, answers
        self._clock, self._catch_up = clock, catch_up

    async def of_model(self, model: str, left_s: float | None = None) -> list[Answers]:
        """Return the generations of each version that has, or had, precomputed answers."""
        await self._view.read()
        state = await self.known(model, left_s)
        publishes = await self._rows.kept(model)
        incarnation = self._view.mirror.incarnation
        ours = [one for one in publishes if one.incarnation == incarnation and one.state is State.OPEN]
        # All at once: a store that hangs is waited for once, however many publishes are open.
        open_ones = asyncio.gather(*(self.as_stored(one, lenient=True) for one in ours))
        marked, open_ones = await asyncio.gather(self._marked(state), open_ones)
        found = []
        for version, digest in sorted(state.registered.versions.items()):
            kept = state.kept.get(digest)
            opened = tuple(one for one in open_ones if one.version == version)
            if (kept is None or not kept.newest) and not opened:
                continue
            kept = kept or AnswerState()
            found.append(
                Answers(
                    version,
                    condition_of(kept, marked, self._clock.now()),
                    await self._row_of(kept.precomputed),
                    await self._row_of(kept.previous),
                    opened,
                )
            )
        return found

    async def as_stored(self, publish: Publish, *, lenient: bool = False) -> Publish:
        """Return an open publish with its stored rows. lenient: as noted last when the store does not answer."""
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                progress = await self._answers.progress(place_of(publish))
        except (ServiceError, TimeoutError) as error:
            if lenient:
                return publish
            raise Unavailable(
                "the store of cached answers does not respond", reason="STORE_UNAVAILABLE", retry_after_s=0.5
            ) from error
        return replace(publish, rows=progress.rows if progress else 0, entities=progress.entities if progress else 0)

    async def known(self, model: str, left_s: float | None) -> RouteState:
        """Return the state of a model; one that is not known here may have been registered a moment ago."""
        if self._view.mirror.state(model) is None:
            await self._catch_up(model, left_s)
        state = self._view.mirror.state(model)
        if state is None:
            raise model_not_found(model)
        return state

    async def _marked(self, state: RouteState) -> frozenset[int] | None:
        """Return the generations in force that are whole; None when the store cannot be asked."""
        incarnation = self._view.mirror.incarnation
        places = [Place(incarnation, digest, kept.generation) for digest, kept in state.kept.items() if kept.generation]
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                marks = await self._answers.marked(places)
        except (ServiceError, TimeoutError):
            return None
        return frozenset(place.generation for place, mark in zip(places, marks, strict=True) if mark)

    async def _row_of(self, precomputed: Precomputed | None) -> Publish | None:
        """Return the publish of a generation in force. What a route's state says of it counts."""
        publish = await self._rows.get(precomputed.generation) if precomputed is not None else None
        if precomputed is None or publish is None:
            return None
        return replace(
            publish,
            state=State.COMMITTED,
            committed_at=precomputed.committed_at,
            expires_at=precomputed.expires_at,
        )
