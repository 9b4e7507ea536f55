"""Rows of PostgreSQL as the values of alerting, and alerts as the text that deliveries carry."""

from __future__ import annotations

from typing import Any

from headrace_servicekit.outbox.webhooks import webhook_columns
from headrace_statistics.severity import Severity
from pydantic import TypeAdapter

from headrace_monitor.alert.decisions.values import Alert, AlertView, Key, Rule, Series, Silence, Webhook
from headrace_monitor.alert.observations import Observation

_ALERT: TypeAdapter[Alert] = TypeAdapter(Alert)


def observation(row: Any) -> Observation:
    return Observation(
        row["model"],
        row["version"],
        row["signal"],
        row["window_start"],
        row["window_end"],
        row["value"],
        Severity(row["severity"]),
        row["summary"],
        row["rows"],
    )


def rule(row: Any) -> Rule:
    return Rule(
        name=row["name"],
        model=row["model"],
        signal=row["signal"],
        at_least=_severity(row["at_least"]),
        above=row["above"],
        below=row["below"],
        hold=row["hold"],
        window=row["window_length"],
        severity=_severity(row["severity"]),
        freeze=row["freezes"],
        retrain=row["retrains"],
        min_rows=row["min_rows"],
        revision=row["revision"],
    )


def rule_arguments(one: Rule) -> tuple[Any, ...]:
    return (
        *(one.name, one.model, one.signal, one.at_least, one.above, one.below, one.hold, one.window, one.severity),
        *(one.freeze, one.retrain, one.min_rows),
    )


def series(row: Any) -> Series:
    return Series(
        Key(row["rule"], row["model"], row["version"]),
        row["revision"],
        row["seen"],
        row["quiet_after"],
        row["holding"],
        row["since"],
        row["muted"],
    )


def series_arguments(one: Series) -> tuple[Any, ...]:
    return (
        *(one.key.rule, one.key.model, one.key.version, one.revision, one.evaluated_to, one.quiet_after),
        *(one.holding, one.since, one.muted),
    )


def alert(row: Any) -> Alert:
    return Alert(
        id=row["id"],
        key=Key(row["rule"], row["model"], row["version"], row["subject"]),
        signal=row["signal"],
        severity=Severity(row["severity"]),
        summary=row["summary"],
        value=row["value"],
        freeze=row["freezes"],
        retrain=row["retrains"],
        open_time=row["open_time"],
        resolve_time=row["resolve_time"],
        quiet_since=row["quiet_since"],
    )


def new_alert_arguments(one: Alert) -> tuple[Any, ...]:
    return (
        *(one.key.rule, one.key.model, one.key.version, one.key.subject, one.signal, int(one.severity)),
        *(one.summary, one.value),
        *(one.freeze, one.retrain, one.open_time, one.resolve_time, one.quiet_since),
    )


def changed_alert_arguments(one: Alert) -> tuple[Any, ...]:
    return (
        *(one.id, int(one.severity), one.summary, one.value, one.freeze, one.retrain),
        *(one.resolve_time, one.quiet_since),
    )


def shown(row: Any) -> AlertView:
    return AlertView(alert(row), row["silenced"], row["sequence"])


def silence(row: Any) -> Silence:
    return Silence(row["id"], row["model"], row["rule"], row["expire_time"], row["comment"], row["client"])


def webhook(row: Any) -> Webhook:
    narrowed = {"at_least": Severity(row["at_least"]), "retrain_only": row["retrain_only"]}
    return Webhook(**webhook_columns(row), **narrowed)


def alert_text(one: Alert) -> str:
    """Return an alert as a delivery carries it."""
    return _ALERT.dump_json(one).decode()


def alert_of(text: str) -> Alert:
    """Return the alert that a delivery carries."""
    return _ALERT.validate_json(text)


def _severity(number: int | None) -> Severity | None:
    return None if number is None else Severity(number)
