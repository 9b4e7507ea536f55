"""Removing answers that nobody reads, while somebody else takes a publish back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace_router.control.decisions.readiness import Held, Phase
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.stored_answers import Precomputed
from headrace_router.control.precomputed.decisions.places import Place
from headrace_router.control.precomputed.decisions.publishes import Publish, State
from headrace_router.control.precomputed.garbage_collection import GarbageCollector
from headrace_router.control.precomputed.limits import PublishLimits
from headrace_router.control.precomputed.metrics import PrecomputedMetrics
from headrace_servicekit.testing import FakeClock, eventually
from prometheus_client import CollectorRegistry

from tests.kit.router.control_planes import MODEL, STORED, VERSIONS, ControlPlane
from tests.kit.router.memory_store import MemoryStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Rows:
    """Publishes 1 and 2, of which the second counts, and reverts to the first have just ended.

    meanwhile: what happens while they are asked for.
    """

    def __init__(self, publishes: Sequence[Publish], meanwhile: Any) -> None:
        self.publishes, self._meanwhile = publishes, meanwhile

    async def kept(self) -> Sequence[Publish]:
        await self._meanwhile()
        return self.publishes

    async def closed_for(self, at_least: timedelta) -> frozenset[int]:
        return frozenset(one.generation for one in self.publishes if one.closed_at is not None)

    async def abandoned(self, after: timedelta) -> list[Publish]:
        return []

    async def former_incarnations(self) -> list[str]:
        return []

    async def removed(self, generations: Sequence[int]) -> None:
        pass

    async def former_removed(self, incarnations: Sequence[str]) -> None:
        pass


class Answers:
    """A store of answers that notes what is removed from it."""

    def __init__(self) -> None:
        self.removed: list[int] = []

    async def remove(self, places: Sequence[Place], prefixes: Sequence[bytes] = ()) -> AsyncIterator[int]:
        self.removed += [place.generation for place in places]
        yield 1

    async def marked(self, places: Sequence[Place]) -> list[bool]:
        return [True for _ in places]


async def removed_while(revert: bool) -> list[int]:
    """Return what is removed when reverts to the first publish have ended, as far as was known a moment ago."""
    clock = FakeClock()
    store = MemoryStore(clock)
    plane, other = ControlPlane(store, clock), ControlPlane(store, clock)
    plane.presence.report("default", "p1", "", {VERSIONS["v1"]: Held(Phase.READY)})
    plane.news.seen(Registered(MODEL, "one", 1, "v1", {}, VERSIONS), STORED)
    await plane.controller.turn()
    for number in (1, 2):
        await plane.answer_writer.commit_precomputed(
            MODEL, VERSIONS["v1"], Precomputed(number, NOW), expected=number - 1, time_left=lambda: 0.0
        )
    await other.view.read()

    async def meanwhile() -> None:
        if revert:
            await other.answer_writer.revert_precomputed(MODEL, VERSIONS["v1"], expected=2, time_left=lambda: 0.0)

    second = Publish(
        2, store.incarnation, MODEL, "v1", VERSIONS["v1"], State.COMMITTED, "", 1, 0, 1, 1, 1, "ana", NOW, None, NOW
    )
    first = replace(second, generation=1, expected=0, closed_at=NOW, closed_after=0)
    answers = Answers()
    tidy: Any = GarbageCollector(
        plane.view,
        Rows([first, second], meanwhile),  # type: ignore[arg-type]
        answers,  # type: ignore[arg-type]
        plane.answer_writer,
        None,  # type: ignore[arg-type]
        clock,
        PublishLimits(),
        PrecomputedMetrics(CollectorRegistry()),
    )
    tidying = asyncio.create_task(tidy.step())
    await eventually(lambda: answers.removed or tidying.done())
    await clock.advance(1.0)  # it pauses between the steps of a removal
    await tidying
    return answers.removed


async def test_answers_that_no_revert_returns_to_any_more_are_removed():
    assert await removed_while(revert=False) == [1]


async def test_answers_that_a_revert_has_just_returned_to_are_not_removed():
    assert await removed_while(revert=True) == []
