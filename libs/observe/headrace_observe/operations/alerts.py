"""Alerts: their rules, receivers and end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from headrace.monitor.v1 import alert_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.operations.list_pages import list_all

DEFAULT_TIMEOUT_S = 30.0


def list_alerts(
    session: Session,
    *,
    model: str = "",
    state: alert_pb2.Alert.State = alert_pb2.Alert.STATE_UNSPECIFIED,
    limit: int | None = 50,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[alert_pb2.Alert]]:
    """Return alerts, the latest first."""
    request = alert_pb2.ListAlertsRequest(model=model, state=state)
    return (
        yield from list_all(session, alert_pb2.ListAlertsResponse, request, "alerts", timeout_s=timeout, limit=limit)
    )


def resolve_alert(session: Session, alert: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[alert_pb2.Alert]:
    """End an alert by hand."""
    request = alert_pb2.ResolveAlertRequest(name=_named("alerts", alert))
    return (yield from invoke(session, alert_pb2.ResolveAlertResponse, request, timeout_s=timeout)).alert


def watch_alerts(
    session: Session, received: Callable[[Any], None], *, model: str = "", timeout: float = 3600.0
) -> Operation[None]:
    """Give `received` the alerts that are open, the marker, and every change from then on, until the timeout."""
    request = alert_pb2.WatchAlertsRequest(model=model)
    yield from invoke(
        session, alert_pb2.WatchAlertsResponse, request, timeout_s=timeout, idempotent=False, listen=lambda: received
    )


def list_alert_rules(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[alert_pb2.AlertRule]]:
    """Return the rules, by name."""
    answer = yield from invoke(
        session, alert_pb2.ListAlertRulesResponse, alert_pb2.ListAlertRulesRequest(), timeout_s=timeout
    )
    return list(answer.rules)


def put_alert_rule(
    session: Session, rule: alert_pb2.AlertRule, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[alert_pb2.AlertRule]:
    """Make a rule, or replace the one of its name."""
    request = alert_pb2.PutAlertRuleRequest(rule=rule)
    return (yield from invoke(session, alert_pb2.PutAlertRuleResponse, request, timeout_s=timeout)).rule


def delete_alert_rule(session: Session, rule: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a rule; alerts that it raised are resolved."""
    request = alert_pb2.DeleteAlertRuleRequest(name=_named("alertRules", rule))
    yield from invoke(session, alert_pb2.DeleteAlertRuleResponse, request, timeout_s=timeout)


def silence_alerts(
    session: Session,
    model: str,
    until: datetime,
    *,
    rule: str = "",
    comment: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[alert_pb2.Silence]:
    """Suppress notifications of a model's alerts (`*`: of every model) until a time; without a rule, of every rule."""
    silence = alert_pb2.Silence(model=model, rule=rule.removeprefix("alertRules/"), comment=comment)
    silence.expire_time.FromDatetime(until)
    request = alert_pb2.SilenceAlertsRequest(silence=silence)
    return (
        yield from invoke(session, alert_pb2.SilenceAlertsResponse, request, timeout_s=timeout, idempotent=False)
    ).silence


def list_silences(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[alert_pb2.Silence]]:
    """Return the silences in force."""
    answer = yield from invoke(
        session, alert_pb2.ListSilencesResponse, alert_pb2.ListSilencesRequest(), timeout_s=timeout
    )
    return list(answer.silences)


def delete_silence(session: Session, silence: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """End a silence."""
    request = alert_pb2.DeleteSilenceRequest(name=_named("silences", silence))
    yield from invoke(session, alert_pb2.DeleteSilenceResponse, request, timeout_s=timeout)


def list_webhooks(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[alert_pb2.Webhook]]:
    """Return the webhooks, and how their deliveries go."""
    answer = yield from invoke(
        session, alert_pb2.ListWebhooksResponse, alert_pb2.ListWebhooksRequest(), timeout_s=timeout
    )
    return list(answer.webhooks)


def put_webhook(
    session: Session, webhook: alert_pb2.Webhook, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[alert_pb2.Webhook]:
    """Make a webhook, or replace the one of its name."""
    request = alert_pb2.PutWebhookRequest(webhook=webhook)
    return (yield from invoke(session, alert_pb2.PutWebhookResponse, request, timeout_s=timeout)).webhook


def delete_webhook(session: Session, webhook: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a webhook, with its undelivered events."""
    request = alert_pb2.DeleteWebhookRequest(name=_named("webhooks", webhook))
    yield from invoke(session, alert_pb2.DeleteWebhookResponse, request, timeout_s=timeout)


def _named(collection: str, text: str) -> str:
    """Return a resource name, from itself or from its id."""
    return text if text.startswith(f"{collection}/") else f"{collection}/{text}"
