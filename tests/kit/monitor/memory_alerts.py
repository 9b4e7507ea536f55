"""Rules, alerts and silences in memory, for tests of what uses them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from headrace_monitor.alert.decisions.values import Alert, AlertView, Notification, Rule, Silence, Webhook
from headrace_monitor.alert.observations import Observation
from headrace_servicekit.coordination.feeds import Position

from tests.kit.monitor.memory_alert_transaction import Contents, MemoryAlertTransaction


class MemoryAlerts:
    """Implements AlertStore. now: the store's clock. Nothing is delivered to webhooks."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now, self._incarnation = now, uuid4()
        self._turn = asyncio.Lock()
        self._contents = Contents()
        self._changed = asyncio.Event()

    @property
    def notifications(self) -> list[Notification]:
        """Return what webhooks are to be sent, in order."""
        return list(self._contents.notifications)

    async def put(self, observations: Iterable[Observation]) -> None:
        """Write observations: the first one of a model, version, signal and window counts."""
        async with self._turn:
            contents = self._contents
            windows = {_window(one) for one, _ in contents.observations.values()}
            for one in observations:
                if _window(one) not in windows:
                    windows.add(_window(one))
                    contents.observations[contents.new_number()] = (one, self._now())

    async def put_webhook(self, webhook: Webhook) -> None:
        """Have a webhook that is sent of alerts, those that are open among them."""
        async with self.transaction() as transaction:
            transaction.put_webhook(webhook)

    @asynccontextmanager
    async def transaction(self, *, validate_only: bool = False) -> AsyncIterator[MemoryAlertTransaction]:
        async with self._turn:
            transaction = MemoryAlertTransaction(deepcopy(self._contents), self._now())
            yield transaction
            if not validate_only:
                self._contents = transaction.contents
                self._changed.set()

    @asynccontextmanager
    async def transaction_if_free(self) -> AsyncIterator[MemoryAlertTransaction | None]:
        if self._turn.locked():
            yield None
        else:
            async with self.transaction() as transaction:
                yield transaction

    async def rules(self) -> list[Rule]:
        return [rule for _, (rule, _) in sorted(self._contents.rules.items())]

    async def silences(self) -> list[Silence]:
        return self._contents.silences_at(self._now())

    async def alert(self, number: int) -> AlertView | None:
        found = self._contents.alerts.get(number)
        return None if found is None else self._view(*found)

    async def alerts(self, *, before: int, model: str | None, is_open: bool | None, limit: int) -> list[AlertView]:
        found = [
            self._view(alert, sequence)
            for number, (alert, sequence) in sorted(self._contents.alerts.items(), reverse=True)
            if number < before and model in (None, alert.key.model) and is_open in (None, alert.open)
        ]
        return found[:limit]

    async def open(self) -> AsyncIterator[AlertView]:
        for alert, sequence in list(self._contents.alerts.values()):
            if alert.open:
                yield self._view(alert, sequence)

    async def changed_since(self, sequence: int, *, limit: int) -> list[AlertView]:
        changed = [self._view(alert, last) for alert, last in self._contents.alerts.values() if last > sequence]
        return sorted(changed, key=lambda view: view.sequence)[:limit]

    async def position(self) -> Position:
        return Position(self._incarnation, max((last for _, last in self._contents.alerts.values()), default=0))

    async def wakes(self) -> AsyncIterator[None]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield

    async def lag_s(self) -> float:
        contents = self._contents
        put = [time for number, (_, time) in contents.observations.items() if number not in contents.evaluated]
        return (self._now() - min(put)).total_seconds() if put else 0.0

    async def open_counts(self) -> list[tuple[str, int, int]]:
        counts = Counter((alert.key.model, int(alert.severity)) for alert in self._contents.open())
        return [(model, severity, number) for (model, severity), number in sorted(counts.items())]

    async def expire(self, *, observations: timedelta, series: timedelta, alerts: timedelta) -> bool:
        async with self._turn:
            contents, now = self._contents, self._now()
            contents.observations = {
                number: (one, time)
                for number, (one, time) in contents.observations.items()
                if number not in contents.evaluated or time >= now - observations
            }
            contents.alerts = {
                number: (alert, last)
                for number, (alert, last) in contents.alerts.items()
                if alert.resolve_time is None or alert.resolve_time >= now - alerts
            }
            contents.notifications = {one: None for one in contents.notifications if one.alert in contents.alerts}
            open_keys = {alert.key for alert in contents.open()}
            contents.series = {
                key: one for key, one in contents.series.items() if key in open_keys or one.quiet_after >= now - series
            }
        return False

    def _view(self, alert: Alert, sequence: int) -> AlertView:
        now = self._now()
        return AlertView(alert, any(one.covers(alert.key, now) for one in self._contents.silences.values()), sequence)


def _window(one: Observation) -> tuple[str, str, str, datetime, datetime]:
    return one.model, one.version, one.signal, one.window_end, one.window_start
