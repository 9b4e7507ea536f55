"""Delivers what waits in the outbox: at least once, in order for each topic, no webhook held up by another."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import structlog

from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.outbox.backoff import pause
from headrace_servicekit.outbox.events import Delivery
from headrace_servicekit.outbox.formats import message
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.outbox.poster import Poster

log = structlog.get_logger()

POLL_S = 0.5
# In flight at a time from this process.
PER_WEBHOOK = 4
IN_ALL = 64


@dataclass(frozen=True, slots=True)
class Patience:
    """first_pause: before the second attempt. give_up_after: since the delivery was due."""

    first_pause: timedelta
    give_up_after: timedelta


class Deliveries:
    """Takes what is due and sends it. count: of attempts, by outcome: delivered, failed, dead."""

    def __init__(
        self, outbox: Outbox, poster: Poster, patience: Patience, clock: Clock, count: Callable[[str], None]
    ) -> None:
        self._outbox, self._poster, self._patience = outbox, poster, patience
        self._clock, self._count = clock, count
        self._rng = random.Random()
        self._in_flight: Counter[str] = Counter()
        self._sent = Wakeup()

    async def run(self) -> NoReturn:
        """Go on for ever."""
        async with asyncio.TaskGroup() as sending:
            while True:
                for delivery in await self._claimed():
                    self._in_flight[delivery.receiver.name] += 1
                    sending.create_task(self._send(delivery), name=f"deliver {delivery.number}")
                await self._sent.wait(POLL_S)
        raise AssertionError("unreachable")

    async def _claimed(self) -> list[Delivery]:
        room = IN_ALL - self._in_flight.total()
        if room <= 0:
            return []
        # A webhook with some in flight waits for them: their number is bounded without counting what each may add.
        busy = [name for name, number in self._in_flight.items() if number > 0]
        try:
            return await self._outbox.claim(busy, per_webhook=PER_WEBHOOK, most=room)
        except Unavailable as error:
            log.debug("nothing is delivered", problem=str(error))
            return []

    async def _send(self, delivery: Delivery) -> None:
        try:
            answer = await self._poster.post(
                delivery.receiver.url, message(delivery.event, delivery.receiver, self._clock.now())
            )
            if not answer.problem:
                await self._outbox.delivered(delivery)
                self._count("delivered")
                return
            await self._failed(delivery, answer.problem, answer.pause)
        except Unavailable:
            # It was sent perhaps, and comes again after the hold: receivers know it by its id.
            log.debug("what became of a delivery is not written", webhook=delivery.receiver.name)
        except Exception:
            # It alone is affected, and comes again; the others must go on.
            log.exception("delivery broke", delivery=str(delivery.event.id))
        finally:
            self._in_flight[delivery.receiver.name] -= 1
            self._sent.wake()

    async def _failed(self, delivery: Delivery, problem: str, asked: timedelta) -> None:
        fields = {"webhook": delivery.receiver.name, "delivery": str(delivery.event.id), "problem": problem}
        wait = max(pause(delivery.attempts, first=self._patience.first_pause, draw=self._rng.random()), asked)
        if self._clock.now() + wait - delivery.event.time > self._patience.give_up_after:
            await self._outbox.give_up(delivery, problem)
            self._count("dead")
            log.warning("delivery given up", **fields)
        else:
            await self._outbox.put_off(delivery, wait, problem)
            self._count("failed")
            log.info("delivery failed", again_in_s=round(wait.total_seconds(), 1), **fields)
