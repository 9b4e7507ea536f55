"""Rules, alerts and silences in PostgreSQL: what is read, and turns to change them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.alert import rows
from headrace_monitor.alert.decisions.reports import Report
from headrace_monitor.alert.decisions.transitions import AlertState
from headrace_monitor.alert.decisions.values import Alert, AlertView, Key, Rule, Series, Silence, Webhook
from headrace_monitor.alert.metrics import AlertMetrics
from headrace_monitor.alert.observations import EVERY_MODEL, Observation
from headrace_monitor.alert.store import MAX_QUIET, Earlier
from headrace_monitor.alert.webhooks import narrow, notify

_SQL = load_queries("headrace_monitor.alert")
CHANNEL = "monitor_alerts"
# Any number will do, as long as nothing else takes the same lock in this database.
_TURN = 0x616C_6572_7473
_EXPIRE_AT_ONCE = 5_000
_PAGE = 100


class PostgresAlertTransaction:
    """Implements AlertTransaction. now: the database's clock, when it began."""

    def __init__(self, connection: Any, now: datetime) -> None:
        self._connection = connection
        self.now = now
        self.dropped = 0
        """Notifications that were dropped because their webhook's queue was full."""

    async def rules(self) -> list[Rule]:
        return [rows.rule(row) for row in await self._connection.fetch(_SQL["rules"])]

    async def rule(self, name: str) -> Rule | None:
        row = await self._connection.fetchrow(_SQL["rule"], name)
        return None if row is None else rows.rule(row)

    async def count_rules(self, client: str) -> tuple[int, int]:
        return tuple(await self._connection.fetchrow(_SQL["count_rules"], client))

    async def put_rule(self, rule: Rule, client: str) -> Rule:
        return rows.rule(await self._connection.fetchrow(_SQL["put_rule"], *rows.rule_arguments(rule), client))

    async def delete_rule(self, name: str) -> None:
        await self._connection.execute(_SQL["delete_rule"], name)

    async def of_rule(self, name: str) -> AlertState:
        found = [rows.alert(row) for row in await self._connection.fetch(_SQL["open_alerts_of_rule"], name)]
        return AlertState(series={}, open={alert.key: alert for alert in found})

    async def of_versions(self, versions: Iterable[tuple[str, str]]) -> AlertState:
        asked = sorted(set(versions))
        models, names = [model for model, _ in asked], [version for _, version in asked]
        series = [rows.series(row) for row in await self._connection.fetch(_SQL["series"], models, names)]
        found = await self._connection.fetch(_SQL["open_alerts_of_versions"], models, names)
        alerts = [rows.alert(row) for row in found]
        return AlertState({one.key: one for one in series}, {one.key: one for one in alerts})

    async def gone_quiet(self) -> AlertState:
        found = await self._connection.fetch(_SQL["gone_quiet"], MAX_QUIET)
        series = [rows.series(row) for row in found]
        alerts = [rows.alert(row) for row in found]
        return AlertState({one.key: one for one in series}, {one.key: one for one in alerts})

    async def pending_observations(self, limit: int) -> list[tuple[int, Observation]]:
        found = await self._connection.fetch(_SQL["pending_observations"], limit)
        return [(row["id"], rows.observation(row)) for row in found]

    async def earlier(self, chunk: Sequence[Observation], reach: Mapping[str, timedelta]) -> Earlier:
        first = {(one.model, one.version, one.signal): one.window_end for one in reversed(chunk)}
        columns = zip(*((*key, end - reach[key[2]]) for key, end in sorted(first.items())), strict=True)
        end = chunk[-1].window_end
        found: Earlier = {}
        for row in await self._connection.fetch(_SQL["earlier"], *columns, end):
            one = rows.observation(row)
            found.setdefault((one.model, one.version, one.signal), []).append(one)
        return found

    async def mark_evaluated(self, ids: Sequence[int]) -> None:
        await self._connection.execute(_SQL["mark_evaluated"], ids)

    async def alert(self, number: int) -> Alert | None:
        row = await self._connection.fetchrow(_SQL["alert"], number)
        return None if row is None else rows.alert(row)

    async def add_silence(self, silence: Silence) -> Silence:
        arguments = (silence.model, silence.rule, silence.expire_time, silence.comment, silence.client)
        number = await self._connection.fetchval(_SQL["insert_silence"], *arguments)
        await self._touch(silence)
        return replace(silence, id=number)

    async def silence(self, number: int) -> Silence | None:
        row = await self._connection.fetchrow(_SQL["silence"], number)
        return None if row is None else rows.silence(row)

    async def count_silences(self, client: str) -> tuple[int, int]:
        return tuple(await self._connection.fetchrow(_SQL["count_silences"], client))

    async def end_silence(self, silence: Silence) -> None:
        await self._connection.execute(_SQL["delete_silence"], silence.id)
        await self._touch(silence)
        await self.notify_open()

    async def end_silences(self) -> None:
        ended = [rows.silence(row) for row in await self._connection.fetch(_SQL["end_silences"])]
        for silence in ended:
            await self._touch(silence)
        if ended:
            await self.notify_open()

    async def epoch_of(self, reporter: str) -> int | None:
        return await self._connection.fetchval(_SQL["reporter"], reporter)

    async def reported(self, reporter: str) -> tuple[set[Key], AlertState]:
        records = await self._connection.fetch(_SQL["reported"], reporter)
        found = [rows.alert(row) for row in await self._connection.fetch(_SQL["open_alerts_of_reporter"], reporter)]
        keys = {Key(row["rule"], EVERY_MODEL, "", row["subject"]) for row in records}
        return keys, AlertState(series={}, open={alert.key: alert for alert in found})

    async def keep_report(self, report: Report) -> None:
        await self._connection.execute(_SQL["put_reporter"], report.reporter, report.epoch, report.valid_for)
        await self._connection.execute(_SQL["delete_reported"], report.reporter)
        keys = [report.key(one) for one in report.alerts]
        columns = [key.rule for key in keys], [key.subject for key in keys]
        await self._connection.execute(_SQL["put_reported"], report.reporter, *columns)

    async def silent_reporters(self) -> list[str]:
        return [row["reporter"] for row in await self._connection.fetch(_SQL["expired_reporters"])]

    async def forget_reporter(self, reporter: str) -> None:
        await self._connection.execute(_SQL["delete_reporter"], reporter)

    async def save(self, state: AlertState) -> None:
        if state.changed_series:
            await self._put_series(state.changed_series.values())
        written = [await self._write(alert) for alert in state.changed]
        if written:
            await self._notify(written)
            await self._connection.execute(_SQL["wake"])

    async def notify_open(self) -> None:
        """Write what webhooks have to be sent of the alerts that are open, and were not."""
        found = [rows.alert(row) for row in await self._connection.fetch(_SQL["open_alerts"])]
        await self._notify(found)

    async def _notify(self, alerts: Sequence[Alert]) -> None:
        self.dropped += await notify(self._connection, alerts, await self._silences(), self.now)

    async def _silences(self) -> list[Silence]:
        return [rows.silence(row) for row in await self._connection.fetch(_SQL["silences"])]

    async def _touch(self, silence: Silence) -> None:
        await self._connection.execute(_SQL["touch_silenced"], silence.model, silence.rule)
        await self._connection.execute(_SQL["wake"])

    async def _put_series(self, series: Iterable[Series]) -> None:
        columns = zip(*(rows.series_arguments(one) for one in series), strict=True)
        await self._connection.execute(_SQL["put_series"], *columns)

    async def _write(self, alert: Alert) -> Alert:
        if alert.id is None:
            number = await self._connection.fetchval(_SQL["insert_alert"], *rows.new_alert_arguments(alert))
            return replace(alert, id=number)
        await self._connection.execute(_SQL["update_alert"], *rows.changed_alert_arguments(alert))
        return alert


class PostgresAlerts:
    """Implements AlertStore on a database that several replicas share."""

    def __init__(self, connections: Connections, metrics: AlertMetrics) -> None:
        self._connections, self._metrics = connections, metrics

    @asynccontextmanager
    async def transaction(self, *, validate_only: bool = False) -> AsyncIterator[PostgresAlertTransaction]:
        async with self._connections.transaction(validate_only=validate_only) as connection:
            transaction = await self._turn(connection)
            yield transaction
        if not validate_only:
            self._metrics.delivery("dead", transaction.dropped)

    @asynccontextmanager
    async def transaction_if_free(self) -> AsyncIterator[PostgresAlertTransaction | None]:
        async with self._connections.transaction() as connection:
            transaction = None
            if await connection.fetchval(_SQL["try_lock"], _TURN):
                transaction = PostgresAlertTransaction(connection, await connection.fetchval(_SQL["now"]))
            yield transaction
        if transaction is not None:
            self._metrics.delivery("dead", transaction.dropped)

    async def welcome(self, connection: Any, webhook: Webhook) -> None:
        """Write which alerts a webhook wants, and send it what is open: in the transaction that wrote the webhook."""
        transaction = await self._turn(connection)
        await narrow(connection, webhook)
        await transaction.notify_open()
        self._metrics.delivery("dead", transaction.dropped)

    async def rules(self) -> list[Rule]:
        return [rows.rule(row) for row in await self._fetch("rules")]

    async def silences(self) -> list[Silence]:
        return [rows.silence(row) for row in await self._fetch("silences")]

    async def alert(self, number: int) -> AlertView | None:
        found = await self._fetch("alert", number)
        return rows.shown(found[0]) if found else None

    async def alerts(self, *, before: int, model: str | None, is_open: bool | None, limit: int) -> list[AlertView]:
        return [rows.shown(row) for row in await self._fetch("alerts", before, model, is_open, limit)]

    async def open(self) -> AsyncIterator[AlertView]:
        last = 0
        while page := [rows.shown(row) for row in await self._fetch("open_shown", last, _PAGE)]:
            for one in page:
                last = one.alert.id or last
                yield one

    async def changed_since(self, sequence: int, *, limit: int) -> list[AlertView]:
        return [rows.shown(row) for row in await self._fetch("changed_since", sequence, limit)]

    async def position(self) -> Position:
        return Position(*(await self._fetch("position"))[0])

    async def lag_s(self) -> float:
        return (await self._fetch("oldest_pending"))[0][0]

    async def open_counts(self) -> list[tuple[str, int, int]]:
        return [(row["model"], row["severity"], row["count"]) for row in await self._fetch("open_counts")]

    async def expire(self, *, observations: timedelta, series: timedelta, alerts: timedelta) -> bool:
        async with self._connections.transaction() as connection:
            removed = [
                await connection.execute(_SQL["expire_observations"], observations, _EXPIRE_AT_ONCE),
                await connection.execute(_SQL["expire_alerts"], alerts, _EXPIRE_AT_ONCE),
            ]
            await connection.execute(_SQL["expire_series"], series)
        return f"DELETE {_EXPIRE_AT_ONCE}" in removed

    def wakes(self) -> AsyncIterator[None]:
        return self._connections.notices(CHANNEL)

    @staticmethod
    async def _turn(connection: Any) -> PostgresAlertTransaction:
        await connection.execute(_SQL["lock"], _TURN)
        return PostgresAlertTransaction(connection, await connection.fetchval(_SQL["now"]))

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))
