"""Decide which notifications webhooks get: a pure function of alerts, webhooks, silences and earlier notifications."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from headrace_servicekit.outbox.events import Format

from headrace_monitor.alert.decisions.values import Alert, Kind, Notification, Silence, Webhook
from headrace_monitor.alert.observations import EVERY_MODEL


def missing_notifications(
    alerts: Iterable[Alert],
    webhooks: Sequence[Webhook],
    silences: Sequence[Silence],
    sent: Collection[Notification],
    now: datetime,
) -> list[Notification]:
    """Return what has to be sent now, in order.

    It compares what is with what was sent, so it can be asked again at any time: after a silence, for a new webhook.
    alerts: written ones. sent: everything that these webhooks were sent of these alerts, delivered or not.
    """
    by_pair: dict[tuple[str, int | None], list[Notification]] = {}
    for notification in sent:
        by_pair.setdefault((notification.webhook, notification.alert), []).append(notification)
    found: list[Notification] = []
    for alert in alerts:
        silenced = any(silence.covers(alert.key, now) for silence in silences)
        for webhook in webhooks:
            found += _of_one(alert, webhook, silenced, by_pair.get((webhook.name, alert.id), []))
    return found


def _of_one(alert: Alert, webhook: Webhook, silenced: bool, sent: Sequence[Notification]) -> Iterator[Notification]:
    assert alert.id is not None

    def notification(kind: Kind) -> Notification:
        assert alert.id is not None
        return Notification(webhook.name, alert.id, kind, alert.severity)

    kinds = {one.kind for one in sent}
    worst = max((one.severity for one in sent if one.kind in (Kind.OPENED, Kind.ESCALATED)), default=None)
    wanted = not silenced and concerns(webhook, alert)
    if not webhook.retrain_only:
        if wanted and worst is None and Kind.RESOLVED not in kinds:
            yield notification(Kind.OPENED)
            worst = alert.severity
        elif wanted and alert.open and worst is not None and alert.severity > worst:
            yield notification(Kind.ESCALATED)
        # A receiver of the first notification gets the resolution too, whatever changed since: else its incident stays
        # open for ever.
        if not alert.open and worst is not None and Kind.RESOLVED not in kinds:
            yield notification(Kind.RESOLVED)
    asks = alert.retrain and alert.key.model != EVERY_MODEL
    if wanted and asks and webhook.format is Format.CLOUD_EVENT and Kind.RETRAIN not in kinds:
        yield notification(Kind.RETRAIN)


def concerns(webhook: Webhook, alert: Alert) -> bool:
    """Return whether a webhook wants to be sent of an alert."""
    return webhook.model in ("", alert.key.model) and alert.severity >= webhook.at_least
