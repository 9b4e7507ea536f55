"""When alerts are raised, changed and resolved, look by look."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.alert.decisions.transitions import (
    AlertState,
    apply_observations,
    change_rule,
    delete_rule,
    mark_quiet,
    resolve,
)
from headrace_monitor.alert.decisions.values import Alert, Key, Rule
from headrace_monitor.alert.observations import Observation
from headrace_statistics.severity import Severity

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ERRORS = Rule("errors", "*", "error_rate", above=0.05, hold=3 * MINUTE, window=MINUTE, min_rows=100, revision=1)
DRIFT = Rule("drift", "*", "drift", at_least=Severity.MEDIUM, revision=1)
KEY = Key("errors", "fraud", "v1")


def rates(*values: float, start: int = 0, rows: int | None = 200) -> list[Observation]:
    """Return error rates of minutes that follow each other."""
    return [
        Observation("fraud", "v1", "error_rate", at(minute), at(minute + 1), value, Severity.NONE, "", rows)
        for minute, value in enumerate(values, start)
    ]


def drifts(*severities: Severity) -> list[Observation]:
    """Return drift observations of consecutive hours."""
    return [
        Observation("fraud", "v1", "drift", at(60 * hour), at(60 * hour + 60), 0.1 * found, found, f"age is {found:d}")
        for hour, found in enumerate(severities)
    ]


def at(minute: float) -> datetime:
    return NOON + minute * MINUTE


class Alerting:
    """What is kept between steps, in memory."""

    def __init__(self, *rules: Rule) -> None:
        self.rules, self.seen = list(rules), []
        self.state = AlertState({}, {})

    def see(self, observations: Sequence[Observation], now: datetime | None = None) -> list[Alert]:
        """Judge, and return what changed."""
        self.state = AlertState(self.state.series, self.state.open)
        self.seen += observations
        last = now or observations[-1].window_end
        apply_observations(self.rules, self.state, observations, self._earlier, last)
        return self.state.changed

    def _earlier(self, one: Observation) -> list[Observation]:
        return [
            other
            for other in self.seen
            if (other.model, other.version, other.signal) == (one.model, one.version, one.signal)
            and other.window_end < one.window_end
        ]


def test_a_metric_that_flaps_gives_one_alert_and_one_resolve():
    alerting = Alerting(ERRORS)
    flapping = [0.2, 0.2, 0.2, *[0.0, 0.2] * 30, 0.0, 0.0, 0.0]
    changes = [change for one in rates(*flapping) for change in alerting.see([one])]
    assert [change.open for change in changes] == [True, False]
    assert changes[0].open_time == at(3)
    assert changes[1].resolve_time == at(len(flapping))


def test_what_never_holds_long_enough_raises_nothing():
    assert Alerting(ERRORS).see(rates(*[0.2, 0.2, 0.0] * 10)) == []


def test_without_hold_one_look_raises_and_one_resolves():
    alerting = Alerting(replace(ERRORS, hold=timedelta()))
    (raised,) = alerting.see(rates(0.25))
    assert raised.severity is Severity.MEDIUM
    assert raised.summary == "error_rate is 0.25, above 0.05, over 1 min, 200 predictions"
    (resolved,) = alerting.see(rates(0.0, start=1))
    assert (resolved.key, resolved.resolve_time, resolved.value) == (raised.key, at(2), 0.25)


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param([], id="no look"),
        pytest.param(rates(*[0.0] * 30, start=3, rows=99), id="too few predictions"),
        pytest.param(rates(*[math.nan] * 30, start=3), id="no number"),
        pytest.param(rates(*[1e308] * 30, start=3, rows=10**9), id="no number when joined"),
    ],
)
def test_on_nothing_an_alert_neither_ends_nor_begins_but_says_that_nothing_is_known(silent):
    alerting = Alerting(ERRORS)
    alerting.see(rates(0.2, 0.2, 0.2))
    if silent:
        assert alerting.see(silent) == []
    mark_quiet(alerting.state, at(18))
    assert alerting.state.open[KEY].quiet_since is None
    mark_quiet(alerting.state, at(18.1))
    assert alerting.state.open[KEY].quiet_since == at(3)
    (known,) = alerting.see(rates(0.2, start=33))
    assert known.open
    assert known.quiet_since is None


def test_what_held_before_a_time_of_which_nothing_is_known_does_not_count():
    alerting = Alerting(ERRORS)
    assert alerting.see(rates(0.2, 0.2)) == []
    assert alerting.see(rates(0.2, 0.2, start=60)) == []
    assert alerting.see(rates(0.2, start=62)) != []


def test_severity_rises_and_does_not_fall_while_it_is_open():
    alerting = Alerting(DRIFT)
    found = [Severity.MEDIUM, Severity.HIGH, Severity.MEDIUM, Severity.LOW]
    changes = alerting.see(drifts(*found))
    assert len(changes) == 1  # they were judged in one step: what is written is the last of it
    assert (changes[0].severity, changes[0].summary, changes[0].open) == (Severity.HIGH, "age is 3", False)


def test_windows_that_overlap_or_are_shorter_are_aggregated_by_their_rows():
    rule = replace(ERRORS, hold=timedelta(), window=5 * MINUTE, min_rows=1000)
    alerting = Alerting(rule)
    quiet = replace(rates(1.0)[0], rows=10)
    sliding = Observation("fraud", "v1", "error_rate", at(-1), at(1.5), 1.0, Severity.NONE, "", 10**6)
    few = [quiet, *rates(0.0, 0.0, 0.0, start=1, rows=200)]
    assert alerting.see([sliding]) != []
    alerting = Alerting(rule)
    assert alerting.see(few) == []  # 610 predictions
    (raised,) = alerting.see(rates(0.15, start=4, rows=1000))
    assert raised.value == pytest.approx((10 + 150) / 1610)


def test_an_observation_out_of_order_is_not_judged():
    alerting = Alerting(replace(ERRORS, hold=timedelta()))
    alerting.see(rates(0.2, start=5))
    assert alerting.see(rates(0.0, start=2)) == []


def test_a_clock_that_was_wrong_stops_no_rule():
    alerting = Alerting(replace(ERRORS, hold=timedelta()))
    (ahead,) = rates(0.2, start=10**6)
    assert alerting.see([ahead], now=at(1)) == []
    assert alerting.see([ahead], now=ahead.window_end) != []  # the database's own clock was wrong
    (ended,) = alerting.see(rates(0.0, start=5))
    assert not ended.open


def test_an_alert_ended_by_hand_is_raised_again_only_after_its_rule_has_not_held():
    alerting = Alerting(replace(ERRORS, hold=timedelta()))
    (raised,) = alerting.see(rates(0.2))
    resolve(raised, alerting.state, at(1))
    assert alerting.state.open == {}
    assert alerting.see(rates(0.2, 0.2, start=1)) == []
    assert alerting.see(rates(0.0, 0.2, start=3)) != []


def test_alerts_of_a_deleted_rule_end():
    alerting = Alerting(ERRORS)
    alerting.see(rates(0.2, 0.2, 0.2))
    delete_rule("errors", alerting.state, at(4))
    assert alerting.state.changed[-1].resolve_time == at(4)
    assert alerting.state.open == {}


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        pytest.param({"model": "fraud"}, False, id="still about the model"),
        pytest.param({"above": 0.5}, False, id="the next look judges by the new bound"),
        pytest.param({"model": "digits"}, True, id="about another model"),
        pytest.param({"signal": "accuracy"}, True, id="about another signal"),
    ],
)
def test_alerts_of_a_changed_rule_end_when_it_no_longer_speaks_of_them(change, ends):
    alerting = Alerting(ERRORS)
    alerting.see(rates(0.2, 0.2, 0.2))
    change_rule(replace(ERRORS, **change, freeze=True, severity=Severity.HIGH), alerting.state, at(4))
    changed = alerting.state.changed[-1]
    assert changed.open is not ends
    if not ends:
        assert (changed.freeze, changed.severity) == (True, Severity.HIGH)


def test_a_changed_rule_begins_anew():
    alerting = Alerting(ERRORS)
    alerting.see(rates(0.2, 0.2))
    alerting.rules = [replace(ERRORS, revision=2)]
    assert alerting.see(rates(0.2, start=2)) == []
    assert alerting.see(rates(0.2, 0.2, start=3)) != []
