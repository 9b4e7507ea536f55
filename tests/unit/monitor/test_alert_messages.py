"""What webhooks are sent, when they are tried again, and what rules are refused."""

import hashlib
import hmac
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from headrace_monitor.alert.decisions.events import event_of
from headrace_monitor.alert.decisions.notifications import missing_notifications
from headrace_monitor.alert.decisions.validation import rule_violations, silence_violations, webhook_violations
from headrace_monitor.alert.decisions.values import Alert, Key, Kind, Notification, Rule, Silence, Webhook
from headrace_servicekit.outbox.backoff import asked_pause, pause
from headrace_servicekit.outbox.events import Format, secret_violations
from headrace_servicekit.outbox.formats import SIGNATURE_HEADER, message
from headrace_statistics.severity import Severity

from tests.kit.rows import each

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECRET = "a key of sixteen or more"
HOOK = Webhook("hook", "https://example.org/hook", SECRET)
ALERT = Alert(17, Key("r", "fraud", "v1"), "drift", Severity.HIGH, "a < b & c", 0.3, True, False, NOON)
RULE = Rule("r", "*", "error_rate", above=0.1)


def sent(kind: Kind, format: Format = Format.CLOUD_EVENT, alert: Alert = ALERT, now: datetime = NOON):  # noqa: A002
    webhook = replace(HOOK, format=format)
    return message(event_of(UUID(int=1), kind, alert, NOON), webhook, now)


def test_the_signature_is_what_the_api_says_and_the_documentation_verifies_it():
    page = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown: dict = {}
    exec(snippet, shown)
    now = datetime.fromtimestamp(int(time.time()), UTC)
    out = sent(Kind.OPENED, now=now)
    header = out.headers[SIGNATURE_HEADER]
    seconds = int(now.timestamp())
    told = f"{seconds}.".encode() + out.body
    assert header == f"t={seconds},v1={hmac.digest(SECRET.encode(), told, hashlib.sha256).hex()}"
    assert shown["verify"](SECRET, header, out.body)
    assert not shown["verify"](SECRET, header, out.body + b" ")
    assert not shown["verify"]("another secret of sixteen", header, out.body)
    old = sent(Kind.OPENED, now=now - timedelta(hours=1))
    assert not shown["verify"](SECRET, old.headers[SIGNATURE_HEADER], old.body)


def test_an_event_has_every_attribute_that_cloud_events_demand():
    event = json.loads(sent(Kind.OPENED).body)
    assert {name: event[name] for name in ("specversion", "id", "source", "type", "subject", "time")} == {
        "specversion": "1.0",
        "id": str(UUID(int=1)),
        "source": "/headrace/monitor",
        "type": "headrace.alert.opened",
        "subject": "alerts/17",
        "time": "2030-01-01T12:00:00Z",
    }
    assert event["data"]["severity"] == "SEVERITY_HIGH"


def test_pagerduty_is_told_begin_and_end_under_one_key():
    begin = json.loads(sent(Kind.OPENED, Format.PAGERDUTY).body)
    worse = json.loads(sent(Kind.ESCALATED, Format.PAGERDUTY).body)
    end = json.loads(sent(Kind.RESOLVED, Format.PAGERDUTY).body)
    assert [one["event_action"] for one in (begin, worse, end)] == ["trigger", "trigger", "resolve"]
    assert begin["dedup_key"] == worse["dedup_key"] == end["dedup_key"]
    assert begin["routing_key"] == SECRET
    assert begin["payload"]["severity"] == "critical"
    assert begin["payload"]["source"] == "fraud"
    long = json.loads(sent(Kind.OPENED, Format.PAGERDUTY, replace(ALERT, summary="x" * 2000)).body)
    assert len(long["payload"]["summary"]) == 1024  # the most that PagerDuty takes


def test_what_slack_shows_is_not_markup():
    body = json.loads(sent(Kind.OPENED, Format.SLACK).body)
    assert "a &lt; b &amp; c" in body["text"]
    assert body["blocks"][0]["text"]["text"] == body["text"]


def test_pauses_double_up_to_an_hour_and_are_never_the_same_for_all():
    first = timedelta(seconds=5)
    longest = [pause(attempt, first=first, draw=1.0).total_seconds() for attempt in range(1, 15)]
    assert longest[:4] == [5, 10, 20, 40]
    assert longest[-1] == 3600
    assert pause(3, first=first, draw=0.0) == timedelta(seconds=10)
    assert pause(10**6, first=first, draw=0.0) == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 0), ("30", 30), ("999999999", 3600), ("-1", 0), ("Wed, 21 Oct", 0), ("9" * 99, 0)]
)
def test_a_receiver_may_ask_to_be_left_alone_for_an_hour_at_most(header, seconds):
    assert asked_pause(header) == timedelta(seconds=seconds)


def test_who_is_told_what():
    low = replace(ALERT, severity=Severity.LOW)
    high_only, digits = replace(HOOK, name="high", at_least=Severity.HIGH), replace(HOOK, name="digits", model="digits")
    retrain = replace(HOOK, name="retrain", retrain_only=True)
    hooks = [HOOK, high_only, digits, retrain]

    def told(alert: Alert, before: list[Notification], silences: list[Silence]) -> list[tuple[str, Kind]]:
        return [(one.webhook, one.kind) for one in missing_notifications([alert], hooks, silences, before, NOON)]

    first = missing_notifications([low], hooks, [], [], NOON)
    assert [(one.webhook, one.kind) for one in first] == [("hook", Kind.OPENED)]
    assert told(ALERT, first, []) == [("hook", Kind.ESCALATED), ("high", Kind.OPENED)]
    assert told(replace(low, retrain=True), first, []) == [("hook", Kind.RETRAIN), ("retrain", Kind.RETRAIN)]
    silence = Silence(1, "fraud", "r", NOON + timedelta(hours=1), "", "")
    assert told(low, [], [silence]) == []
    assert told(replace(low, resolve_time=NOON), first, [silence]) == [("hook", Kind.RESOLVED)]
    assert told(low, [], [replace(silence, rule="another")]) != []
    assert told(low, [], [replace(silence, expire_time=NOON)]) != []


@each(
    "rule,field",
    [
        pytest.param(RULE, None, id="good"),
        pytest.param(Rule("r", "fraud", "drift", at_least=Severity.LOW), None, id="good by severity"),
        pytest.param(replace(RULE, hold=timedelta(), window=timedelta(minutes=1)), None, id="as short as may be"),
        pytest.param(replace(RULE, hold=timedelta(days=7), window=timedelta(days=1)), None, id="as long as may be"),
        pytest.param(replace(RULE, above=None, below=0.5, min_rows=0), None, id="below, of any number of rows"),
        pytest.param(replace(RULE, above=float("nan")), "rule.above", id="no number"),
        pytest.param(replace(RULE, above=None, below=float("nan")), "rule.below", id="no number below"),
        pytest.param(replace(RULE, window=timedelta(days=1, seconds=1)), "rule.window", id="more than a day"),
        pytest.param(
            Rule("r", "*", "drift", at_least=Severity.LOW, window=timedelta(minutes=5)),
            "rule.window",
            id="window of what has its own",
        ),
        pytest.param(replace(RULE, above=float("inf")), "rule.above", id="infinite"),
        pytest.param(replace(RULE, below=0.5), "rule.below", id="both bounds"),
        pytest.param(replace(RULE, above=None), "rule.above", id="no bound"),
        pytest.param(replace(RULE, at_least=Severity.HIGH), "rule.at_least", id="severity of a value"),
        pytest.param(replace(RULE, signal="acuracy"), "rule.signal", id="unknown signal"),
        pytest.param(replace(RULE, model="Fraud!"), "rule.model", id="no model"),
        pytest.param(replace(RULE, hold=timedelta(days=8)), "rule.hold", id="too long"),
        pytest.param(replace(RULE, hold=timedelta(seconds=-1)), "rule.hold", id="negative"),
        pytest.param(replace(RULE, window=timedelta(seconds=1)), "rule.window", id="less than a minute"),
        pytest.param(replace(RULE, min_rows=-1), "rule.min_rows", id="negative rows"),
        pytest.param(replace(RULE, severity=Severity.NONE), "rule.severity", id="none is no severity"),
        pytest.param(Rule("r", "*", "drift"), "rule.at_least", id="no severity"),
        pytest.param(Rule("r", "*", "drift", at_least=Severity.NONE), "rule.at_least", id="always"),
        pytest.param(Rule("r", "*", "drift", at_least=Severity.LOW, above=1.0), "rule.above", id="value of a severity"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_field(rule, field):
    assert [one.field for one in rule_violations(rule)] == ([] if field is None else [field])


def test_an_unknown_signal_is_answered_with_those_that_there_are():
    (violation,) = rule_violations(replace(RULE, signal="acuracy"))
    assert "accuracy" in violation.description


SILENCE = Silence(1, "fraud", "r", NOON + timedelta(days=366), "ann", "x" * 1000)


@each(
    "silence,fields",
    [
        pytest.param(SILENCE, [], id="good, as long as may be"),
        pytest.param(replace(SILENCE, model="*", rule=""), [], id="of everything"),
        pytest.param(replace(SILENCE, model=""), ["silence.model"], id="no model"),
        pytest.param(replace(SILENCE, rule="No rule!"), ["silence.rule"], id="no id of a rule"),
        pytest.param(replace(SILENCE, expire_time=NOON), ["silence.expire_time"], id="over already"),
        pytest.param(
            replace(SILENCE, expire_time=NOON + timedelta(days=366, seconds=1)), ["silence.expire_time"], id="for ever"
        ),
        pytest.param(replace(SILENCE, comment="x" * 1001), ["silence.comment"], id="a long comment"),
        pytest.param(replace(SILENCE, comment="x\0"), ["silence.comment"], id="what PostgreSQL cannot keep"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused_by_its_field(silence, fields):
    assert [one.field for one in silence_violations(silence, NOON)] == fields


def test_requests_to_train_again_are_sent_as_cloud_events_only():
    (refused,) = webhook_violations(replace(HOOK, format=Format.SLACK, retrain_only=True))
    assert refused.field == "webhook.retrain_only"
    assert list(webhook_violations(replace(HOOK, retrain_only=True))) == []


@each(
    "secret,kind,refused",
    [
        pytest.param("x" * 16, Format.CLOUD_EVENT, False, id="as short a secret as may be"),
        pytest.param("x" * 256, Format.CLOUD_EVENT, False, id="as long a secret as may be"),
        pytest.param("x" * 257, Format.CLOUD_EVENT, True, id="a longer one"),
        pytest.param("", Format.CLOUD_EVENT, True, id="unsigned"),
        pytest.param("", Format.SLACK, False, id="slack needs none"),
        pytest.param("", Format.PAGERDUTY, True, id="no routing key"),
        pytest.param("short", Format.CLOUD_EVENT, True, id="short"),
        pytest.param("ü" * 20, Format.CLOUD_EVENT, True, id="not ASCII"),
    ],
)
def test_a_secret_that_signs_nothing_well_is_refused(secret, kind, refused):
    fields = [one.field for one in secret_violations(secret, kind, "webhook.secret")]
    assert fields == ["webhook.secret"] * refused


def test_neither_secret_nor_url_shows_in_what_is_printed_of_a_webhook():
    assert "sixteen" not in repr(HOOK)
    assert "example" not in repr(HOOK)
