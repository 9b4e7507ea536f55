"""Events that wait for delivery, in the database: written in the transaction of what they are about."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import structlog

from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.outbox import openlineage
from headrace_servicekit.outbox.events import Delivery, Event, Format, Receiver
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

log = structlog.get_logger()

_SQL = load_queries("headrace_servicekit.outbox.sql")

# Of one webhook. What comes when so much waits is dead at once: a receiver that is away for a day has missed the day.
MAX_WAITING = 10_000

# The first that waits of each topic and webhook, if its time has come: what comes after it waits for it. A number for
# each webhook ($4), none of those that are busy ($3).
_DUE = """state = 'waiting' and number in (
    select number from (
        select number, row_number() over (partition by webhook order by next_try, number) as place from (
            select distinct on (webhook, topic) number, webhook, next_try, claimed_until from deliveries
            where state = 'waiting' and not webhook = any($3::text[])
            order by webhook, topic, number
        ) as heads
        where next_try <= now() and (claimed_until is null or claimed_until <= now())
    ) as ranked where place <= $4)"""


class Notice(NamedTuple):
    """An event for webhooks: `once` of a topic, in the order of its topic. body: of the service."""

    webhook: str
    topic: str
    once: str
    body: str


async def enqueue(connection: Any, notices: Sequence[Notice]) -> int:
    """Write events, in the caller's transaction; safe to repeat. Return what found no room."""
    if not notices:
        return 0
    waiting = {row["webhook"]: row["count"] for row in await connection.fetch(_SQL["waiting"])}
    dropped = 0
    for one in notices:
        full = waiting.get(one.webhook, 0) >= MAX_WAITING
        if full:
            dropped += 1
            log.warning("too much waits for a webhook", webhook=one.webhook, topic=one.topic, once=one.once)
        else:
            waiting[one.webhook] = waiting.get(one.webhook, 0) + 1
        await connection.execute(_SQL["insert"], uuid.uuid4(), *one, "dead" if full else "waiting")
    return dropped


async def hurry(connection: Any, webhook: str) -> None:
    """Have what waits for a webhook tried at once, now that the webhook is another."""
    await connection.execute(_SQL["hurry"], webhook)


class Outbox:
    """Taking deliveries, and saying what became of them. Each of these is a transaction of its own.

    event_of: reads a row of `deliveries`, except those of lineage, which every service writes alike. hold: for how long
    a delivery is its taker's own.
    """

    def __init__(self, connections: Connections, event_of: Callable[[Any], Event], *, hold: timedelta) -> None:
        self._connections, self._event_of = connections, event_of
        self._claims = WorkClaims("deliveries", {"number": "bigint"}, due=_DUE, order="number", lease=hold)

    async def claim(self, busy: Iterable[str], *, per_webhook: int, most: int) -> list[Delivery]:
        """Take what is due, except of the webhooks that are `busy`. most: in all."""
        async with self._connections.transaction() as connection:
            rows = await self._claims.claim(connection, most, list(busy), per_webhook)
            found = await connection.fetch(_SQL["receivers"], [row["webhook"] for row in rows]) if rows else []
        receivers = {row["name"]: _receiver(row) for row in found}
        with self._connections.reading():
            taken = [self._delivery(row, receivers[row["webhook"]]) for row in rows]
        return sorted(taken, key=lambda delivery: delivery.number)

    async def delivered(self, delivery: Delivery) -> None:
        """Say that a webhook took a delivery."""
        await self._settle(delivery, "delivered")

    async def put_off(self, delivery: Delivery, pause: timedelta, problem: str) -> None:
        """Say that a delivery failed, and when it is tried again."""
        await self._settle(delivery, "put_off", pause, problem=problem)

    async def give_up(self, delivery: Delivery, problem: str) -> None:
        """Say that a delivery failed for good."""
        await self._settle(delivery, "give_up", problem=problem)

    async def waiting(self) -> int:
        """Return how many deliveries wait."""
        return await self._connections.repeatable(lambda connection: connection.fetchval(_SQL["waiting_in_all"]))

    def _delivery(self, row: Any, receiver: Receiver) -> Delivery:
        if receiver.format is Format.OPEN_LINEAGE:
            event = openlineage.event_of(row["id"], json.loads(row["body"]), row["create_time"])
        else:
            event = self._event_of(row)
        return Delivery(row["number"], receiver, event, row["claims"])

    async def _settle(self, delivery: Delivery, query: str, *arguments: Any, problem: str = "") -> None:
        name = delivery.receiver.name
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL[query], delivery.number, delivery.attempts, *arguments)
            if problem:
                await connection.execute(_SQL["failed"], name, problem)
            else:
                await connection.execute(_SQL["succeeded"], name)


def _receiver(row: Any) -> Receiver:
    return Receiver(row["name"], row["url"], row["secret"], Format(row["format"]))
