"""Parts of a time that traffic is shown by."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from headrace_monitor.record.counters.decisions import buckets
from headrace_monitor.record.counters.decisions.buckets import buckets_of
from headrace_monitor.record.counters.decisions.traffic import Group, Traffic
from headrace_monitor.record.counters.reader import LostBatchCounts, Parts, TrafficReader
from headrace_servicekit.times import Span


@pytest.mark.parametrize(
    "length", [timedelta(minutes=1), timedelta(hours=3), timedelta(days=1), timedelta(days=90), timedelta(days=9000)]
)
def test_buckets_cover_a_time_without_gaps(length: timedelta) -> None:
    start = datetime(2031, 2, 3, 12, 34, 56, tzinfo=UTC)
    found = buckets_of(Span(start, start + length), start + length, minutes=timedelta(days=2), limit=48)
    assert len(found) <= 48
    assert found[0].start <= start < found[0].end
    assert found[-1].start < start + length <= found[-1].end
    assert all(one.end == other.start for one, other in pairwise(found))
    assert doctest.testmod(buckets).failed == 0


def test_a_time_before_1970_has_one_bucket() -> None:
    end = datetime(1970, 1, 1, tzinfo=UTC)
    now = datetime(2031, 2, 3, tzinfo=UTC)
    for start in (datetime(1, 1, 1, tzinfo=UTC), end - timedelta(hours=1)):
        (bucket,) = buckets_of(Span(start, end), now, minutes=timedelta(days=2), limit=48)
        assert bucket.start == end


async def test_twenty_minutes_of_four_hours_are_shown_by_the_minute() -> None:
    noon = datetime(2031, 2, 3, 12, tzinfo=UTC)
    first, last = noon - timedelta(minutes=100), noon - timedelta(minutes=80)

    class Brief(TrafficReader):
        async def by_part(self, model: str, parts: Sequence[Span]) -> Parts:
            return [(span, [Traffic(Group("v1", "", 1, 0), self.count(span), 1.0, 2.0, 3.0, 1.5)]) for span in parts]

        def count(self, span: Span) -> int:
            return round(60 * max((min(span.end, last) - max(span.start, first)) / timedelta(minutes=1), 0))

    unused: Any = None
    reader = Brief(unused, LostBatchCounts(), minutes=timedelta(days=2))
    parts = await reader.over_time("fraud", Span(noon - timedelta(hours=4), noon), noon)
    assert (parts[0][0].start, parts[-1][0].end, len(parts)) == (first, last, 20)
