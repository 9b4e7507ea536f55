"""Between the API's messages and the values of alerting. What a message cannot say in a value is a field violation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.monitor.v1 import alert_pb2
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.outbox.messages import fill_webhook, webhook_fields
from headrace_servicekit.resource_names import ids, invalid, is_id, shown
from headrace_servicekit.resources import Kind
from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.reports import Report, Reported
from headrace_monitor.alert.decisions.values import AlertView, Rule, Silence, Webhook
from headrace_monitor.alert.observations import EVERY_MODEL

_OPEN = {
    alert_pb2.Alert.STATE_UNSPECIFIED: None,
    alert_pb2.Alert.STATE_OPEN: True,
    alert_pb2.Alert.STATE_RESOLVED: False,
}


def number(name: str, field: str, collection: str) -> int:
    """Return the number in `{collection}/{number}`. Raises InvalidArgument."""
    return int(ids(name, field, f"{collection}/{{number}}")[0])


def about(model: str) -> str:
    """Return the model of an alert filter; empty means all models. Raises InvalidArgument."""
    if model not in ("", EVERY_MODEL) and not is_id(model):
        raise invalid("model", f"{shown(model)} is not the id of a model; empty asks for every model's")
    return model


def rule(message: alert_pb2.AlertRule) -> Rule:
    """Return the rule in a message. Raises InvalidArgument for what is no rule at all."""
    found: list[FieldViolation] = []
    rule = Rule(
        name=ids(message.name, "rule.name", "alertRules/{rule}")[0],
        model=message.model,
        signal=message.signal,
        at_least=severity(message.at_least, "rule.at_least", found),
        above=message.above if message.HasField("above") else None,
        below=message.below if message.HasField("below") else None,
        hold=_duration(message, "hold", "rule.hold", found) or timedelta(),
        window=_duration(message, "window", "rule.window", found),
        severity=severity(message.severity, "rule.severity", found),
        freeze=message.freeze,
        retrain=message.retrain,
        min_rows=message.min_rows,
    )
    refuse(found)
    return rule


def to_rule(rule: Rule) -> alert_pb2.AlertRule:
    """Return the message of a rule."""
    message = alert_pb2.AlertRule(
        name=f"alertRules/{rule.name}",
        model=rule.model,
        signal=rule.signal,
        at_least=to_severity(rule.at_least),
        above=rule.above,
        below=rule.below,
        severity=to_severity(rule.severity),
        freeze=rule.freeze,
        retrain=rule.retrain,
        min_rows=rule.min_rows,
    )
    message.hold.FromTimedelta(rule.hold)
    if rule.window is not None:
        message.window.FromTimedelta(rule.window)
    return message


def is_open(state: int) -> bool | None:
    """Return which alerts a state asks for; None for all. Raises InvalidArgument."""
    if state not in _OPEN:
        raise invalid("state", f"{state} is not a state; leave it unset for every one")
    return _OPEN[state]  # pyright: ignore[reportArgumentType] - a number of an enum


def to_alert(one: AlertView) -> alert_pb2.Alert:
    """Return the message of an alert."""
    alert = one.alert
    summary = alert.summary
    if alert.open and alert.quiet_since is not None:
        summary += f" (no data since {alert.quiet_since:%Y-%m-%d %H:%M} UTC)"
    message = alert_pb2.Alert(
        name=f"alerts/{alert.id}",
        state=alert_pb2.Alert.STATE_OPEN if alert.open else alert_pb2.Alert.STATE_RESOLVED,
        rule=alert.key.rule,
        model=alert.key.model,
        version=alert.key.version,
        signal=alert.signal,
        severity=to_severity(alert.severity),
        summary=summary,
        value=alert.value,
        freeze=alert.freeze,
        retrain=alert.retrain,
        silenced=one.silenced,
        subject=alert.key.subject,
    )
    message.open_time.FromDatetime(alert.open_time)
    if alert.resolve_time is not None:
        message.resolve_time.FromDatetime(alert.resolve_time)
    return message


def report(message: alert_pb2.ReportAlertsRequest) -> Report:
    """Return the report in a message. Raises InvalidArgument for what is none at all."""
    found: list[FieldViolation] = []
    report = Report(
        message.reporter,
        message.epoch,
        _duration(message, "valid_for", "valid_for", found) or timedelta(),
        tuple(
            Reported(
                one.kind,
                one.subject,
                severity(one.severity, f"alerts[{at}].severity", found) or Severity.NONE,
                one.summary,
            )
            for at, one in enumerate(message.alerts)
        ),
    )
    refuse(found, reason="ALERT_REPORT_INVALID")
    return report


def silence(message: alert_pb2.Silence) -> Silence:
    """Return the silence in a message. Raises InvalidArgument."""
    if not message.HasField("expire_time"):
        raise invalid("silence.expire_time", "is not set: until when?")
    try:
        expire_time: datetime = message.expire_time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid("silence.expire_time", "is not a time between the years 1 and 9999") from None
    return Silence(None, message.model, message.rule, expire_time, message.comment, client="")


def to_silence(silence: Silence) -> alert_pb2.Silence:
    """Return the message of a silence."""
    message = alert_pb2.Silence(
        name=f"silences/{silence.id}",
        model=silence.model,
        rule=silence.rule,
        comment=silence.comment,
        client=silence.client,
    )
    message.expire_time.FromDatetime(silence.expire_time)
    return message


def webhook(message: alert_pb2.Webhook) -> Webhook:
    """Return the webhook in a message. Raises InvalidArgument for what is none at all."""
    found: list[FieldViolation] = []
    at_least = severity(message.at_least, "webhook.at_least", found) or Severity.NONE
    refuse(found)
    return Webhook(**webhook_fields(message, "webhooks"), at_least=at_least, retrain_only=message.retrain_only)


def to_webhook(webhook: Webhook) -> alert_pb2.Webhook:
    """Return the message of a webhook, without its secret."""
    message = alert_pb2.Webhook(at_least=to_severity(webhook.at_least), retrain_only=webhook.retrain_only)
    return fill_webhook(message, webhook, "webhooks")


def severity(number: int, field: str, found: list[FieldViolation]) -> Severity | None:
    """Return the severity of a number, None for the unspecified one; of an unknown number, note the violation."""
    if number == 0:
        return None
    try:
        return Severity(number - 1)
    except ValueError:
        found.append(FieldViolation(field, f"{number} is not a severity; choose 1 (NONE) to 4 (HIGH)"))
        return None


def to_severity(severity: Severity | None) -> Any:
    """Return the number of a severity in the API: there 0 is "not said"."""
    return 0 if severity is None else int(severity) + 1


def _duration(message: Any, name: str, field: str, found: list[FieldViolation]) -> timedelta | None:
    if not message.HasField(name):
        return None
    try:
        return getattr(message, name).ToTimedelta()
    except (ValueError, OverflowError):
        found.append(FieldViolation(field, "is not a duration"))
        return None


RULES = Kind(alert_pb2.AlertRule, "alertRules/{rule}", rule, to_rule)
SILENCES = Kind(alert_pb2.Silence, "silences/{number}", silence, to_silence)
WEBHOOKS = Kind(alert_pb2.Webhook, "webhooks/{webhook}", webhook, to_webhook)
