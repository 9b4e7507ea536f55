"""Decide which alerts open, change and resolve: pure functions of rules, their state, observations and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from headrace_monitor.alert.decisions.conditions import ConditionResult, evaluate, rule_window
from headrace_monitor.alert.decisions.values import Alert, Key, Rule, Series
from headrace_monitor.alert.observations import Observation

# An alert is marked as without data after this time, or after several windows if those take longer.
QUIET = timedelta(minutes=15)
QUIET_WINDOWS = 3

# A window that ends further ahead comes from a wrong clock: taken as the latest, it would hold up all later ones.
AHEAD = timedelta(hours=1)


@dataclass(slots=True)
class AlertState:
    """Series and open alerts that one step is about. The step updates them; `changed` is what has to be written."""

    series: dict[Key, Series]
    open: dict[Key, Alert]
    changed_series: dict[Key, Series] = field(default_factory=dict)
    changed: list[Alert] = field(default_factory=list)
    """New and changed alerts, each once."""

    def set_series(self, series: Series) -> None:
        """Replace the state of one series."""
        self.series[series.key] = self.changed_series[series.key] = series

    def set_alert(self, alert: Alert) -> None:
        """Add a new alert, or replace an open one."""
        before = self.open.pop(alert.key, None)
        self.changed = [one for one in self.changed if one is not before]
        self.changed.append(alert)
        if alert.open:
            self.open[alert.key] = alert


def apply_observations(
    rules: Sequence[Rule],
    state: AlertState,
    observations: Iterable[Observation],
    earlier: Callable[[Observation], Sequence[Observation]],
    now: datetime,
) -> None:
    """Update the state by observations in the order of their ends. Observations from the future are skipped.

    earlier: returns the observations of the same model, version and signal that came before one.
    """
    for one in observations:
        if one.window_end > now + AHEAD:
            continue
        for rule in rules:
            if rule.signal == one.signal and rule.covers(one.model):
                _apply(rule, state, one, earlier, now)


def _apply(
    rule: Rule,
    state: AlertState,
    one: Observation,
    earlier: Callable[[Observation], Sequence[Observation]],
    now: datetime,
) -> None:
    key = Key(rule.name, one.model, one.version)
    before = state.series.get(key)
    if before is not None and (before.revision != rule.revision or before.evaluated_to > now + AHEAD):
        before = None
    if before is not None and one.window_end <= before.evaluated_to:
        return  # this window was evaluated already: going back would undo later results
    found = evaluate(rule, one, earlier(one))
    if found is None:
        return
    series = next_series(rule, key, before, one, found)
    state.set_series(series)
    long_enough = one.window_end - series.since >= rule.hold
    alert = state.open.get(key)
    if alert is None:
        if found.holds and long_enough and not series.muted:
            state.set_alert(new_alert(rule, key, found, now))
    elif not found.holds and long_enough:
        state.set_alert(replace(alert, resolve_time=now, quiet_since=None))
    else:
        after = updated(alert, found)
        if after != alert:
            state.set_alert(after)


def next_series(rule: Rule, key: Key, before: Series | None, one: Observation, found: ConditionResult) -> Series:
    """Return the state of a series after an evaluation that had data.

    `since` is the start of the first window of the current run of equal results. A gap without data starts a new run.
    """
    bound = max(QUIET, QUIET_WINDOWS * max(one.window_end - one.window_start, rule_window(rule)))
    known = before is not None and before.holding == found.holds and one.window_start <= before.quiet_after
    return Series(
        key,
        rule.revision,
        evaluated_to=one.window_end,
        quiet_after=one.window_end + bound,
        holding=found.holds,
        since=before.since if before is not None and known else one.window_start,
        muted=before is not None and before.muted and found.holds,
    )


def new_alert(rule: Rule, key: Key, found: ConditionResult, now: datetime) -> Alert:
    """Return the alert that a rule raises."""
    return Alert(
        None, key, rule.signal, found.severity, found.summary, found.value, rule.freeze, rule.retrain, open_time=now
    )


def updated(alert: Alert, found: ConditionResult) -> Alert:
    """Return an open alert after one more evaluation: its severity may rise and never falls, and it has data again."""
    alert = replace(alert, quiet_since=None)
    if not found.holds or found.severity <= alert.severity:
        return alert
    return replace(alert, severity=found.severity, summary=found.summary, value=found.value)


def mark_quiet(state: AlertState, now: datetime) -> None:
    """Mark open alerts whose series have no data any more. Nothing else about them changes."""
    for key, alert in list(state.open.items()):
        series = state.series.get(key)
        if alert.quiet_since is None and series is not None and series.quiet_after < now:
            state.set_alert(replace(alert, quiet_since=series.evaluated_to))


def change_rule(rule: Rule, state: AlertState, now: datetime) -> None:
    """Apply a replaced rule to its open alerts: resolve those that it no longer covers, update the others."""
    for key, alert in list(state.open.items()):
        if key.rule != rule.name:
            continue
        if alert.signal != rule.signal or not rule.covers(key.model):
            state.set_alert(replace(alert, resolve_time=now))
            continue
        severity = max(alert.severity, rule.severity or alert.severity)
        after = replace(alert, freeze=rule.freeze, retrain=rule.retrain, severity=severity)
        if after != alert:
            state.set_alert(after)


def delete_rule(name: str, state: AlertState, now: datetime) -> None:
    """Resolve the alerts of a rule that is gone."""
    for key, alert in list(state.open.items()):
        if key.rule == name:
            state.set_alert(replace(alert, resolve_time=now))


def resolve(alert: Alert, state: AlertState, now: datetime) -> None:
    """Resolve an alert by hand. It does not open again while its rule keeps holding."""
    state.set_alert(replace(alert, resolve_time=now))
    series = state.series.get(alert.key)
    if series is not None:
        state.set_series(replace(series, muted=series.holding))
