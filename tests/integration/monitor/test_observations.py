"""Observations are written once, whoever repeats them."""

from datetime import UTC, datetime, timedelta

from headrace_monitor.alerts.observations import Observation, Observations
from headrace_monitor.statistics.severity import Severity
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def observed(minute: int, value: float) -> Observation:
    start = NOON + timedelta(minutes=minute)
    end = start + timedelta(minutes=1)
    return Observation("fraud", "v1", "error_rate", start, end, value, Severity.NONE, "nul \0 is no text", rows=200)


async def test_the_first_observation_of_a_window_counts_whoever_repeats_it(postgres_url):
    async with Database(Address(postgres_url), size=2) as connections:
        assert await schema.prepared(connections)
        for values in ([0.5, 0.25], [0.75, 0.75]):
            async with connections.transaction() as connection:
                await Observations.put(connection, [observed(minute, value) for minute, value in enumerate(values)])
        async with connections.transaction() as connection:
            await Observations.put(connection, [])
            found = await connection.fetch("select value, summary, rows, judged from observations order by window_end")
    assert [row["value"] for row in found] == [0.5, 0.25]
    assert {(row["summary"], row["rows"], row["judged"]) for row in found} == {("nul  is no text", 200, False)}
