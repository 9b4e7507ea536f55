"""What the alert rules are told, and of which minutes."""

from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.record.counters.decisions.signals import LOOK_BACK, AnswerKey, due, losses_of, signals_of
from headrace_monitor.record.counters.decisions.tallies import Tally
from headrace_servicekit.errors import Code
from headrace_servicekit.times import MINUTE, Span
from headrace_statistics.sketches.durations import durations

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SPAN = Span(NOON, NOON + MINUTE)


@pytest.mark.parametrize(
    ("until", "now", "starts"),
    [
        pytest.param(NOON, NOON + timedelta(seconds=69), [], id="a minute settles first"),
        pytest.param(NOON, NOON + timedelta(seconds=70), [NOON], id="then it is told"),
        pytest.param(NOON, NOON + timedelta(seconds=200), [NOON, NOON + MINUTE, NOON + 2 * MINUTE], id="several"),
        pytest.param(NOON, NOON - timedelta(minutes=30), [], id="a clock that went back is waited for"),
    ],
)
def test_minutes_are_told_in_their_order_once_they_have_settled(until, now, starts):
    assert [span.start for span in due(until, now)] == starts


def test_of_a_long_absence_the_last_hour_is_told():
    spans = due(NOON - timedelta(days=3), NOON + timedelta(seconds=10))
    assert (spans[0].start, spans[-1].end, len(spans)) == (NOON - LOOK_BACK, NOON, 60)


def test_a_clock_that_was_a_year_ahead_is_not_waited_for():
    assert [span.end for span in due(NOON + timedelta(days=365), NOON + timedelta(seconds=10))] == [NOON]


def answers(count: int, bucket: int = 1000) -> Tally:
    return Tally(durations(bucket, [count]))


def test_the_error_rate_counts_what_is_not_the_callers_fault():
    told = signals_of(
        {
            AnswerKey("fraud", "v1", Code.OK): answers(90),
            AnswerKey("fraud", "v1", Code.UNAVAILABLE): answers(3),
            AnswerKey("fraud", "v1", Code.INTERNAL): answers(1),
            AnswerKey("fraud", "v1", Code.INVALID_ARGUMENT): answers(6),
            AnswerKey("digits", "v2", Code.OK): answers(5),
        },
        SPAN,
    )
    rates = {(one.model, one.version): one for one in told if one.signal == "error_rate"}
    assert rates["digits", "v2"].value == 0
    rate = rates["fraud", "v1"]
    assert (rate.value, rate.rows) == (0.04, 100)
    assert rate.summary == "4 of 100 answers failed, 3 of them with UNAVAILABLE"
    assert (rate.window_start, rate.window_end) == SPAN


def test_the_latency_is_that_of_answers_and_not_of_errors():
    slow = 20 * 64  # a second
    told = signals_of(
        {
            AnswerKey("fraud", "v1", Code.OK): Tally(durations(64 * 13, [1000])),
            AnswerKey("fraud", "v1", Code.UNAVAILABLE): answers(1000, slow),
            AnswerKey("fraud", "v2", Code.DEADLINE_EXCEEDED): answers(4, slow),
        },
        SPAN,
    )
    (latency,) = [one for one in told if one.signal == "latency_p99_us"]
    assert (latency.version, latency.rows) == ("v1", 1000)
    assert latency.value == pytest.approx(2**-7 * 1e6, rel=0.012)


def test_requests_that_named_no_model_say_nothing_of_one():
    assert signals_of({AnswerKey("", "", Code.INVALID_ARGUMENT): answers(100)}, SPAN) == []


def test_what_is_missing_is_told_also_when_nothing_is():
    assert [(one.model, one.signal, one.value) for one in losses_of(0, 2, SPAN)] == [
        ("*", "dropped_predictions", 0),
        ("*", "lost_batches", 2),
    ]
