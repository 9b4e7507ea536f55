"""What waited for webhooks before the outbox was servicekit's is told after."""

from datetime import timedelta

from headrace_monitor.alert.webhooks import event_in, webhooks
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations
from headrace_statistics.severity import Severity

OUTBOX = 14
BEFORE = """
with hook as (
    insert into webhooks (name, url, secret, format, at_least, model, retrain_only)
    values ('hook', 'https://example.org', 'a key of sixteen or more', 'slack', 2, '', true)
), raised as (
    insert into alerts (rule, model, version, signal, severity, summary, value, freezes, retrains, open_time)
    values ('r', 'm', 'v1', 'drift', 3, 's', 0, false, false, now()) returning *
)
insert into deliveries (id, webhook, alert, kind, severity, body, attempts, create_time, next_time)
select gen_random_uuid(), 'hook', raised.id, kind, 3, json_build_object(
           'id', raised.id, 'key', json_build_object('rule', rule, 'model', model, 'version', version),
           'signal', signal, 'severity', severity, 'summary', summary, 'value', value, 'freeze', freezes,
           'retrain', retrains, 'open_time', open_time)::text, 2, now(), now()
from raised cross join (values ('opened'), ('escalated')) as told (kind)
"""


async def test_what_waited_before_the_migration_is_told_after_it_and_goes_with_its_alert(second_postgres_url):
    migrations = load_migrations("headrace_monitor.storage.sql")
    async with Connections(Address(second_postgres_url), owner="monitor", size=2) as connections:
        async with connections.alone() as connection:
            await migrate(connection, [one for one in migrations if one.number < OUTBOX])
        async with connections.transaction() as connection:
            await connection.execute(BEFORE)
        async with connections.alone() as connection:
            await migrate(connection, migrations)
        async with connections.transaction() as connection:
            (hook,) = await webhooks(connection)
        assert (hook.at_least, hook.retrain_only) == (Severity.MEDIUM, True)
        outbox = Outbox(connections, event_in, hold=timedelta(minutes=1))
        (opened,) = await outbox.claim([], per_webhook=4, most=64)
        assert (opened.event.type, opened.event.about, opened.attempts) == ("headrace.alert.opened", "m v1", 3)
        await outbox.delivered(opened)
        (escalated,) = await outbox.claim([], per_webhook=4, most=64)
        assert escalated.event.type == "headrace.alert.escalated"
        async with connections.transaction() as connection:
            await connection.execute("delete from alerts")
        assert await outbox.waiting() == 0
