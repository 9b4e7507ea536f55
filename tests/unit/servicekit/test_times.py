"""Times that callers ask about."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from headrace.router.v1.usage_pb2 import TimeRange
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.times import Span, span_of

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
NINE = datetime(2030, 1, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(TimeRange(), Span(NOON - timedelta(hours=1), NOON), id="the last hour"),
        pytest.param(TimeRange(end_time=NINE), Span(NINE - timedelta(hours=1), NINE), id="an hour before the end"),
        pytest.param(TimeRange(start_time=NINE), Span(NINE, NOON), id="until now"),
    ],
)
def test_what_is_unset_has_a_meaning(asked, expected):
    assert span_of(asked, "range", NOON) == expected


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        pytest.param(TimeRange(start_time=NOON, end_time=NOON), "range", id="no time at all"),
        pytest.param(TimeRange(start_time=NOON, end_time=NINE), "range", id="an end before its begin"),
        pytest.param(TimeRange(start_time=Timestamp(seconds=2**62)), "range.start_time", id="no time"),
        pytest.param(TimeRange(end_time=Timestamp(nanos=-5)), "range.end_time", id="negative nanoseconds"),
        pytest.param(TimeRange(end_time=Timestamp(seconds=-62135596800)), "range", id="nothing before the first year"),
    ],
)
def test_a_time_that_is_none_is_refused(asked, field):
    with pytest.raises(InvalidArgument) as caught:
        span_of(asked, "range", NOON)
    assert caught.value.violations[0].field == field
