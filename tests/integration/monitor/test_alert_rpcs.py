"""AlertService on a real database: rules, alerts, silences, webhooks and watches, for whom they are."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace_monitor.alert import alerts as alerts_module
from headrace_monitor.alert.observations import Observation
from headrace_servicekit.errors import Code
from headrace_servicekit.outbox import webhooks
from headrace_servicekit.testing import eventually
from headrace_statistics.severity import Severity

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.monitor.alerting import SECRET, Alerts, alerting
from tests.kit.registry.service import caller

OPEN, RESOLVED = alert_pb2.Alert.STATE_OPEN, alert_pb2.Alert.STATE_RESOLVED
DEFAULTS = ["drift-high", "dropped-predictions", "error-rate", "lost-batches", "quality-high"]
FRAUD_ONLY = caller("ann", "fraud-*", "fraud")


async def rules(alerts: Alerts, metadata: Any = None) -> list[str]:
    answer = await alerts.stub.ListAlertRules(alert_pb2.ListAlertRulesRequest(), metadata=metadata, timeout=10)
    return [rule.name.removeprefix("alertRules/") for rule in answer.rules]


async def delete_rule(alerts: Alerts, name: str, metadata: Any = None) -> None:
    request = alert_pb2.DeleteAlertRuleRequest(name=f"alertRules/{name}")
    await alerts.stub.DeleteAlertRule(request, metadata=metadata, timeout=10)


async def open_models(alerts: Alerts) -> list[str]:
    return [alert.model for alert in await alerts.alerts(state=OPEN)]


async def test_a_new_installation_has_rules_and_what_is_deleted_stays_deleted(postgres_url):
    async with alerting(postgres_url) as alerts:
        assert await rules(alerts) == DEFAULTS
        await alerts.put_rule("error-rate", model="*", signal="error_rate", above=0.5)
        await delete_rule(alerts, "drift-high")
        await delete_rule(alerts, "drift-high")
    async with alerting(postgres_url) as alerts:
        assert await rules(alerts) == DEFAULTS[1:]
        answer = await alerts.stub.ListAlertRules(alert_pb2.ListAlertRulesRequest(), timeout=10)
        assert [rule.above for rule in answer.rules if rule.name == "alertRules/error-rate"] == [0.5]


async def test_a_rule_comes_back_as_it_was_put_and_bad_ones_are_refused_by_their_fields(postgres_url):
    async with alerting(postgres_url) as alerts:
        rule = alert_pb2.AlertRule(
            name="alertRules/slow",
            model="fraud",
            signal="latency_p99_us",
            above=250_000.0,
            severity="SEVERITY_LOW",
            min_rows=50,
        )
        rule.hold.seconds, rule.window.seconds = 120, 600
        check = alert_pb2.PutAlertRuleRequest(rule=rule, validate_only=True)
        assert (await alerts.stub.PutAlertRule(check, timeout=10)).rule == rule
        assert await rules(alerts) == DEFAULTS
        answer = await alerts.stub.PutAlertRule(alert_pb2.PutAlertRuleRequest(rule=rule), timeout=10)
        assert answer.rule == rule
        bad: list[tuple[dict[str, Any], list[str]]] = [
            ({"signal": "latency", "above": 1.0}, ["rule.signal"]),
            ({"signal": "accuracy", "above": float("nan")}, ["rule.above"]),
            ({"signal": "accuracy", "above": 1.0, "below": 2.0}, ["rule.below"]),
            ({"signal": "drift", "at_least": 9}, ["rule.at_least"]),
            ({"signal": "accuracy", "above": 1.0, "model": "A\0B"}, ["rule.model"]),
        ]
        for fields, expected in bad:
            error = await refused(alerts.put_rule("bad", **{"model": "fraud", **fields}))
            assert error.code is Code.INVALID_ARGUMENT
            assert [violation.field for violation in error.violations] == expected
        rule.hold.seconds = 2**62
        error = await refused(alerts.stub.PutAlertRule(alert_pb2.PutAlertRuleRequest(rule=rule), timeout=10))
        assert error.code is Code.INVALID_ARGUMENT
        assert (await refused(alerts.put_rule("No Name", model="fraud", signal="drift"))).violations[
            0
        ].field == "rule.name"


async def test_a_rule_judges_what_is_observed_after_it_was_put(postgres_url):
    async with alerting(postgres_url) as alerts:
        await alerts.observe(alerts.looked(0, Severity.HIGH, version="v1"))
        await alerts.put_rule("mine", model="fraud", signal="drift", at_least=monitor_pb2.SEVERITY_MEDIUM)
        await alerts.observe(alerts.looked(0, Severity.HIGH, version="v2"))

        async def raised() -> list[tuple[str, str]]:
            found = sorted((alert.rule, alert.version) for alert in await alerts.alerts(state=OPEN))
            return found if len(found) >= 3 else []

        # A rule of new installations was there before both.
        expected = [("drift-high", "v1"), ("drift-high", "v2"), ("mine", "v2")]
        assert await eventually(raised, within=20, every=0.1) == expected


async def test_callers_see_and_change_what_their_models_allow(postgres_url):
    async with alerting(postgres_url) as alerts:
        stub = alerts.stub
        star = alert_pb2.AlertRule(name="alertRules/mine", model="*", signal="drift", at_least="SEVERITY_HIGH")
        request = alert_pb2.PutAlertRuleRequest(rule=star)
        assert (await refused(stub.PutAlertRule(request, metadata=FRAUD_ONLY, timeout=10))).code is Code.NOT_FOUND
        request.rule.model = "fraud-eu"
        await stub.PutAlertRule(request, metadata=FRAUD_ONLY, timeout=10)
        assert await rules(alerts, FRAUD_ONLY) == ["mine"]
        request.rule.name = "alertRules/drift-high"  # of every model, which ann may not see
        taken = await refused(stub.PutAlertRule(request, metadata=FRAUD_ONLY, timeout=10))
        assert (taken.code, taken.reason) == (Code.ALREADY_EXISTS, "NAME_TAKEN")
        await delete_rule(alerts, "quality-high", FRAUD_ONLY)
        assert "quality-high" in await rules(alerts)

        await alerts.observe(
            *(alerts.looked(0, Severity.HIGH, model=model) for model in ("digits", "fraud", "fraud-eu"))
        )
        await eventually(lambda: _opened(alerts, 4), within=20)
        listed = await stub.ListAlerts(alert_pb2.ListAlertsRequest(), metadata=FRAUD_ONLY, timeout=10)
        assert {alert.model for alert in listed.alerts} == {"fraud", "fraud-eu"}
        (digits,) = await alerts.alerts(model="digits")
        hidden = alert_pb2.ResolveAlertRequest(name=digits.name)
        error = await refused(stub.ResolveAlert(hidden, metadata=FRAUD_ONLY, timeout=10))
        assert (error.code, error.reason) == (Code.NOT_FOUND, "ALERT_NOT_FOUND")
        error = await refused(
            stub.ListAlerts(alert_pb2.ListAlertsRequest(model="digits"), metadata=FRAUD_ONLY, timeout=10)
        )
        assert error.reason == "MODEL_NOT_FOUND"
        hook = alert_pb2.Webhook(name="webhooks/all", url="https://example.org/", secret=SECRET)
        everything = alert_pb2.PutWebhookRequest(webhook=hook)
        assert (await refused(stub.PutWebhook(everything, metadata=FRAUD_ONLY, timeout=10))).code is Code.NOT_FOUND


async def test_alerts_are_listed_page_by_page_and_ended_by_hand(postgres_url):
    async with alerting(postgres_url) as alerts:
        await alerts.observe(*(alerts.looked(0, Severity.HIGH, version=f"v{number}") for number in range(7)))
        await eventually(lambda: _opened(alerts, 7), within=20)
        request, found = alert_pb2.ListAlertsRequest(page_size=3), []
        while True:
            page = await alerts.stub.ListAlerts(request, timeout=10)
            found += page.alerts
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert sorted(alert.version for alert in found) == [f"v{number}" for number in range(7)]
        assert [int(one.name.split("/")[1]) for one in found] == sorted(
            (int(one.name.split("/")[1]) for one in found), reverse=True
        )
        for fields in ({"page_token": "x"}, {"page_size": -1}, {"state": 7}):
            assert (await refused(alerts.alerts(**fields))).code is Code.INVALID_ARGUMENT
        resolve = alert_pb2.ResolveAlertRequest(name=found[0].name)
        ended = [(await alerts.stub.ResolveAlert(resolve, timeout=10)).alert for _ in range(2)]
        assert ended[0] == ended[1]
        assert ended[0].state == RESOLVED
        assert len(await alerts.alerts(state=OPEN)) == 6
        for name in ("alerts/999999", "alerts/99999999999999999999", "alerts/x", ""):
            error = await refused(alerts.stub.ResolveAlert(alert_pb2.ResolveAlertRequest(name=name), timeout=10))
            assert error.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT)


async def test_a_watch_begins_with_what_is_open_and_goes_on_with_what_changes(postgres_url):
    async with alerting(postgres_url, max_alert_watches=2) as alerts:
        await alerts.put_rule("stop", model="fraud", signal="drift", at_least="SEVERITY_HIGH", freeze=True)
        await delete_rule(alerts, "drift-high")
        await alerts.observe(alerts.looked(0, Severity.HIGH), alerts.looked(0, Severity.HIGH, version="v2"))
        await eventually(lambda: _opened(alerts, 2), within=20)
        watch = alerts.stub.WatchAlerts(alert_pb2.WatchAlertsRequest(model="fraud"), metadata=FRAUD_ONLY, timeout=30)
        other = alerts.stub.WatchAlerts(alert_pb2.WatchAlertsRequest(model="digits"), timeout=30)
        first = [await watch.read() for _ in range(3)]
        assert [(one.alert.version, one.alert.freeze, one.snapshot_end) for one in first] == [
            ("v1", True, False),
            ("v2", True, False),
            ("", False, True),
        ]
        assert (await other.read()).snapshot_end
        error = await refused(alerts.stub.WatchAlerts(alert_pb2.WatchAlertsRequest(), timeout=10).read())
        assert error.reason == "TOO_MANY_WATCHES"
        hidden = alerts.stub.WatchAlerts(alert_pb2.WatchAlertsRequest(model="digits"), metadata=FRAUD_ONLY, timeout=10)
        assert (await refused(hidden.read())).code is Code.NOT_FOUND

        await alerts.observe(alerts.looked(1, Severity.NONE))
        ended = (await watch.read()).alert
        assert (ended.version, ended.state) == ("v1", RESOLVED)
        silence = alert_pb2.Silence(model="fraud")
        silence.expire_time.GetCurrentTime()
        silence.expire_time.seconds += 60
        await alerts.stub.SilenceAlerts(alert_pb2.SilenceAlertsRequest(silence=silence), timeout=10)
        silenced = (await watch.read()).alert
        assert (silenced.version, silenced.silenced, silenced.state) == ("v2", True, OPEN)
        await delete_rule(alerts, "stop")
        assert (await watch.read()).alert.state == RESOLVED

        alerts.runtime.stop()
        async with asyncio.timeout(10):
            for stream in (watch, other):
                assert await reason_of(stream.read()) == "STOPPING"


async def test_a_secret_is_never_returned_and_stays_for_the_same_url_only(postgres_url):
    async with alerting(postgres_url) as alerts:
        kept = await alerts.put_webhook("https://example.org/one")
        assert (kept.secret, kept.url, kept.format) == (
            "",
            "https://example.org/one",
            alert_pb2.Webhook.FORMAT_CLOUD_EVENT,
        )
        again = await alerts.put_webhook("https://example.org/one", secret="", at_least="SEVERITY_HIGH")
        assert again.at_least == 4
        error = await refused(alerts.put_webhook("https://elsewhere.org/one", secret=""))
        assert [violation.field for violation in error.violations] == ["webhook.secret"]
        assert SECRET not in str(error)
        async with alerts.database.transaction() as connection:
            assert await connection.fetchval("select secret from webhooks") == SECRET


async def test_what_is_asked_of_silences_is_checked_and_answered(postgres_url):
    async with alerting(postgres_url) as alerts:
        silence = alert_pb2.Silence(model="fraud", comment="x" * 1001, rule="Nope!")
        request = alert_pb2.SilenceAlertsRequest(silence=silence)
        assert (await refused(alerts.stub.SilenceAlerts(request, timeout=10))).violations[
            0
        ].field == "silence.expire_time"
        request.silence.expire_time.seconds = 1
        error = await refused(alerts.stub.SilenceAlerts(request, timeout=10))
        assert [violation.field for violation in error.violations] == [
            "silence.rule",
            "silence.expire_time",
            "silence.comment",
        ]
        request.silence.expire_time.GetCurrentTime()
        request.silence.expire_time.seconds += 60
        request.silence.rule, request.silence.comment = "", "why"
        made = (await alerts.stub.SilenceAlerts(request, metadata=FRAUD_ONLY, timeout=10)).silence
        assert (made.client, made.comment) == ("ann", "why")
        listed = await alerts.stub.ListSilences(alert_pb2.ListSilencesRequest(), timeout=10)
        assert list(listed.silences) == [made]
        await alerts.stub.DeleteSilence(alert_pb2.DeleteSilenceRequest(name=made.name), timeout=10)
        assert not (await alerts.stub.ListSilences(alert_pb2.ListSilencesRequest(), timeout=10)).silences


async def test_an_error_rate_of_minutes_raises_after_its_hold_and_says_so_in_prometheus(postgres_url):
    async with alerting(postgres_url) as alerts:
        await alerts.observe(*(_minute(alerts, minute, 0.2) for minute in range(4)))
        await eventually(lambda: _judged(alerts), within=20)
        assert await open_models(alerts) == []
        await alerts.observe(_minute(alerts, 4, 0.2))
        await eventually(lambda: _opened(alerts, 1), within=20)
        (alert,) = await alerts.alerts()
        assert (alert.rule, alert.value, alert.severity) == ("error-rate", pytest.approx(0.2), 4)
        assert alert.summary.startswith("error_rate is 0.2, above 0.05, over 5 min, 1,500 predictions")
        labels = {"model": "fraud", "severity": "high"}
        metrics = alerts.runtime.metrics
        await eventually(lambda: metrics.get_sample_value("monitor_alerts_open", labels) == 1, within=10)
        assert metrics.get_sample_value("monitor_alert_evaluation_lag_seconds") == 0


def _minute(alerts: Alerts, minute: int, value: float) -> Observation:
    return dataclasses.replace(
        alerts.looked(minute, Severity.NONE), signal="error_rate", value=value, rows=300, summary=""
    )


async def _judged(alerts: Alerts) -> bool:
    async with alerts.database.transaction() as connection:
        return await connection.fetchval("select bool_and(judged) from observations")


async def _opened(alerts: Alerts, number: int) -> bool:
    return len(await alerts.alerts(state=OPEN)) == number


async def test_one_client_cannot_make_all_the_rules_silences_and_webhooks_that_there_may_be(postgres_url, monkeypatch):
    pools = ((alerts_module, "_RULES", 5 + 4), (alerts_module, "_SILENCES", 4), (webhooks, "_POOL", 4))
    for module, name, places in pools:  # five rules are there from the start
        monkeypatch.setattr(module, name, dataclasses.replace(getattr(module, name), places=places))
    async with alerting(postgres_url) as alerts:

        def make(kind: str, number: int, client: str) -> Any:
            metadata = caller(client)
            match kind:
                case "rule":
                    rule = alert_pb2.AlertRule(
                        name=f"alertRules/{client}-{number}", model="fraud", signal="drift", at_least="SEVERITY_HIGH"
                    )
                    return alerts.stub.PutAlertRule(alert_pb2.PutAlertRuleRequest(rule=rule), metadata=metadata)
                case "silence":
                    silence = alert_pb2.Silence(model="fraud", expire_time=soon)
                    return alerts.stub.SilenceAlerts(alert_pb2.SilenceAlertsRequest(silence=silence), metadata=metadata)
            webhook = alert_pb2.Webhook(
                name=f"webhooks/{client}-{number}", url="http://127.0.0.1:1/hook", secret=SECRET, model="fraud"
            )
            return alerts.stub.PutWebhook(alert_pb2.PutWebhookRequest(webhook=webhook), metadata=metadata)

        soon = Timestamp()
        soon.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
        for kind, reason in (
            ("rule", "TOO_MANY_ALERT_RULES"), ("silence", "TOO_MANY_SILENCES"), ("webhook", "TOO_MANY_WEBHOOKS"),
        ):  # fmt: skip
            for number in range(2):
                await make(kind, number, "greedy")
            error = await refused(make(kind, 2, "greedy"))
            assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, f"{reason}_OF_CLIENT")
            await make(kind, 0, "modest")
        # Replacing what is one's own takes no place.
        await make("rule", 0, "greedy")
        await make("webhook", 0, "greedy")
