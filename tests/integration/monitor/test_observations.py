"""Observations are written once, whoever repeats them, and go when they are old, however many there are."""

from datetime import UTC, datetime, timedelta

from headrace_monitor.alert.evaluator import RuleEvaluator
from headrace_monitor.alert.metrics import AlertMetrics
from headrace_monitor.alert.observations import Observation, Observations
from headrace_monitor.alert.postgres import PostgresAlerts
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address
from headrace_statistics.severity import Severity
from prometheus_client import CollectorRegistry

# More than 100 versions are told of in an hour: 12,500 three days ago, the first of them not judged, and 10 of late.
OBSERVED = """
insert into observations (model, version, signal, window_start, window_end, value, severity, summary, put_time, judged)
select 'fraud', 'v1', 'error_rate', now(), now() + n * interval '1 second', 0, 0, '',
       now() - case when n <= 12500 then interval '3 days' else interval '1 day' end, n <> 1
from generate_series(1, 12510) as n
"""
# Of long ago, all but the first over.
RESOLVED = """
insert into alerts (rule, model, version, signal, severity, summary, value, freezes, retrains, open_time, resolve_time)
select 'r', 'm', 'v' || n, 'drift', 3, '', 0, false, false, now() - interval '100 days',
       case when n > 1 then now() - interval '99 days' end
from generate_series(1, 6000) as n
"""
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def observed(minute: int, value: float) -> Observation:
    start = NOON + timedelta(minutes=minute)
    end = start + timedelta(minutes=1)
    return Observation("fraud", "v1", "error_rate", start, end, value, Severity.NONE, "nul \0 is no text", rows=200)


async def test_the_first_observation_of_a_window_counts_whoever_repeats_it(postgres_url):
    async with Database(Address(postgres_url), size=2) as connections:
        await connections.migrate()
        for values in ([0.5, 0.25], [0.75, 0.75]):
            async with connections.transaction() as connection:
                await Observations.put(connection, [observed(minute, value) for minute, value in enumerate(values)])
        async with connections.transaction() as connection:
            await Observations.put(connection, [])
            found = await connection.fetch("select value, summary, rows, judged from observations order by window_end")
    assert [row["value"] for row in found] == [0.5, 0.25]
    assert {(row["summary"], row["rows"], row["judged"]) for row in found} == {("nul  is no text", 200, False)}


async def test_old_observations_and_alerts_go_however_many_came_in_an_hour(postgres_url):
    async with Database(Address(postgres_url), size=2) as connections:
        await connections.migrate()
        async with connections.transaction() as connection:
            await connection.execute(OBSERVED)
            await connection.execute(RESOLVED)
        await RuleEvaluator(PostgresAlerts(connections, AlertMetrics(CollectorRegistry()))).expire()
        async with connections.transaction() as connection:
            assert await connection.fetchval("select count(*) from observations where judged") == 10
            assert await connection.fetchval("select count(*) from observations where not judged") == 1
            assert await connection.fetchval("select count(*) from alerts") == 1
