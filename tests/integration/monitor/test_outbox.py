"""Deliveries that wait: a bounded number is taken at a time, the first ones first."""

from datetime import timedelta

from headrace_monitor.alerts.webhooks.outbox import Outbox
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address

# Of each of 30 webhooks ten alerts, all due.
WAITING = """
with hooks as (
    insert into webhooks (name, url, secret, format, at_least, model, retrain_only)
    select 'hook-' || n, 'https://example.org', 'a key of sixteen or more', 'cloud_event', 0, '', false
    from generate_series(1, 30) as n
    returning name
), raised as (
    insert into alerts (rule, model, version, signal, severity, summary, value, freezes, retrains, open_time)
    select 'r', 'm', 'v' || n, 'drift', 3, '', 0, false, false, now() from generate_series(1, 10) as n
    returning *
)
insert into deliveries (id, webhook, alert, kind, severity, body, create_time, next_time)
select gen_random_uuid(), hooks.name, raised.id, 'opened', 3, json_build_object(
           'id', raised.id, 'key', json_build_object('rule', rule, 'model', model, 'version', version),
           'signal', signal, 'severity', severity, 'summary', summary, 'value', value, 'freeze', freezes,
           'retrain', retrains, 'open_time', open_time)::text, now(), now()
from raised cross join hooks order by raised.id, hooks.name
"""


async def test_what_is_taken_at_a_time_is_bounded_over_all_webhooks(postgres_url):
    async with Database(Address(postgres_url), size=2) as connections:
        assert await schema.prepared(connections)
        async with connections.transaction() as connection:
            await connection.execute(WAITING)
        outbox, hold = Outbox(connections), timedelta(minutes=1)
        first = await outbox.claim([], per_webhook=4, most=64, hold=hold)
        rest = await outbox.claim([], per_webhook=4, most=1000, hold=hold)
    assert len(first) == 64
    numbers = [one.number for one in first]
    assert numbers == sorted(numbers)
    assert max(numbers) < min(one.number for one in rest)
