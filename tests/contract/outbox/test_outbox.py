"""What waits for webhooks: written with what it tells of, taken by one at a time, in order, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib import resources
from typing import Any

import pytest
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.outbox.deliveries import Deliveries, Patience
from headrace_servicekit.outbox.events import Delivery, Event
from headrace_servicekit.outbox.outbox import MAX_WAITING, Notice, Outbox, enqueue, hurry
from headrace_servicekit.outbox.poster import Answer
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.testing import eventually

HOLD = timedelta(minutes=5)
SECRET = "a key of sixteen or more"


def event_of(row: Any) -> Event:
    said = row["body"]
    return Event(row["id"], "/toy", "toy.said", row["topic"], row["create_time"], {"said": said}, "", "", said, "")


class Rig:
    """An outbox, and what came of its deliveries."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.outbox = self.with_hold(HOLD)

    def with_hold(self, hold: timedelta) -> Outbox:
        return Outbox(self.connections, event_of, hold=hold)

    async def tell(self, *notices: Notice) -> int:
        async with self.connections.transaction() as connection:
            return await enqueue(connection, notices)

    async def claim(self, outbox: Outbox | None = None, busy: tuple[str, ...] = ()) -> list[Delivery]:
        return await (outbox or self.outbox).claim(busy, per_webhook=4, most=64)

    async def states(self) -> list[tuple[str, str]]:
        query = "select body, state from deliveries order by number"
        rows = await self.connections.repeatable(lambda connection: connection.fetch(query))
        return [tuple(row) for row in rows]


def said(deliveries: list[Delivery]) -> list[str]:
    return [delivery.event.summary for delivery in deliveries]


@pytest.fixture
async def rig(postgres_url: str) -> AsyncIterator[Rig]:
    async with Connections(Address(postgres_url), owner="test", size=4) as connections:
        sql = resources.files("headrace_servicekit.outbox.sql").joinpath("outbox.sql").read_text()
        async with connections.transaction() as connection:
            await connection.execute(sql)
            await connection.execute(
                "insert into webhooks (name, url, secret, format)"
                " select 'hook-' || n, 'https://example.org/' || n, $1, 'cloud_event' from generate_series(1, 30) as n",
                SECRET,
            )
        yield Rig(connections)


async def test_what_is_told_is_there_if_the_transaction_that_it_tells_of_is(rig):
    async def undone() -> None:
        async with rig.connections.transaction() as connection:
            await enqueue(connection, [Notice("hook-1", "t", "1", "never")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    await rig.tell(Notice("hook-1", "t", "1", "yes"))
    (delivery,) = await rig.claim()
    assert delivery.event.summary == "yes"
    assert (delivery.receiver.name, delivery.receiver.url, delivery.receiver.secret, delivery.attempts) == (
        *("hook-1", "https://example.org/1", SECRET, 1),
    )


async def test_a_webhook_that_somebody_deletes_meanwhile_is_told_nothing_and_fails_nobody(rig):
    async def blocked() -> bool:
        query = "select exists (select from pg_locks where not granted)"
        return await rig.connections.repeatable(lambda connection: connection.fetchval(query))

    async with rig.connections.transaction() as connection:
        await connection.execute("delete from webhooks where name = 'hook-1'")
        telling = asyncio.ensure_future(rig.tell(Notice("hook-1", "t", "1", "gone"), Notice("hook-2", "t", "1", "yes")))
        await eventually(blocked)
    assert await telling == 0
    assert await rig.states() == [("yes", "waiting")]


async def test_each_thing_is_told_once_of_a_topic(rig):
    for body in ("first", "again"):
        await rig.tell(Notice("hook-1", "t", "opened", body), Notice("hook-2", "t", "opened", f"{body} to another"))
    assert await rig.states() == [("first", "waiting"), ("first to another", "waiting")]


async def test_a_topic_is_told_in_order_and_holds_no_other_up(rig):
    await rig.tell(Notice("hook-1", "a", "1", "a1"), Notice("hook-1", "a", "2", "a2"), Notice("hook-1", "b", "1", "b1"))
    first, other = await rig.claim()
    assert said([first, other]) == ["a1", "b1"]
    assert await rig.claim() == []
    await rig.outbox.put_off(first, timedelta(0), "answered 500")
    (first,) = await rig.claim()
    assert (first.event.summary, first.attempts) == ("a1", 2)
    await rig.outbox.delivered(first)
    assert said(await rig.claim()) == ["a2"]


async def test_what_failed_for_good_is_kept_and_what_comes_after_it_goes_on(rig):
    await rig.tell(Notice("hook-1", "a", "1", "a1"), Notice("hook-1", "a", "2", "a2"))
    (first,) = await rig.claim()
    await rig.outbox.give_up(first, "answered 400")
    assert said(await rig.claim()) == ["a2"]
    assert await rig.states() == [("a1", "dead"), ("a2", "waiting")]


async def test_what_is_taken_at_a_time_is_bounded_over_all_webhooks(rig):
    await rig.tell(*(Notice(f"hook-{n}", f"t{topic}", "1", "x") for topic in range(10) for n in range(1, 31)))
    first = await rig.outbox.claim([], per_webhook=4, most=64)
    rest = await rig.outbox.claim([], per_webhook=4, most=1000)
    assert len(first) == 64
    numbers = [one.number for one in first]
    assert numbers == sorted(numbers)
    assert max(numbers) < min(one.number for one in rest)


async def test_a_busy_webhook_gives_nothing_and_keeps_nobody_waiting(rig):
    await rig.tell(
        *(Notice("hook-1", f"t{topic}", "1", "slow") for topic in range(10)), Notice("hook-2", "t", "1", "x")
    )
    assert said(await rig.claim(busy=("hook-1",))) == ["x"]
    assert len(await rig.claim()) == 4


async def test_what_its_taker_died_over_is_taken_by_another_after_the_hold(rig):
    await rig.tell(Notice("hook-1", "t", "1", "x"))
    (dead,) = await rig.claim(rig.with_hold(timedelta(0)))
    (again,) = await rig.claim()
    assert again.event.id == dead.event.id  # receivers know it by its id
    assert again.attempts == 2


async def test_who_was_overtaken_changes_nothing_of_the_delivery(rig):
    await rig.tell(Notice("hook-1", "t", "1", "x"))
    (slow,) = await rig.claim(rig.with_hold(timedelta(0)))
    (quick,) = await rig.claim()
    await rig.outbox.give_up(slow, "no answer")
    await rig.outbox.put_off(slow, timedelta(0), "no answer")
    assert await rig.claim() == []
    await rig.outbox.delivered(quick)
    assert await rig.states() == [("x", "delivered")]


async def test_what_waits_is_tried_at_once_when_its_webhook_is_another(rig):
    await rig.tell(Notice("hook-1", "t", "1", "x"))
    (delivery,) = await rig.claim()
    await rig.outbox.put_off(delivery, timedelta(hours=1), "answered 500")
    assert await rig.claim() == []
    async with rig.connections.transaction() as connection:
        await hurry(connection, "hook-1")
    assert said(await rig.claim()) == ["x"]


async def test_too_much_for_one_webhook_is_dead_at_once_and_costs_no_other(rig):
    async with rig.connections.transaction() as connection:
        await connection.execute(
            "insert into deliveries (id, webhook, topic, once, body, create_time, next_try)"
            " select gen_random_uuid(), 'hook-1', n::text, '', '', now(), now() from generate_series(1, $1::int) as n",
            MAX_WAITING,
        )
    assert await rig.tell(Notice("hook-1", "t", "1", "lost"), Notice("hook-2", "t", "1", "x")) == 1
    assert (await rig.states())[-2:] == [("lost", "dead"), ("x", "waiting")]
    assert await rig.outbox.waiting() == MAX_WAITING + 1


class Receivers:
    """Answers of webhooks by what is said, in turn; the last one stays. sent: what was, in order."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers, self.sent = answers, []

    async def post(self, _url: str, message: Any) -> Answer:
        text = message.body.decode().rpartition('"said":"')[2].partition('"')[0]
        self.sent.append(text)
        answers = self.answers.get(text, [Answer("")])
        return answers.pop(0) if len(answers) > 1 else answers[0]


async def test_deliveries_are_repeated_with_pauses_and_given_up_in_the_end(rig):
    failed, counted = Answer("answered 500"), []
    receivers: Any = Receivers(flaky=[failed, failed, Answer("")], broken=[failed])
    patience = Patience(first_pause=timedelta(milliseconds=20), give_up_after=timedelta(seconds=2))
    deliveries = Deliveries(rig.outbox, receivers, patience, SystemClock(), counted.append)
    await rig.tell(
        *(Notice("hook-1", "a", "1", "flaky"), Notice("hook-1", "a", "2", "after")),
        *(Notice("hook-2", "b", "1", "broken"), Notice("hook-2", "b", "2", "later")),
    )
    running = asyncio.create_task(deliveries.run())

    async def over() -> bool:
        return {state for _, state in await rig.states()} == {"delivered", "dead"}

    await eventually(over, within=20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await rig.states() == [
        ("flaky", "delivered"),
        ("after", "delivered"),
        ("broken", "dead"),
        ("later", "delivered"),
    ]
    assert [one for one in receivers.sent if one in ("flaky", "after")] == ["flaky", "flaky", "flaky", "after"]
    assert counted.count("dead") == 1
    assert counted.count("delivered") == 3
