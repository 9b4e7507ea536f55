"""Decides what is raised, changed and resolved: pure functions over rules, how they stand, observations, and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from headrace_monitor.alerts.looks import Found, look, span
from headrace_monitor.alerts.observations import Observation
from headrace_monitor.alerts.values import Alert, Key, Rule, Series

# An alert of which nothing is known for so long, or for so many looks, says so.
QUIET = timedelta(minutes=15)
QUIET_LOOKS = 3

# What is further ahead was stamped by a clock that was wrong: as the latest look it would stop all that come after it.
AHEAD = timedelta(hours=1)


@dataclass(slots=True)
class Standing:
    """How everything stands that a step is about; a step moves it on. changed: what has to be written."""

    series: dict[Key, Series]
    open: dict[Key, Alert]
    changed_series: dict[Key, Series] = field(default_factory=dict)
    changed: list[Alert] = field(default_factory=list)
    """New alerts, and those that are not as they were; each once."""

    def set_series(self, series: Series) -> None:
        """Take over how a rule stands now."""
        self.series[series.key] = self.changed_series[series.key] = series

    def set_alert(self, alert: Alert) -> None:
        """Take over a new alert, or an open one as it is now."""
        before = self.open.pop(alert.key, None)
        self.changed = [one for one in self.changed if one is not before]
        self.changed.append(alert)
        if alert.open:
            self.open[alert.key] = alert


def judge(
    rules: Sequence[Rule],
    standing: Standing,
    observations: Iterable[Observation],
    earlier: Callable[[Observation], Sequence[Observation]],
    now: datetime,
) -> None:
    """Move a standing on by observations in the order of their ends. Those from the future are left out.

    earlier: gives those of the same model, version and signal that came before one.
    """
    for one in observations:
        if one.window_end > now + AHEAD:
            continue
        for rule in rules:
            if rule.signal == one.signal and rule.covers(one.model):
                _judge(rule, standing, one, earlier, now)


def _judge(
    rule: Rule,
    standing: Standing,
    one: Observation,
    earlier: Callable[[Observation], Sequence[Observation]],
    now: datetime,
) -> None:
    key = Key(rule.name, one.model, one.version)
    before = standing.series.get(key)
    if before is not None and (before.revision != rule.revision or before.seen > now + AHEAD):
        before = None
    if before is not None and one.window_end <= before.seen:
        return  # a look at what was looked at: it would turn time back
    found = look(rule, one, earlier(one))
    if found is None:
        return
    series = advanced(rule, key, before, one, found)
    standing.set_series(series)
    held = one.window_end - series.since >= rule.hold
    alert = standing.open.get(key)
    if alert is None:
        if found.holds and held and not series.muted:
            standing.set_alert(raised(rule, key, found, now))
    elif not found.holds and held:
        standing.set_alert(replace(alert, resolve_time=now, quiet_since=None))
    else:
        after = updated(alert, found)
        if after != alert:
            standing.set_alert(after)


def advanced(rule: Rule, key: Key, before: Series | None, one: Observation, found: Found) -> Series:
    """Return how a rule stands after a look that said something.

    Time counts from the begin of the first look that agrees, and begins anew after a time of which nothing is known.
    """
    bound = max(QUIET, QUIET_LOOKS * max(one.window_end - one.window_start, span(rule)))
    known = before is not None and before.holding == found.holds and one.window_start <= before.quiet_after
    return Series(
        key,
        rule.revision,
        seen=one.window_end,
        quiet_after=one.window_end + bound,
        holding=found.holds,
        since=before.since if before is not None and known else one.window_start,
        muted=before is not None and before.muted and found.holds,
    )


def raised(rule: Rule, key: Key, found: Found, now: datetime) -> Alert:
    """Return the alert that a rule raises."""
    return Alert(
        None, key, rule.signal, found.severity, found.summary, found.value, rule.freeze, rule.retrain, open_time=now
    )


def updated(alert: Alert, found: Found) -> Alert:
    """Return an open alert after one more look: it becomes worse and never better, and something is known of it."""
    alert = replace(alert, quiet_since=None)
    if not found.holds or found.severity <= alert.severity:
        return alert
    return replace(alert, severity=found.severity, summary=found.summary, value=found.value)


def find_quiet(standing: Standing, now: datetime) -> None:
    """Say of open alerts that nothing is known of them any more. They stay as they are otherwise."""
    for key, alert in list(standing.open.items()):
        series = standing.series.get(key)
        if alert.quiet_since is None and series is not None and series.quiet_after < now:
            standing.set_alert(replace(alert, quiet_since=series.seen))


def change_rule(rule: Rule, standing: Standing, now: datetime) -> None:
    """Move open alerts of a rule on that was replaced: those that it no longer speaks of end, others go on by it."""
    for key, alert in list(standing.open.items()):
        if key.rule != rule.name:
            continue
        if alert.signal != rule.signal or not rule.covers(key.model):
            standing.set_alert(replace(alert, resolve_time=now))
            continue
        severity = max(alert.severity, rule.severity or alert.severity)
        after = replace(alert, freeze=rule.freeze, retrain=rule.retrain, severity=severity)
        if after != alert:
            standing.set_alert(after)


def delete_rule(name: str, standing: Standing, now: datetime) -> None:
    """Resolve the alerts of a rule that is gone."""
    for key, alert in list(standing.open.items()):
        if key.rule == name:
            standing.set_alert(replace(alert, resolve_time=now))


def resolve(alert: Alert, standing: Standing, now: datetime) -> None:
    """End an alert by hand. It is not raised again as long as its rule goes on holding."""
    standing.set_alert(replace(alert, resolve_time=now))
    series = standing.series.get(alert.key)
    if series is not None:
        standing.set_series(replace(series, muted=series.holding))
