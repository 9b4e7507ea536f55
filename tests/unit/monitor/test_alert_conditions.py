"""A condition: how values of a window aggregate, where the bound is, and how bad it is."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.alert.decisions.conditions import evaluate
from headrace_monitor.alert.decisions.values import Rule
from headrace_monitor.alert.observations import Observation
from headrace_statistics.severity import Severity

from tests.kit.rows import each

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ERRORS = Rule("errors", "*", "error_rate", above=0.05)
DRIFT = Rule("drift", "*", "drift", at_least=Severity.MEDIUM)


def seen(signal: str, *values: float, rows: tuple[int | None, ...] = ()) -> list[Observation]:
    """Return what was seen in minutes that follow each other, the newest last."""
    return [
        Observation("fraud", "v1", signal, NOON + at * MINUTE, NOON + (at + 1) * MINUTE, value, Severity.NONE, "", of)
        for at, (value, of) in enumerate(zip(values, rows or (100,) * len(values), strict=True))
    ]


def value_of(rule: Rule, observations: list[Observation]) -> float | None:
    *earlier, newest = observations
    found = evaluate(rule, newest, earlier)
    return None if found is None else found.value


@each(
    "signal,values,rows,expected",
    [
        pytest.param("lost_batches", (2.0, 3.0), (0, 0), 5.0, id="losses add up, also where nothing is answered"),
        pytest.param("latency_p99_us", (9.0, 4.0), (1, 1000), 9.0, id="a quantile is no less than the highest"),
        pytest.param("error_rate", (0.1, 0.4), (300, 100), 0.175, id="a rate is weighed by rows"),
        pytest.param("error_rate", (0.1, 0.4), (None, None), 0.25, id="or by time, where rows are not known"),
        pytest.param("error_rate", (0.1, 0.4), (300, None), 0.25, id="of any of them"),
        pytest.param("error_rate", (0.1, 0.9), (300, 0), 0.1, id="of no rows there is no rate"),
        pytest.param("error_rate", (0.9, 0.9), (0, 0), None, id="of none at all nothing is known"),
        pytest.param("error_rate", (math.nan, 0.4), (300, 100), 0.4, id="what is no number counts nothing"),
    ],
)
def test_values_of_a_window_are_joined_as_their_signal_asks(signal, values, rows, expected):
    rule = Rule("r", "*", signal, above=0.0)
    assert value_of(rule, seen(signal, *values, rows=rows)) == (None if expected is None else pytest.approx(expected))


def test_a_window_reaches_as_far_back_as_the_rule_says():
    rates = seen("error_rate", 0.9, 0.2, 0.4)
    assert value_of(replace(ERRORS, window=2 * MINUTE), rates) == pytest.approx(0.3)
    assert value_of(replace(ERRORS, window=3 * MINUTE), rates) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        (ERRORS, 0.05, False),
        (ERRORS, 0.0501, True),
        (replace(ERRORS, above=None, below=0.05), 0.05, False),
        (replace(ERRORS, above=None, below=0.05), 0.0499, True),
    ],
)
def test_the_bound_itself_does_not_hold(rule, value, holds):
    (one,) = seen("error_rate", value)
    found = evaluate(rule, one, [])
    assert found is not None
    assert found.holds == holds


def test_an_alert_is_as_bad_as_the_rule_says_else_as_the_worst_look_of_its_window():
    bad, newest = seen("error_rate", 0.2, 0.2)
    bad = replace(bad, severity=Severity.HIGH)
    for rule, earlier, severity in (
        (ERRORS, [], Severity.MEDIUM),
        (ERRORS, [bad], Severity.HIGH),
        (replace(ERRORS, severity=Severity.LOW), [bad], Severity.LOW),
    ):
        found = evaluate(rule, newest, earlier)
        assert found is not None
        assert found.severity is severity


def test_what_is_graded_holds_from_its_severity_on_and_says_so_where_the_look_does_not():
    (one,) = seen("drift", math.inf)
    for severity, holds in ((Severity.LOW, False), (Severity.MEDIUM, True), (Severity.HIGH, True)):
        found = evaluate(DRIFT, replace(one, severity=severity), [])
        assert found is not None
        assert (found.holds, found.severity, found.value) == (holds, severity, 0.0)
        assert found.summary == f"drift is {severity.name}"
    found = evaluate(replace(DRIFT, severity=Severity.LOW), replace(one, severity=Severity.HIGH, summary="age"), [])
    assert found is not None
    assert (found.severity, found.summary) == (Severity.LOW, "age")
