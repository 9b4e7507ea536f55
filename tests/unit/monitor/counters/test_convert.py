"""What no data plane sends is refused with its field."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace.telemetry.v1 import telemetry_pb2
from headrace_monitor.record.counters.convert import report_of, whole_minutes
from headrace_monitor.record.counters.decisions.changes import MAX_SERIES
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.times import Span

from tests.kit.monitor.counting_plane import CountingPlane, key
from tests.kit.rows import each

NINE, NOON = (datetime(2030, 1, 1, hour, tzinfo=UTC) for hour in (9, 12))


def request() -> Any:
    """Return a report that is right."""
    plane = CountingPlane()
    plane.answer(key(), 0.012, 5)
    plane.answer(key(), 0.3)
    plane.drop()
    return plane.report()


def change(path: str, value: Any) -> Callable[[Any], None]:
    """Return what sets a field of a report."""

    def apply(report: Any) -> None:
        *parents, name = path.split(".")
        for parent in parents:
            report = report.series[0] if parent == "series" else report.dropped[0]
        if name == "duration_counts":
            report.duration_counts[:] = value
        else:
            setattr(report, name, value)

    return apply


def many_series(report: Any) -> None:
    report.series.extend(report.series[0] for _ in range(MAX_SERIES))


def the_same_series_twice(report: Any) -> None:
    report.series.append(report.series[0])


def an_impossible_time(report: Any) -> None:
    report.report_time.seconds = 2**62


def the_same_reason_twice(report: Any) -> None:
    report.dropped.append(report.dropped[0])


def test_a_report_is_taken_whole():
    report = report_of(request())
    (tally,) = report.series.values()
    assert (tally.count, tally.rows, tally.executions) == (6, 6, 3.0)
    assert tally.durations.quantile_s(0.5) == pytest.approx(0.012, rel=0.006)
    assert report.dropped == {"BUFFER_FULL": 1}


@each(
    "spoil,field",
    [
        pytest.param(change("process", ""), "process", id="no process"),
        pytest.param(change("process", "not-a-uuid"), "process", id="no UUID"),
        pytest.param(change("process", "{01890a5d-ac96-774b-bcce-b302099a8057}"), "process", id="a UUID in braces"),
        pytest.param(change("data_plane", ""), "data_plane", id="no data plane"),
        pytest.param(change("data_plane", "x" * 254), "data_plane", id="a long data plane"),
        pytest.param(change("data_plane", "a\nb"), "data_plane", id="a data plane of two lines"),
        pytest.param(change("sequence", 0), "sequence", id="no sequence"),
        pytest.param(change("sequence", -(2**63)), "sequence", id="a negative sequence"),
        pytest.param(an_impossible_time, "report_time", id="an impossible time"),
        pytest.param(many_series, "series", id="too many series"),
        pytest.param(the_same_series_twice, "series[1]", id="a series twice"),
        pytest.param(change("series.model", "x" * 129), "series[0].model", id="a long model"),
        pytest.param(change("series.version", "v\x001"), "series[0].version", id="a nul"),
        pytest.param(change("series.variant", "a\x1fb"), "series[0].variant", id="a control character"),
        pytest.param(
            change("series.fallback_step", "\u202e"),
            "series[0].fallback_step",
            id="a fallback_step that cannot be shown",
        ),
        pytest.param(change("series.layer", "disk"), "series[0].layer", id="an unknown layer"),
        pytest.param(change("series.code", 17), "series[0].code", id="an unknown code"),
        pytest.param(change("series.code", -1), "series[0].code", id="a negative code"),
        pytest.param(change("series.served_from", 99), "series[0].served_from", id="an unknown source"),
        pytest.param(change("series.rows", -1), "series[0].rows", id="negative rows"),
        pytest.param(change("series.queue_us", 2**63 - 1), "series[0].queue_us", id="a sum without end"),
        pytest.param(change("series.executions", math.nan), "series[0].executions", id="NaN"),
        pytest.param(change("series.duration_sum_s", math.inf), "series[0].duration_sum_s", id="infinity"),
        pytest.param(change("series.first_bucket", -1), "series[0].first_bucket", id="a bucket before the first"),
        pytest.param(change("series.first_bucket", 2047), "series[0].first_bucket", id="buckets past the last"),
        pytest.param(change("series.first_bucket", 2**31 - 1), "series[0].first_bucket", id="a bucket far away"),
        pytest.param(change("series.duration_counts", [-1]), "series[0].duration_counts", id="a negative count"),
        # Their sum in 64 bits would be 0.
        pytest.param(
            change("series.duration_counts", [2**53] * 1000), "series[0].duration_counts", id="counts without end"
        ),
        pytest.param(change("dropped.reason", "because"), "dropped[0].reason", id="no reason"),
        pytest.param(change("dropped.count", -1), "dropped[0].count", id="a negative drop"),
        pytest.param(the_same_reason_twice, "dropped[1].reason", id="a reason twice"),
    ],
)
def test_what_no_data_plane_sends_is_refused_with_its_field(spoil, field):
    report = request()
    spoil(report)
    with pytest.raises(InvalidArgument) as caught:
        report_of(report)
    assert field in {violation.field for violation in caught.value.violations}


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(InvalidArgument) as caught:
        report_of(telemetry_pb2.ReportCountersRequest(series=[telemetry_pb2.CounterSeries(code=99, rows=-1)]))
    assert {violation.field for violation in caught.value.violations} == {
        *("process", "data_plane", "sequence", "series[0].code", "series[0].rows"),
    }


def test_minutes_are_whole():
    second = timedelta(seconds=1)
    assert whole_minutes(Span(NINE + second, NOON)) == Span(NINE, NOON)
    assert whole_minutes(Span(NINE, NOON + second)) == Span(NINE, NOON + timedelta(minutes=1))


def test_the_last_minute_that_there_is_has_no_end_beyond_it():
    last = datetime.max.replace(tzinfo=UTC)
    assert whole_minutes(Span(NINE, last)) == Span(NINE, last)
