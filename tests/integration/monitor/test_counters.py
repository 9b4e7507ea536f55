"""Counters on a real PostgreSQL: what is asked, where minutes are, what is told to the alert rules, what is kept."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from headrace_monitor.alert.observations import EVERY_MODEL
from headrace_monitor.record.counters.decisions.changes import MAX_SERIES
from headrace_monitor.record.counters.decisions.differences import minute_of
from headrace_monitor.record.counters.intake import Intake, Limits
from headrace_monitor.record.counters.metrics import CounterMetrics
from headrace_monitor.record.counters.observer import MinuteObserver
from headrace_monitor.record.counters.reader import LostBatchCounts, TrafficReader, TrafficSummary
from headrace_monitor.record.counters.retention import CounterRetention, RetentionPolicy
from headrace_monitor.storage.schema import Database
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.postgres.connections import BEGIN, Address
from headrace_servicekit.testing import FakeClock
from headrace_servicekit.times import MINUTE, Span
from prometheus_client import CollectorRegistry

from tests.kit.monitor.counting_plane import CountingPlane, SendingPlane, key
from tests.kit.router.answer_sources import CACHE, ONLINE

T = TypeVar("T")
ALWAYS = Span(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
RETENTION = RetentionPolicy(minutes=timedelta(days=2), counts=timedelta(days=90), silent=timedelta(days=7))


class JumpingClock(FakeClock):
    """A clock that can be put anywhere."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.present = now

    def now(self) -> datetime:
        return self.present


class EndingDatabase(Database):
    """A database whose connections end after some statements of a transaction; after its last one, before it commits.

    statements_left: until then; None for ever.
    """

    statements_left: int | None = None

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN, validate_only: bool = False) -> AsyncIterator[Any]:
        async with super().transaction(begin=begin, validate_only=validate_only) as connection:
            yield _Ending(self, connection)
            self.spend(connection)

    def spend(self, connection: Any) -> None:
        """Let a connection have one more statement, or end it."""
        if self.statements_left == 0:
            connection.terminate()
        elif self.statements_left is not None:
            self.statements_left -= 1


class _Ending:
    def __init__(self, database: EndingDatabase, connection: Any) -> None:
        self._database, self._connection = database, connection

    def __getattr__(self, name: str) -> Any:
        self._database.spend(self._connection)
        return getattr(self._connection, name)


class BreakingDatabase(Database):
    """A database whose first connection breaks after what is repeatable was read from it."""

    broke = False

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        async def read(connection: Any) -> T:
            found = await act(connection)
            if not self.broke:
                self.broke = True
                await connection.execute("select pg_terminate_backend(pg_backend_pid())")
            return found

        return await super().repeatable(read)


@dataclass
class Counting:
    """Counters without the service around them. clock: of the monitor."""

    database: Database
    clock: JumpingClock = field(default_factory=lambda: JumpingClock(datetime.now(UTC)))

    def __post_init__(self) -> None:
        metrics, losses = CounterMetrics(CollectorRegistry()), LostBatchCounts()
        self.intake = Intake(self.database, Limits(1000, 10_000), metrics, self.clock)
        self.reading = TrafficReader(self.database, losses, minutes=RETENTION.minutes)
        self.observing = MinuteObserver(self.database, losses, metrics, self.clock)
        self.keeping = CounterRetention(self.database, RETENTION, metrics)

    async def counted(self, span: Span = ALWAYS, model: str = "fraud") -> Counter[tuple[str, int, int]]:
        """Return the answers by version, source and code."""
        return counts_of(await self.reading.traffic(model, span))

    async def rows(self, query: str) -> list:
        return await self.database.repeatable(lambda connection: connection.fetch(query))


def counts_of(seen: TrafficSummary) -> Counter[tuple[str, int, int]]:
    return Counter({(one.group.version, one.group.served_from, one.group.code): one.count for one in seen.traffic})


@pytest.fixture
async def replicas(postgres_url) -> AsyncIterator[list[Counting]]:
    """Two monitors over one database."""
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(Database(Address(postgres_url), size=4)) for _ in range(2)]
        for database in databases:
            await database.migrate()
        yield [Counting(database) for database in databases]


@pytest.fixture
def counting(replicas) -> Counting:
    return replicas[0]


async def test_reports_of_a_process_count_once_whichever_replica_takes_them_in_whatever_order(replicas):
    rng, planes, reports = random.Random(7), [CountingPlane("a"), CountingPlane("b")], []
    keys = [key(), key(served_from=CACHE), key(code=14), key(version="v2")]
    answered: Counter[tuple[str, int, int]] = Counter()
    for _ in range(30):
        plane = rng.choice(planes)
        for one in keys:
            plane.answer(one, rng.lognormvariate(-4, 1), 3)
            answered[one.version, one.served_from, one.code] += 3
        plane.drop()
        reports.append(plane.report())
    reports += rng.sample(reports, 20)  # repeated
    rng.shuffle(reports)
    await asyncio.gather(*(rng.choice(replicas).intake.take(report) for report in reports))
    for replica in replicas:
        seen = await replica.reading.traffic("fraud", ALWAYS)
        assert counts_of(seen) == answered
        assert seen.dropped_predictions == 30


async def test_minutes_are_where_the_monitors_clock_was_and_jumps_lose_nothing(counting):
    plane, start = CountingPlane(), minute_of(counting.clock.now())
    for jump, times in ((0, 1), (30, 2), (-60, 4), (60 * 24 * 400, 8), (0, 16)):
        counting.clock.present = start + timedelta(minutes=jump, seconds=5)
        plane.answer(key(), 0.01, times)
        request = plane.report()
        request.report_time.seconds = 2**33  # the data plane's clock says nothing
        await counting.intake.take(request)
    for jump, times in ((0, 17), (30, 2), (-60, 4), (60 * 24 * 400, 8)):
        at = start + timedelta(minutes=jump)
        assert (await counting.counted(Span(at, at + MINUTE))).total() == times
    assert (await counting.counted()).total() == 31


async def test_every_minute_is_told_once_to_the_alert_rules(replicas):
    counting, other = replicas
    start = minute_of(counting.clock.now())
    counting.clock.present = other.clock.present = start + timedelta(seconds=10)
    await counting.observing.step()  # from here on
    plane = CountingPlane()
    for minute in range(12):
        for replica in replicas:
            replica.clock.present = start + minute * MINUTE + timedelta(seconds=30)
        plane.answer(key(), 0.01, 90)
        plane.answer(key(code=14), 0.01, 10)
        plane.answer(key("", "", code=3), 0.01, 10)
        plane.drop()
        await counting.intake.take(plane.report())
    await counting.database.repeatable(
        lambda connection: connection.execute(
            "insert into lost_batches (process, first, last, data_plane, find_time) "
            "values (gen_random_uuid(), 3, 5, 'plane-0', $1)",
            start + timedelta(seconds=90),
        )
    )
    for replica in replicas:
        replica.clock.present = start + timedelta(minutes=12, seconds=15)
    await asyncio.gather(*(replica.observing.step() for replica in replicas * 3))
    told = await counting.rows("select * from observations where window_start >= '2000-01-01' order by window_start")
    by_signal = {
        signal: [row for row in told if row["signal"] == signal and row["window_start"] >= start]
        for signal in ("error_rate", "latency_p99_us", "dropped_predictions", "lost_batches")
    }
    for signal, rows in by_signal.items():
        assert [row["window_start"] for row in rows] == [start + n * MINUTE for n in range(12)], signal
    assert {(row["model"], row["version"], row["value"], row["rows"]) for row in by_signal["error_rate"]} == {
        ("fraud", "v1", 0.1, 100)
    }
    for row in by_signal["latency_p99_us"]:
        assert (row["value"], row["rows"]) == (pytest.approx(10_000, rel=0.006), 90)
    assert {(row["model"], row["value"]) for row in by_signal["dropped_predictions"]} == {(EVERY_MODEL, 1)}
    assert [row["value"] for row in by_signal["lost_batches"]] == [0, 3, *[0] * 10]


async def test_old_minutes_become_hours_and_old_hours_go(replicas):
    counting, plane = replicas[0], CountingPlane()
    now = counting.clock.now()
    for days in (100, 50, 49.99, 3, 1, 0):
        counting.clock.present = now - timedelta(days=days)
        for _ in range(3):
            plane.answer(key(), 0.01, 10)
            plane.answer(key(served_from=CACHE), 0.001, 1)
            await counting.intake.take(plane.report())
            counting.clock.present += MINUTE
    before = await counting.counted()
    await asyncio.gather(*(replica.keeping.step() for replica in replicas))
    assert await counting.counted() == before - Counter({("v1", ONLINE, 0): 30, ("v1", CACHE, 0): 3})
    hours = await counting.rows("select start from counter_hours")
    assert hours
    assert all((row["start"].minute, row["start"].second) == (0, 0) for row in hours)
    hour = (now - timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    assert (await counting.counted(Span(hour, hour + timedelta(hours=2))))["v1", ONLINE, 0] == 30
    (kept,) = await counting.rows("select count(*) from counter_minutes where start < now() - interval '50 hours'")
    assert kept["count"] == 0
    seen = await counting.reading.traffic("fraud", ALWAYS)
    assert {one.group.served_from: one.p99_us for one in seen.traffic} == {
        ONLINE: pytest.approx(10_000, rel=0.006),
        CACHE: pytest.approx(1000, rel=0.006),
    }


async def test_the_totals_of_a_silent_process_are_forgotten_and_it_is_not_counted_twice(counting):
    plane = CountingPlane()
    plane.answer(key(), 0.01, 10)
    plane.drop(times=3)
    await counting.intake.take(plane.report())
    await counting.database.repeatable(
        lambda connection: connection.execute("update counter_processes set seen_time = now() - interval '8 days'")
    )
    await counting.keeping.step()
    assert await counting.rows("select 1 from counter_series union all select 1 from counter_drops") == []
    assert (await counting.counted()).total() == 10
    # It was cut off, not dead. What it counted before its first report is taken for counted.
    await counting.intake.take(plane.report())
    plane.answer(key(), 0.01, 5)
    plane.drop()
    await counting.intake.take(plane.report())
    seen = await counting.reading.traffic("fraud", ALWAYS)
    assert (counts_of(seen).total(), seen.dropped_predictions) == (15, 4)
    # Silent again, and replaced: what it counted since it was back stays, though nothing else is known of it any more.
    for change in (
        "update counter_processes set seen_time = now() - interval '8 days'",
        "insert into counter_processes (process, data_plane)"
        " select gen_random_uuid(), data_plane from counter_processes",
    ):
        await counting.database.repeatable(lambda connection, change=change: connection.execute(change))
    await counting.keeping.step()
    assert len(await counting.rows("select 1 from counter_processes")) == 1
    assert (await counting.counted()).total() == 15


@pytest.mark.long
async def test_a_process_goes_through_more_series_than_are_kept_of_it(counting):
    plane, start = CountingPlane(), counting.clock.now()
    keys = [key(version=f"v{number}") for number in range(12_000)]
    for hours, begin in ((0, 0), (2, 4000), (4, 8000)):
        counting.clock.present = start + timedelta(hours=hours)
        for one in keys[begin : begin + 4000]:
            plane.answer(one, 0.01)
        await counting.intake.take(plane.report(keys[begin : begin + 4000]))
    (kept,) = await counting.rows("select count(*) as rows from counter_series")
    (process,) = await counting.rows("select series from counter_processes")
    assert kept["rows"] == process["series"] == MAX_SERIES
    # It comes back from zero, while what went last is still known here, and what went first is not.
    for one in (keys[0], keys[7999]):
        plane.forget(one)
        plane.answer(one, 0.01)
    await counting.intake.take(plane.report([keys[0], keys[7999], keys[8000]]))
    assert await counting.counted() == Counter({(one.version, ONLINE, 0): 1 for one in keys}) + Counter(
        {(one.version, ONLINE, 0): 1 for one in (keys[0], keys[7999])}
    )


async def test_series_without_end_are_refused_while_those_before_them_are_young(counting):
    plane = CountingPlane()
    for number in range(MAX_SERIES):
        plane.answer(key(version=f"v{number}"), 0.01)
    await counting.intake.take(plane.report())
    one_more = key(version="one more")
    plane.answer(one_more, 0.01)
    with pytest.raises(InvalidArgument, match="would have 8193 series; at most 8192"):
        await counting.intake.take(plane.report([one_more]))
    assert (await counting.counted()).total() == MAX_SERIES


@pytest.mark.faults
async def test_a_monitor_that_ends_between_two_statements_has_counted_all_of_a_report_or_nothing(postgres_url):
    rng, keys = random.Random(3), [key(), key(code=14), key(version="v2"), key(served_from=CACHE)]
    async with EndingDatabase(Address(postgres_url), size=4) as database:
        await database.migrate()
        counting = Counting(database)
        start, plane = counting.clock.now(), SendingPlane("a", counting.intake.take)
        for number in range(12):
            counting.clock.present = start + number * timedelta(seconds=20)
            statements = database.statements_left = 0
            while not await plane.step(rng, keys):
                statements += 1
                database.statements_left = statements
            assert statements >= 4  # the lock, what is kept, what is written, the commit
        assert {getattr(error, "reason", error) for error in plane.errors} == {"STORE_UNAVAILABLE"}
        database.statements_left = None
        seen = await counting.reading.traffic("fraud", ALWAYS)
    assert counts_of(seen) == {(one.version, one.served_from, one.code): n for one, n in plane.answered.items()}
    assert seen.dropped_predictions == plane.dropped


async def test_traffic_that_is_read_again_after_a_connection_broke_is_counted_once(postgres_url):
    async with BreakingDatabase(Address(postgres_url), size=2) as database:
        await database.migrate()
        counting = Counting(database)
        plane = CountingPlane()
        plane.answer(key(), 0.01, 7)
        await counting.intake.take(plane.report())
        found = await counting.reading.of_models(["fraud"], ALWAYS)
        assert database.broke
        assert [one.count for one in found["fraud"]] == [7]
