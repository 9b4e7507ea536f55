"""Which alerts open, change and resolve by what another service reports."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.alert.decisions.reports import (
    MAX_REPORTED,
    Report,
    Reported,
    apply_report,
    end_report,
    report_violations,
)
from headrace_monitor.alert.decisions.transitions import AlertState, resolve
from headrace_monitor.alert.decisions.validation import silence_violations
from headrace_monitor.alert.decisions.values import Alert, Key, Silence
from headrace_statistics.severity import Severity
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
REFUSED = Reported("actuator", "pools/gpu", Severity.HIGH, "Pool gpu: no quota.")
BLIND = Reported("signals", "pools/gpu", Severity.MEDIUM, "Pool gpu: requests_per_s is stale.")
ELSEWHERE = replace(BLIND, subject="pools/cpu")


def report(*alerts: Reported, epoch: int = 1) -> Report:
    return Report("autoscaler", epoch, timedelta(minutes=1), alerts)


class Service:
    """A service that reports; what is kept of it between reports."""

    def __init__(self) -> None:
        self.open: dict[Key, Alert] = {}
        self.before: set[Key] = set()

    def reports(self, *alerts: Reported) -> list[Alert]:
        """Return what changed."""
        state, reported = AlertState({}, dict(self.open)), report(*alerts)
        apply_report(reported, state, self.before, NOON)
        self.open, self.before = state.open, {reported.key(one) for one in alerts}
        return state.changed


def kinds(alerts: Iterable[Alert]) -> set[tuple[str, str]]:
    return {(alert.signal, alert.key.subject) for alert in alerts}


def test_what_is_new_is_raised_once_and_what_is_gone_is_resolved():
    service = Service()
    raised = service.reports(REFUSED, BLIND, ELSEWHERE)
    assert kinds(raised) == {("actuator", "pools/gpu"), ("signals", "pools/gpu"), ("signals", "pools/cpu")}
    assert {alert.key.rule for alert in raised} == {"autoscaler/actuator", "autoscaler/signals"}
    assert service.reports(REFUSED, BLIND, ELSEWHERE) == []
    (resolved,) = service.reports(REFUSED, ELSEWHERE)
    assert (resolved.signal, resolved.open) == ("signals", False)
    assert kinds(service.reports(REFUSED, BLIND, ELSEWHERE)) == {("signals", "pools/gpu")}


def test_what_was_resolved_by_hand_is_raised_anew_only_after_it_was_gone():
    service = Service()
    (alert,) = service.reports(REFUSED)
    state = AlertState({}, dict(service.open))
    resolve(alert, state, NOON)
    service.open = state.open
    assert service.reports(REFUSED) == []
    assert service.reports() == []
    assert len(service.reports(REFUSED)) == 1


def test_a_severity_that_rises_is_told_and_one_that_falls_is_not():
    service = Service()
    service.reports(BLIND)
    (worse,) = service.reports(replace(BLIND, severity=Severity.HIGH, summary="worse"))
    assert (worse.severity, worse.summary) == (Severity.HIGH, "worse")
    assert service.reports(BLIND) == []


def test_a_reporter_that_is_gone_leaves_nothing_open():
    service = Service()
    service.reports(REFUSED, BLIND)
    state = AlertState({}, dict(service.open))
    end_report(state, NOON)
    assert not state.open
    assert len(state.changed) == 2


@given(st.lists(st.lists(st.sampled_from([REFUSED, BLIND, ELSEWHERE]), unique=True), max_size=8))
def test_what_is_open_is_what_was_reported_last(reports: list[list[Reported]]):
    service = Service()
    for alerts in reports:
        service.reports(*alerts)
        assert kinds(service.open.values()) == {(one.kind, one.subject) for one in alerts}


@each(
    "bad,field",
    [
        (replace(report(), reporter="Auto Scaler"), "reporter"),
        (replace(report(), valid_for=timedelta()), "valid_for"),
        (replace(report(), valid_for=timedelta(days=1)), "valid_for"),
        (report(replace(BLIND, kind="a/b")), "alerts[0].kind"),
        (report(BLIND, replace(REFUSED, subject="")), "alerts[1].subject"),
        (report(replace(BLIND, subject="pools/\0")), "alerts[0].subject"),
        (report(replace(BLIND, severity=Severity.NONE)), "alerts[0].severity"),
        (report(BLIND, replace(BLIND, summary="again")), "alerts"),
        (report(*[replace(BLIND, subject=f"pools/p{at}") for at in range(MAX_REPORTED + 1)]), "alerts"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused_by_its_field(bad: Report, field: str):
    assert [violation.field for violation in report_violations(bad)] == [field]


def test_a_summary_of_any_text_is_kept_as_postgresql_takes_it():
    (alert,) = Service().reports(replace(BLIND, summary="\0" + "x" * 5_000))
    assert "\0" not in alert.summary
    assert len(alert.summary) <= 1_000


@pytest.mark.parametrize(
    ("rule", "taken"), [("autoscaler/actuator", True), ("p99", True), ("a/b/c", False), ("/", False)]
)
def test_a_silence_may_be_of_what_a_service_reports(rule: str, taken: bool):
    silence = Silence(None, "*", rule, NOON + timedelta(hours=1), "", "ada")
    assert (not silence_violations(silence, NOON)) is taken
