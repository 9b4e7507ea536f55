"""One transaction over what `memory` stores: it changes a copy, which counts once the transaction has ended well."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from headrace_monitor.alert.decisions.notifications import missing_notifications
from headrace_monitor.alert.decisions.reports import Report
from headrace_monitor.alert.decisions.transitions import AlertState
from headrace_monitor.alert.decisions.values import Alert, Key, Notification, Rule, Series, Silence, Webhook
from headrace_monitor.alert.observations import EVERY_MODEL, Observation
from headrace_monitor.alert.store import MAX_QUIET, Earlier


@dataclass(slots=True)
class Contents:
    """What is stored: rules with who made them, alerts with the number of their last change.

    observations: with the time at which each was put. reports: the last of each service, and until when it holds.
    sequence: number of the last change.
    """

    observations: dict[int, tuple[Observation, datetime]] = field(default_factory=dict)
    evaluated: set[int] = field(default_factory=set)
    rules: dict[str, tuple[Rule, str]] = field(default_factory=dict)
    series: dict[Key, Series] = field(default_factory=dict)
    alerts: dict[int, tuple[Alert, int]] = field(default_factory=dict)
    silences: dict[int, Silence] = field(default_factory=dict)
    webhooks: list[Webhook] = field(default_factory=list)
    notifications: dict[Notification, None] = field(default_factory=dict)
    reports: dict[str, tuple[Report, datetime]] = field(default_factory=dict)
    sequence: int = 0
    number: int = 0

    def new_number(self) -> int:
        """Return an id that nothing else has."""
        self.number += 1
        return self.number

    def next_change(self) -> int:
        """Return the number of a change."""
        self.sequence += 1
        return self.sequence

    def silences_at(self, now: datetime) -> list[Silence]:
        """Return the silences in force."""
        return [one for one in self.silences.values() if one.expire_time > now]

    def open(self) -> Iterator[Alert]:
        """Yield the open alerts, by id."""
        return (alert for _, (alert, _) in sorted(self.alerts.items()) if alert.open)


class MemoryAlertTransaction:
    """Implements AlertTransaction."""

    def __init__(self, contents: Contents, now: datetime) -> None:
        self.contents, self.now = contents, now

    async def rules(self) -> list[Rule]:
        return [rule for _, (rule, _) in sorted(self.contents.rules.items())]

    async def rule(self, name: str) -> Rule | None:
        return self.contents.rules.get(name, (None,))[0]

    async def count_rules(self, client: str) -> tuple[int, int]:
        return _count((maker for _, maker in self.contents.rules.values()), client)

    async def put_rule(self, rule: Rule, client: str) -> Rule:
        stored = replace(rule, revision=self.contents.next_change())
        _, maker = self.contents.rules.get(rule.name, (None, client))
        self.contents.rules[rule.name] = (stored, maker)
        return stored

    async def delete_rule(self, name: str) -> None:
        self.contents.rules.pop(name, None)
        self.contents.series = {key: one for key, one in self.contents.series.items() if key.rule != name}

    async def of_rule(self, name: str) -> AlertState:
        return AlertState({}, {one.key: one for one in self.contents.open() if one.key.rule == name})

    async def of_versions(self, versions: Iterable[tuple[str, str]]) -> AlertState:
        asked = set(versions)
        series = {key: one for key, one in self.contents.series.items() if (key.model, key.version) in asked}
        return AlertState(
            series, {one.key: one for one in self.contents.open() if (one.key.model, one.key.version) in asked}
        )

    async def gone_quiet(self) -> AlertState:
        found = [one for one in self.contents.open() if one.quiet_since is None and self._is_quiet(one.key)][:MAX_QUIET]
        return AlertState({one.key: self.contents.series[one.key] for one in found}, {one.key: one for one in found})

    async def pending_observations(self, limit: int) -> list[tuple[int, Observation]]:
        pending = [
            (number, one)
            for number, (one, _) in self.contents.observations.items()
            if number not in self.contents.evaluated
        ]
        return sorted(pending, key=lambda pair: (pair[1].window_end, pair[0]))[:limit]

    async def earlier(self, chunk: Sequence[Observation], reach: Mapping[str, timedelta]) -> Earlier:
        since = {_place(one): one.window_end - reach[one.signal] for one in reversed(chunk)}
        end = chunk[-1].window_end
        found: Earlier = {}
        for one, _ in self.contents.observations.values():
            if _place(one) in since and since[_place(one)] < one.window_end <= end:
                found.setdefault(_place(one), []).append(one)
        return found

    async def mark_evaluated(self, ids: Sequence[int]) -> None:
        self.contents.evaluated.update(ids)

    async def alert(self, number: int) -> Alert | None:
        return self.contents.alerts.get(number, (None,))[0]

    async def add_silence(self, silence: Silence) -> Silence:
        number = self.contents.new_number()
        self.contents.silences[number] = stored = replace(silence, id=number)
        self._touch(stored)
        return stored

    async def silence(self, number: int) -> Silence | None:
        return self.contents.silences.get(number)

    async def count_silences(self, client: str) -> tuple[int, int]:
        return _count((one.client for one in self.contents.silences.values()), client)

    async def end_silence(self, silence: Silence) -> None:
        self._end([silence])

    async def end_silences(self) -> None:
        self._end([one for one in self.contents.silences.values() if one.expire_time <= self.now])

    def put_webhook(self, webhook: Webhook) -> None:
        self.contents.webhooks = [*(one for one in self.contents.webhooks if one.name != webhook.name), webhook]
        self._notify(self.contents.open())

    async def epoch_of(self, reporter: str) -> int | None:
        last = self.contents.reports.get(reporter)
        return None if last is None or last[1] <= self.now else last[0].epoch

    async def reported(self, reporter: str) -> tuple[set[Key], AlertState]:
        last = self.contents.reports.get(reporter)
        keys = set() if last is None else {last[0].key(one) for one in last[0].alerts}
        return keys, AlertState({}, {one.key: one for one in self.contents.open() if one.key in keys})

    async def keep_report(self, report: Report) -> None:
        self.contents.reports[report.reporter] = (report, self.now + report.valid_for)

    async def silent_reporters(self) -> list[str]:
        return sorted(name for name, (_, until) in self.contents.reports.items() if until <= self.now)

    async def forget_reporter(self, reporter: str) -> None:
        self.contents.reports.pop(reporter, None)

    async def save(self, state: AlertState) -> None:
        self.contents.series.update(state.changed_series)
        written = [one if one.id is not None else replace(one, id=self.contents.new_number()) for one in state.changed]
        for one in written:
            assert one.id is not None
            self.contents.alerts[one.id] = (one, self.contents.next_change())
        self._notify(written)

    def _end(self, silences: Collection[Silence]) -> None:
        for one in silences:
            assert one.id is not None
            self.contents.silences.pop(one.id, None)
            self._touch(one)
        if silences:
            self._notify(self.contents.open())

    def _touch(self, silence: Silence) -> None:
        for one in list(self.contents.open()):
            if silence.model in (EVERY_MODEL, one.key.model) and silence.rule in ("", one.key.rule):
                assert one.id is not None
                self.contents.alerts[one.id] = (one, self.contents.next_change())

    def _notify(self, alerts: Iterable[Alert]) -> None:
        silences, sent = self.contents.silences_at(self.now), self.contents.notifications
        sent.update(dict.fromkeys(missing_notifications(alerts, self.contents.webhooks, silences, sent, self.now)))

    def _is_quiet(self, key: Key) -> bool:
        return key in self.contents.series and self.contents.series[key].quiet_after < self.now


def _place(one: Observation) -> tuple[str, str, str]:
    return one.model, one.version, one.signal


def _count(makers: Iterable[str], client: str) -> tuple[int, int]:
    made_by = list(makers)
    return len(made_by), made_by.count(client)
