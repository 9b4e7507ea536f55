"""Decides who is told what: a pure function over alerts, webhooks, silences and what was told before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from headrace_servicekit.outbox.events import Format

from headrace_monitor.alerts.observations import EVERY_MODEL
from headrace_monitor.alerts.values import Alert, Kind, Silence, Telling, Webhook


def untold(
    alerts: Iterable[Alert],
    webhooks: Sequence[Webhook],
    silences: Sequence[Silence],
    told: Collection[Telling],
    now: datetime,
) -> list[Telling]:
    """Return what has to be told now, in order.

    It compares what is with what was told, so it can be asked again at any time: after a silence, for a new webhook.
    alerts: written ones. told: everything that these webhooks were told of these alerts, delivered or not.
    """
    by_pair: dict[tuple[str, int | None], list[Telling]] = {}
    for telling in told:
        by_pair.setdefault((telling.webhook, telling.alert), []).append(telling)
    found: list[Telling] = []
    for alert in alerts:
        silenced = any(silence.covers(alert.key, now) for silence in silences)
        for webhook in webhooks:
            found += _of_one(alert, webhook, silenced, by_pair.get((webhook.name, alert.id), []))
    return found


def _of_one(alert: Alert, webhook: Webhook, silenced: bool, told: Sequence[Telling]) -> Iterator[Telling]:
    assert alert.id is not None

    def telling(kind: Kind) -> Telling:
        assert alert.id is not None
        return Telling(webhook.name, alert.id, kind, alert.severity)

    kinds = {one.kind for one in told}
    worst = max((one.severity for one in told if one.kind in (Kind.OPENED, Kind.ESCALATED)), default=None)
    wanted = not silenced and concerns(webhook, alert)
    if not webhook.retrain_only:
        if wanted and worst is None and Kind.RESOLVED not in kinds:
            yield telling(Kind.OPENED)
            worst = alert.severity
        elif wanted and alert.open and worst is not None and alert.severity > worst:
            yield telling(Kind.ESCALATED)
        # Whoever was told the beginning is told the end, whatever has changed since: else a page stays open for ever.
        if not alert.open and worst is not None and Kind.RESOLVED not in kinds:
            yield telling(Kind.RESOLVED)
    asks = alert.retrain and alert.key.model != EVERY_MODEL
    if wanted and asks and webhook.format is Format.CLOUD_EVENT and Kind.RETRAIN not in kinds:
        yield telling(Kind.RETRAIN)


def concerns(webhook: Webhook, alert: Alert) -> bool:
    """Return whether a webhook wants to be told of an alert."""
    return webhook.model in ("", alert.key.model) and alert.severity >= webhook.at_least
