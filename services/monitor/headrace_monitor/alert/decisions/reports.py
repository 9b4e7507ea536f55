"""Alerts that other services report: decide which open, change and resolve. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.resource_names import is_id, shown
from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.transitions import AlertState
from headrace_monitor.alert.decisions.values import Alert, Key
from headrace_monitor.alert.observations import EVERY_MODEL, MAX_SUMMARY_CHARS

MAX_REPORTED = 1_000
MAX_SUBJECT_CHARS = 200
MIN_VALID, MAX_VALID = timedelta(seconds=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Reported:
    """One thing that a service finds wrong. kind: in words joined by hyphens; subject: what it is about."""

    kind: str
    subject: str
    severity: Severity
    summary: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a service finds wrong. epoch: of the leadership of its process. valid_for: without another report."""

    reporter: str
    epoch: int
    valid_for: timedelta
    alerts: tuple[Reported, ...]

    def key(self, one: Reported) -> Key:
        """Return the key of the alert of what was reported. Its rule is the name of no rule that people make."""
        return Key(f"{self.reporter}/{one.kind}", EVERY_MODEL, "", one.subject)


def report_violations(report: Report) -> Iterator[FieldViolation]:
    """Yield what is wrong with a report."""
    if not is_id(report.reporter):
        yield FieldViolation("reporter", f"{shown(report.reporter)} is not the id of a service")
    if not MIN_VALID <= report.valid_for <= MAX_VALID:
        yield FieldViolation("valid_for", "must be between 1 second and 1 hour")
    if len(report.alerts) > MAX_REPORTED:
        yield FieldViolation("alerts", f"{len(report.alerts)} are too many: report the {MAX_REPORTED} worst")
        return
    for at, one in enumerate(report.alerts):
        if not is_id(one.kind):
            yield FieldViolation(f"alerts[{at}].kind", f"{shown(one.kind)} is not in words joined by hyphens")
        if not 0 < len(one.subject) <= MAX_SUBJECT_CHARS or not one.subject.isprintable():
            text = f"must be printable text of 1 to {MAX_SUBJECT_CHARS} characters"
            yield FieldViolation(f"alerts[{at}].subject", text)
        if one.severity is Severity.NONE:
            yield FieldViolation(f"alerts[{at}].severity", "NONE is no severity of an alert; choose LOW or worse")
    for key, times in Counter(map(report.key, report.alerts)).items():
        if times > 1:
            yield FieldViolation("alerts", f"{shown(key.rule)} of {shown(key.subject)} is there {times} times")


def apply_report(report: Report, state: AlertState, before: Collection[Key], now: datetime) -> None:
    """Raise what is new and resolve what is gone. before: what was reported last.

    What was reported before and is not open was resolved by hand: it stays so until it has been gone for once.
    """
    present = {report.key(one): one for one in report.alerts}
    for key, one in present.items():
        alert = state.open.get(key)
        if alert is None and key not in before:
            state.set_alert(_opened(key, one, now))
        elif alert is not None and one.severity > alert.severity:
            state.set_alert(replace(alert, severity=one.severity, summary=_text(one)))
    _resolve_others(state, present, now)


def end_report(state: AlertState, now: datetime) -> None:
    """Resolve all reported alerts: their reporter is gone, so they cannot be confirmed."""
    _resolve_others(state, (), now)


def _resolve_others(state: AlertState, present: Collection[Key], now: datetime) -> None:
    for key, alert in list(state.open.items()):
        if key not in present:
            state.set_alert(replace(alert, resolve_time=now))


def _opened(key: Key, one: Reported, now: datetime) -> Alert:
    return Alert(None, key, one.kind, one.severity, _text(one), 0.0, freeze=False, retrain=False, open_time=now)


def _text(one: Reported) -> str:
    """Return the summary as PostgreSQL takes it."""
    return one.summary[:MAX_SUMMARY_CHARS].replace("\0", "")
