"""Values of alerting: rules, series, alerts, silences, webhooks and notifications."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace_servicekit.outbox import webhooks
from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.signals import GRADED
from headrace_monitor.alert.observations import EVERY_MODEL

WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert rule. Fields are those of the API; severity None means the severity of the observation.

    window: None for a graded signal, whose source sets the length of its windows.
    revision: changes with every update.
    """

    name: str
    model: str
    signal: str
    at_least: Severity | None = None
    above: float | None = None
    below: float | None = None
    hold: timedelta = timedelta()
    window: timedelta | None = None
    severity: Severity | None = None
    freeze: bool = False
    retrain: bool = False
    min_rows: int = 0
    revision: int = 0

    @property
    def graded(self) -> bool:
        """Return whether the rule compares severities rather than values."""
        return self.signal in GRADED

    def covers(self, model: str) -> bool:
        """Return whether the rule is about a model."""
        return self.model in (EVERY_MODEL, model)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which rule, of which version of which model: there is at most one open alert of each.

    subject: what it is about where that is no model.
    """

    rule: str
    model: str
    version: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """State of a rule for one version between two evaluations.

    revision: of the rule that was evaluated.
    evaluated_to: end of the latest window with data.
    quiet_after: when the lack of data is to be reported.
    holding: whether the rule held then; since: start of the current run of equal results.
    muted: its alert was resolved by hand, and the rule has held ever since.
    """

    key: Key
    revision: int
    evaluated_to: datetime
    quiet_after: datetime
    holding: bool
    since: datetime
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing worth notification. id: None until it is written. quiet_since: since when nothing is known of it."""

    id: int | None
    key: Key
    signal: str
    severity: Severity
    summary: str
    value: float
    freeze: bool
    retrain: bool
    open_time: datetime
    resolve_time: datetime | None = None
    quiet_since: datetime | None = None

    @property
    def open(self) -> bool:
        return self.resolve_time is None


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert as callers see it. sequence: number of its last change."""

    alert: Alert
    silenced: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Suppresses notifications of alerts for a time. id: None until it is written. rule: empty for every rule."""

    id: int | None
    model: str
    rule: str
    expire_time: datetime
    comment: str
    client: str

    def covers(self, key: Key, now: datetime) -> bool:
        """Return whether an alert is silenced now."""
        return now < self.expire_time and self.model in (EVERY_MODEL, key.model) and self.rule in ("", key.rule)


@dataclass(frozen=True, slots=True)
class Webhook(webhooks.Webhook):
    """A receiver of notifications, and of which."""

    at_least: Severity = Severity.NONE
    retrain_only: bool = False


class Kind(enum.StrEnum):
    """Kind of a notification."""

    OPENED = "opened"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification of a webhook, sent or to be sent: at most one of each kind and severity of an alert."""

    webhook: str
    alert: int
    kind: Kind
    severity: Severity
