"""Evaluate a rule's condition on observations: it holds, it does not, or there is too little data to say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.signals import VALUED, Aggregation
from headrace_monitor.alert.decisions.values import WINDOW, Rule
from headrace_monitor.alert.observations import Observation


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """Result of evaluating a condition. severity: of the alert that it may open."""

    holds: bool
    value: float
    severity: Severity
    summary: str


def rule_window(rule: Rule) -> timedelta:
    """Return the length of the window that a rule is evaluated over; zero where each observation stands alone."""
    return timedelta() if rule.graded else rule.window or WINDOW


def evaluate(rule: Rule, newest: Observation, earlier: Iterable[Observation]) -> ConditionResult | None:
    """Evaluate a rule on an observation and those before it; return None where the data do not suffice.

    earlier: of the same model, version and signal, in any order; those outside the rule's window are left out.
    """
    if rule.graded:
        return _graded(rule, newest)
    if not math.isfinite(newest.value):
        return None
    return _valued(rule, _apart(newest, earlier, newest.window_end - rule_window(rule)))


def _graded(rule: Rule, newest: Observation) -> ConditionResult:
    assert rule.at_least is not None
    value = newest.value if math.isfinite(newest.value) else 0.0
    summary = newest.summary or f"{newest.signal} is {newest.severity.name}"
    return ConditionResult(newest.severity >= rule.at_least, value, rule.severity or newest.severity, summary)


def _valued(rule: Rule, window: Sequence[Observation]) -> ConditionResult | None:
    rows = None if any(one.rows is None for one in window) else sum(one.rows or 0 for one in window)
    if rows is not None and rows < rule.min_rows:
        return None
    value = _aggregated(VALUED[rule.signal], window)
    if value is None or not math.isfinite(value):
        return None
    if rule.above is not None:
        holds, bound = value > rule.above, f"above {rule.above:g}"
    else:
        assert rule.below is not None
        holds, bound = value < rule.below, f"below {rule.below:g}"
    severity = rule.severity or max(one.severity for one in window) or Severity.MEDIUM
    return ConditionResult(holds, value, severity, _summary(rule, window, value, bound, rows))


def _apart(newest: Observation, earlier: Iterable[Observation], start: datetime) -> list[Observation]:
    """Return the newest observation and earlier ones that do not overlap, so nothing counts twice."""
    taken = [newest]
    for one in sorted(earlier, key=lambda one: one.window_end, reverse=True):
        if one.window_end <= taken[-1].window_start and one.window_start >= start and math.isfinite(one.value):
            taken.append(one)
    return taken


def _aggregated(how: Aggregation, window: Sequence[Observation]) -> float | None:
    if how is Aggregation.SUM:
        return sum(one.value for one in window)
    counted = [one for one in window if one.rows != 0]
    if not counted:
        return None
    if how is Aggregation.MAX:
        return max(one.value for one in counted)
    weights = [float(one.rows) for one in counted if one.rows is not None]
    if len(weights) < len(counted):  # not known of each: by their length
        weights = [(one.window_end - one.window_start).total_seconds() for one in counted]
    # Not math.fsum, which raises where this becomes infinite.
    return sum(w * one.value for w, one in zip(weights, counted, strict=True)) / sum(weights)


def _summary(rule: Rule, window: Sequence[Observation], value: float, bound: str, rows: int | None) -> str:
    minutes = (window[0].window_end - window[-1].window_start).total_seconds() / 60
    basis = "" if rows is None else f", {rows:,} predictions"
    text = f"{rule.signal} is {value:.6g}, {bound}, over {minutes:g} min{basis}"
    return f"{text}; {window[0].summary}" if window[0].summary else text
