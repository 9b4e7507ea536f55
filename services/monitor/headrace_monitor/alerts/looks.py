"""What a rule finds when it looks at observations: whether it holds, or that nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace_statistics.severity import Severity

from headrace_monitor.alerts.observations import Observation
from headrace_monitor.alerts.signals import VALUED, Joining
from headrace_monitor.alerts.values import WINDOW, Rule


@dataclass(frozen=True, slots=True)
class Found:
    """What was found. severity: of an alert that comes of it."""

    holds: bool
    value: float
    severity: Severity
    summary: str


def span(rule: Rule) -> timedelta:
    """Return how much time one look of a rule covers at least; nothing where an observation is a look by itself."""
    return timedelta() if rule.graded else rule.window or WINDOW


def look(rule: Rule, newest: Observation, earlier: Iterable[Observation]) -> Found | None:
    """Return what a rule finds in an observation and what came before it; None where nothing can be said.

    earlier: of the same model, version and signal, in any order; those outside the rule's window are left out.
    """
    if rule.graded:
        return _graded(rule, newest)
    if not math.isfinite(newest.value):
        return None
    return _valued(rule, _apart(newest, earlier, newest.window_end - span(rule)))


def _graded(rule: Rule, newest: Observation) -> Found:
    assert rule.at_least is not None
    value = newest.value if math.isfinite(newest.value) else 0.0
    summary = newest.summary or f"{newest.signal} is {newest.severity.name}"
    return Found(newest.severity >= rule.at_least, value, rule.severity or newest.severity, summary)


def _valued(rule: Rule, window: Sequence[Observation]) -> Found | None:
    rows = None if any(one.rows is None for one in window) else sum(one.rows or 0 for one in window)
    if rows is not None and rows < rule.min_rows:
        return None
    value = _joined(VALUED[rule.signal], window)
    if value is None or not math.isfinite(value):
        return None
    if rule.above is not None:
        holds, bound = value > rule.above, f"above {rule.above:g}"
    else:
        assert rule.below is not None
        holds, bound = value < rule.below, f"below {rule.below:g}"
    severity = rule.severity or max(one.severity for one in window) or Severity.MEDIUM
    return Found(holds, value, severity, _summary(rule, window, value, bound, rows))


def _apart(newest: Observation, earlier: Iterable[Observation], start: datetime) -> list[Observation]:
    """Return the newest and those before it, as far as they do not overlap: sliding windows count nothing twice."""
    taken = [newest]
    for one in sorted(earlier, key=lambda one: one.window_end, reverse=True):
        if one.window_end <= taken[-1].window_start and one.window_start >= start and math.isfinite(one.value):
            taken.append(one)
    return taken


def _joined(joining: Joining, window: Sequence[Observation]) -> float | None:
    if joining is Joining.SUM:
        return sum(one.value for one in window)
    counted = [one for one in window if one.rows != 0]
    if not counted:
        return None
    if joining is Joining.MAX:
        return max(one.value for one in counted)
    weights = [float(one.rows) for one in counted if one.rows is not None]
    if len(weights) < len(counted):  # not known of each: by their length
        weights = [(one.window_end - one.window_start).total_seconds() for one in counted]
    # Not math.fsum, which raises where this becomes infinite.
    return sum(w * one.value for w, one in zip(weights, counted, strict=True)) / sum(weights)


def _summary(rule: Rule, window: Sequence[Observation], value: float, bound: str, rows: int | None) -> str:
    minutes = (window[0].window_end - window[-1].window_start).total_seconds() / 60
    basis = "" if rows is None else f", {rows:,} predictions"
    told = f"{rule.signal} is {value:.6g}, {bound}, over {minutes:g} min{basis}"
    return f"{told}; {window[0].summary}" if window[0].summary else told
