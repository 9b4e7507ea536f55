"""Whatever happens in whatever order: everybody is answered, nothing is too old, nothing is left over."""

from __future__ import annotations

import asyncio
import random

import pytest
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.answer.refusals import deadline_exceeded
from headrace_servicekit.errors import Code, ServiceError, Unavailable
from headrace_servicekit.testing import eventually

from tests.kit.router.fake_control import lookup
from tests.kit.router.lookup_bench import Bench

STEPS = 120
# So many unknown answers, and the store is not waited for by who is alone (`at_once.py`).
UNKNOWN = 59
TTL_S, REVALIDATE_S, ON_ERROR_S = 10, 5, 60


class Walk:
    """Random steps on a bench. A value tells which execution made it, so that its age is known here too."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.renews, self.skips = seed % 3 == 0, seed % 3 == 1
        policy = lookup(
            ttl=TTL_S,
            stale_while_revalidate=REVALIDATE_S if self.renews else 0,
            stale_on_error=0 if self.skips else ON_ERROR_S,
            key=self.rng.choice(("INPUTS", "ENTITY")),
        )
        generation = 0 if self.skips else 1
        self.bench = Bench(lookup=policy, memory_bytes=self.rng.choice((0, 2000, 1 << 20)), generation=generation)
        self.asked: list[tuple[asyncio.Task, float | None]] = []
        self.made: dict[bytes, float] = {}

    async def begin(self) -> None:
        """In half of the walks, have the store know nothing for so long that batchers are asked at once."""
        if self.rng.random() < 0.5:
            for number in range(UNKNOWN):
                await self.bench.fill(inputs=number.to_bytes(16, "big"), entity_id=str(number))

    async def step(self) -> None:
        rng, bench = self.rng, self.bench
        if self.skips:  # as if hardly anything had come back
            bench.resolved().variant.served.repetition.returning = rng.choice((0.0, 0.0, 1.0))
        what = rng.choice(
            ("ask", "ask", "ask", "leave", "answer", "answer", "fail", "blame", "hold", "release", "wait", "late")
        )
        if what == "ask":
            max_age_s = rng.choice((None, None, None, 0.0, 5.0))
            asked = bench.ask(
                inputs=bytes([rng.randrange(3)]) * 16, entity_id=rng.choice(("a", "b")), max_age_s=max_age_s,
                within_s=rng.choice((0.02, 60.0, 90.0)), user_id="ada",
            )  # fmt: skip
            self.asked.append((asked, max_age_s))
        elif what == "leave" and self.asked:
            rng.choice(self.asked)[0].cancel()
        elif what == "answer":
            self.answer()
        elif what == "fail":
            bench.fail(rng.choice((Unavailable("down", reason="NO_BACKEND"), deadline_exceeded())))
        elif what == "blame":
            bench.answer(code=3, reason="NAN_NOT_ALLOWED", blamed_input=1)
        elif what == "hold":
            bench.store.holds = True
        elif what == "release":
            bench.store.up = rng.random() < 0.8
            bench.store.release()
        elif what == "wait":
            bench.loop.ahead_s += rng.choice((0.5, 4.0, 11.0))
        else:
            await asyncio.sleep(0.006)
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)

    def answer(self) -> None:
        value = len(self.made).to_bytes(4, "little")
        self.made[value] = self.bench.loop.time()
        self.bench.answer(value)

    async def end(self) -> list:
        """Let everything come to its end, and return what became of those who asked."""
        self.bench.store.release()

        if not self.renews:  # then nothing goes on when everybody has left
            for asked, _ in self.asked:
                asked.cancel()

        async def over() -> bool:
            if self.renews:
                self.answer()
            await asyncio.sleep(0)
            return all(asked.done() for asked, _ in self.asked) and not len(self.bench.lookup.single_flight)

        await eventually(over, within=20)
        return await asyncio.gather(*(asked for asked, _ in self.asked), return_exceptions=True)


@pytest.mark.parametrize("seed", range(10))
async def test_everybody_is_answered_and_nothing_is_left_over(seed: int):
    walk = Walk(seed)
    await walk.begin()
    for _ in range(STEPS):
        await walk.step()
    outcomes = await walk.end()
    for (_, max_age_s), outcome in zip(walk.asked, outcomes, strict=True):
        if isinstance(outcome, asyncio.CancelledError):
            continue
        if isinstance(outcome, ServiceError):
            assert outcome.code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INVALID_ARGUMENT)
            continue
        assert not isinstance(outcome, BaseException), outcome
        bound_s = {
            ServedFrom.ONLINE: 0.0,
            ServedFrom.CACHE: TTL_S,
            ServedFrom.STALE: TTL_S + (ON_ERROR_S if outcome.degraded_reason else REVALIDATE_S),
        }[outcome.served_from]
        assert outcome.age_ms / 1000 <= (bound_s if max_age_s is None else min(bound_s, max_age_s))
    assert not walk.bench.online.works
    assert len(walk.bench.lookup.single_flight) == 0
    assert walk.bench.lookup.single_flight.watched == 0
