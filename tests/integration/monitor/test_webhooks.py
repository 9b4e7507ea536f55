"""Webhooks are told of alerts: signed, in order, at least once, whatever dies or is away meanwhile."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from headrace.monitor.v1 import alert_pb2
from headrace_monitor.alert.observations import Observations
from headrace_monitor.storage.schema import Database
from headrace_servicekit.outbox.outbox import MAX_WAITING
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually, free_port
from headrace_statistics.severity import Severity

from tests.kit.monitor.alerting import SECRET, Alerts, Receiver, alerting, looked
from tests.kit.wire.forwarder import Forwarder

OPENED, ESCALATED, RESOLVED = "headrace.alert.opened", "headrace.alert.escalated", "headrace.alert.resolved"
RETRAIN = "headrace.model.retrain"
# On a machine that is shared things take their time.
SOON_S = 20.0

# As many deliveries as may wait, none of them due.
FULL = """
with old as (
    insert into alerts
        (rule, model, version, signal, severity, summary, value, freezes, retrains, open_time, resolve_time)
    select 'old', 'fraud', number::text, 'drift', 3, '', 0, false, false, now(), now()
    from generate_series(1, $1::int) as number
    returning id
)
insert into deliveries (id, webhook, topic, once, body, create_time, next_try)
select gen_random_uuid(), 'hook', id::text, 'opened/3', '', now(), now() + interval '1 hour' from old
"""


async def test_an_alert_and_its_end_are_told_once_each_and_freeze_and_retrain_go_with_them(postgres_url):
    async with alerting(postgres_url) as alerts, Receiver.started() as receiver:
        await alerts.put_webhook(receiver.url())
        await alerts.put_rule(
            "drift-low", model="fraud", signal="drift", at_least="SEVERITY_LOW", freeze=True, retrain=True
        )
        await alerts.observe(alerts.looked(0, Severity.MEDIUM), alerts.looked(0, Severity.MEDIUM, model="digits"))
        await eventually(lambda: receiver.types == [OPENED, RETRAIN], within=SOON_S)
        (alert,) = await alerts.alerts(state=alert_pb2.Alert.STATE_OPEN)
        assert (alert.model, alert.version, alert.rule, alert.severity) == ("fraud", "v1", "drift-low", 3)
        assert (alert.freeze, alert.retrain, alert.summary) == (True, True, "PSI of country is 0.3 at 0")
        opened, retrain = [one.json for one in receiver.received]
        assert (opened["subject"], opened["data"]["summary"]) == (alert.name, alert.summary)
        assert retrain["subject"] == "models/fraud/versions/v1"
        assert receiver.received[0].headers["Content-Type"] == "application/cloudevents+json"

        await alerts.observe(alerts.looked(1, Severity.MEDIUM), alerts.looked(2, Severity.NONE))
        await eventually(lambda: receiver.types == [OPENED, RETRAIN, RESOLVED], within=SOON_S)
        await eventually(lambda: _waiting(alerts, 0), within=SOON_S)
        webhook = await alerts.webhook()
        assert (webhook.last_error, webhook.secret) == ("", "")
        assert webhook.HasField("last_success_time")


@pytest.mark.long
async def test_a_receiver_that_is_down_is_told_in_order_once_it_is_up(postgres_url):
    port = free_port()
    async with alerting(postgres_url) as alerts:
        await alerts.put_webhook(f"http://127.0.0.1:{port}/hook")
        await alerts.observe(alerts.looked(0, Severity.HIGH))
        failed = await eventually(lambda: _failed(alerts, waiting=1), within=SOON_S)
        assert "cannot be reached" in failed.last_error
        await alerts.observe(alerts.looked(1, Severity.NONE))
        await eventually(lambda: _waiting(alerts, 2), within=SOON_S)
        async with Receiver.started(port) as receiver:
            receiver.status = 503
            await eventually(lambda: len(receiver.refused) >= 2, within=SOON_S)
            assert {one.json["type"] for one in receiver.refused} == {OPENED}
            receiver.status = 200
            await eventually(lambda: receiver.types == [OPENED, RESOLVED], within=SOON_S)
            # Every attempt carries the same id and body.
            first = receiver.received[0]
            assert {one.headers["Headrace-Delivery"] for one in receiver.refused} == {
                first.headers["Headrace-Delivery"]
            }
            assert {one.body for one in receiver.refused} == {first.body}
            await eventually(lambda: _waiting(alerts, 0), within=SOON_S)
            assert (await alerts.webhook()).last_error == ""


@pytest.mark.faults
async def test_a_monitor_killed_between_raising_and_telling_tells_after_its_restart(postgres_url, tmp_path):
    port, receiver_port = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "MONITOR_PORT": str(port),
        "MONITOR_DATABASE_URL": postgres_url,
        "MONITOR_S3_ENDPOINT": "http://127.0.0.1:1",
        "MONITOR_REGISTRY_TARGET": "127.0.0.1:1",
        "MONITOR_WEBHOOK_RETRY_S": "0.3",
        "MONITOR_WEBHOOK_ALLOW": f"127.0.0.1:{receiver_port}",
    }
    async with alerting(postgres_url) as alerts:
        await alerts.put_webhook(f"http://127.0.0.1:{receiver_port}/hook")
        await alerts.observe(alerts.looked(0, Severity.NONE))
    # Only the process judges and tells from here on; the database is read beside it.
    for delivered in (False, True):
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "headrace_monitor", env=environment)
        try:
            if not delivered:
                await _raise_in(postgres_url)
                await eventually(lambda: _raised(postgres_url), within=30)
                continue
            async with Receiver.started(receiver_port) as receiver:
                await eventually(lambda: receiver.types == [OPENED], within=30)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def test_two_replicas_raise_and_tell_everything_once(postgres_url):
    versions = [f"v{number}" for number in range(30)]
    async with (
        alerting(postgres_url) as one,
        alerting(postgres_url) as other,
        Receiver.started() as receiver,
    ):
        await one.put_webhook(receiver.url())
        for minute, severity in enumerate([Severity.HIGH, Severity.NONE, Severity.HIGH, Severity.NONE]):
            for alerts in (one, other):  # both write the same, as replicas that repeat themselves do
                await alerts.observe(*(one.looked(minute, severity, version=version) for version in versions))
        await eventually(lambda: len(receiver.received) >= 120, within=20)
        await eventually(lambda: _waiting(one, 0), within=SOON_S)
        assert len(await other.alerts(page_size=1000)) == 60
    told = [(one.json["data"]["name"], one.json["type"]) for one in receiver.received]
    assert len(told) == len(set(told)) == 120
    for name in {name for name, _ in told}:
        assert [kind for about, kind in told if about == name] == [OPENED, RESOLVED]


async def test_what_is_silenced_is_raised_and_not_told_until_the_silence_ends(postgres_url):
    async with alerting(postgres_url) as alerts, Receiver.started() as receiver:
        await alerts.put_webhook(receiver.url())
        silence = alert_pb2.Silence(model="fraud", rule="drift-high", comment="maintenance")
        silence.expire_time.GetCurrentTime()
        silence.expire_time.seconds += 3600
        made = await alerts.stub.SilenceAlerts(alert_pb2.SilenceAlertsRequest(silence=silence), timeout=10)
        await alerts.observe(alerts.looked(0, Severity.HIGH), alerts.looked(0, Severity.HIGH, version="v2"))
        await alerts.observe(alerts.looked(0, Severity.HIGH, model="digits"))
        await eventually(lambda: receiver.types == [OPENED], within=SOON_S)
        assert receiver.received[0].json["data"]["model"] == "digits"
        found = {(one.model, one.silenced) for one in await alerts.alerts()}
        assert found == {("fraud", True), ("digits", False)}
        await alerts.observe(alerts.looked(1, Severity.NONE, version="v2"))  # begun and ended in silence: never told
        await eventually(lambda: _open(alerts, 2), within=SOON_S)
        await alerts.stub.DeleteSilence(alert_pb2.DeleteSilenceRequest(name=made.silence.name), timeout=10)
        await eventually(lambda: receiver.types == [OPENED, OPENED], within=SOON_S)
        assert receiver.received[1].json["data"]["model"] == "fraud"
        assert [one.silenced for one in await alerts.alerts(state=alert_pb2.Alert.STATE_OPEN)] == [False, False]


@pytest.mark.faults
async def test_a_restart_of_the_database_costs_no_alert_and_no_delivery(postgres_url):
    async with (
        Forwarder.before(postgres_url) as forwarder,
        Receiver.started() as receiver,
        alerting(forwarder.url(postgres_url), webhook_timeout_s=1.0) as alerts,
    ):
        await alerts.put_webhook(receiver.url())
        receiver.status = 500
        await alerts.observe(alerts.looked(0, Severity.HIGH))
        await eventually(lambda: receiver.refused, within=SOON_S)
        forwarder.cut()
        receiver.status = 200
        await eventually(lambda: not alerts.runtime.health.ready, within=SOON_S)
        forwarder.mend()
        await eventually(lambda: alerts.runtime.health.ready, within=SOON_S)
        await alerts.observe(alerts.looked(1, Severity.NONE))
        # What was in flight when the database went comes again after its hold, under the same id.
        await eventually(lambda: RESOLVED in receiver.types, within=40)
        ids = [one.headers["Headrace-Delivery"] for one in receiver.received]
        assert len(set(ids)) == 2
        assert receiver.types[-1] == RESOLVED


@pytest.mark.parametrize(
    ("status", "headers", "problem"),
    [
        pytest.param(302, {"Location": "http://127.0.0.1:1/"}, "redirects are not followed", id="redirect"),
        pytest.param(500, {}, "answered 500", id="error"),
    ],
)
async def test_what_went_wrong_is_listed_and_tells_nothing_of_the_receiver(postgres_url, status, headers, problem):
    async with alerting(postgres_url, webhook_give_up_after_h=0.0001) as alerts, Receiver.started() as receiver:
        receiver.status, receiver.headers = status, headers
        await alerts.put_webhook(receiver.url())
        await alerts.observe(alerts.looked(0, Severity.HIGH))
        webhook = await eventually(lambda: _failed(alerts, waiting=0), within=SOON_S)
        assert problem in webhook.last_error
        dead = alerts.runtime.metrics.get_sample_value("monitor_webhook_deliveries_total", {"outcome": "dead"})
        assert dead == 1


async def test_what_finds_too_much_waiting_is_counted_and_not_kept(postgres_url):
    async with alerting(postgres_url) as alerts:
        await alerts.put_webhook("http://127.0.0.1:1/hook")
        async with alerts.database.transaction() as connection:
            await connection.execute(FULL, MAX_WAITING)
        await alerts.observe(alerts.looked(0, Severity.HIGH))
        metrics = alerts.runtime.metrics
        dead = {"outcome": "dead"}
        await eventually(lambda: metrics.get_sample_value("monitor_webhook_deliveries_total", dead) == 1, within=SOON_S)
        assert (await alerts.webhook()).waiting == MAX_WAITING
        assert len(await alerts.alerts(state=alert_pb2.Alert.STATE_OPEN)) == 1


@pytest.mark.parametrize(("kind", "path"), [("FORMAT_SLACK", "/services/T0/B0/secret"), ("FORMAT_PAGERDUTY", "/v2")])
async def test_slack_and_pagerduty_are_told_in_their_own_words(postgres_url, kind, path):
    async with alerting(postgres_url) as alerts, Receiver.started() as receiver:
        kept = await alerts.put_webhook(receiver.url(path), format=kind, at_least="SEVERITY_HIGH")
        assert "secret" not in kept.url
        await alerts.put_rule("drift-low", model="*", signal="drift", at_least="SEVERITY_LOW")
        await alerts.observe(alerts.looked(0, Severity.LOW), alerts.looked(1, Severity.HIGH, version="v2"))
        await eventually(lambda: len(receiver.received) == 2, within=SOON_S)  # of drift-high and of drift-low
        bodies = [one.json for one in receiver.received]
        if kind == "FORMAT_SLACK":
            assert all("HIGH" in body["text"] and "fraud v2" in body["text"] for body in bodies)
        else:
            assert {body["routing_key"] for body in bodies} == {SECRET}
            assert all("Headrace-Signature" not in one.headers for one in receiver.received)


async def _failed(alerts: Alerts, *, waiting: int) -> alert_pb2.Webhook:
    webhook = await alerts.webhook()
    assert webhook.last_error
    assert webhook.waiting == waiting
    return webhook


async def _waiting(alerts: Alerts, number: int) -> bool:
    return (await alerts.webhook()).waiting == number


async def _open(alerts: Alerts, number: int) -> bool:
    return len(await alerts.alerts(state=alert_pb2.Alert.STATE_OPEN)) == number


@asynccontextmanager
async def _database(postgres_url: str) -> AsyncIterator[Database]:
    async with Database(Address(postgres_url), size=1) as database:
        await database.migrate()
        yield database


async def _raise_in(postgres_url: str) -> None:
    async with _database(postgres_url) as database, database.transaction() as connection:
        await Observations.put(connection, [looked(datetime.now(UTC), 1, Severity.HIGH)])


async def _raised(postgres_url: str) -> bool:
    async with _database(postgres_url) as database, database.transaction() as connection:
        return await connection.fetchval("select count(*) from deliveries where state = 'waiting'") == 1
