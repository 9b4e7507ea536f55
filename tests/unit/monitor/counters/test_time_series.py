"""Traffic over time: who is to blame for an error, and what a part of a time says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.record.counters.decisions.buckets import buckets_of
from headrace_monitor.record.counters.decisions.tallies import Tally
from headrace_monitor.record.counters.decisions.time_series import MAX_PARTS, Blame, PartGroup, blame_of, part_of
from headrace_servicekit.errors import Code
from headrace_servicekit.times import Span
from headrace_statistics.sketches.durations import durations

from tests.kit.router.answer_sources import CACHE, ONLINE

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)
PART = Span(NOON, NOON + timedelta(minutes=10))


def answers(count: int, bucket: int = 800) -> Tally:
    return Tally(durations(bucket, [count]))


@pytest.mark.parametrize(
    ("blame", "codes"),
    [
        (None, [Code.OK]),
        (Blame.CALLER, [Code.CANCELLED, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.PERMISSION_DENIED]),
        (Blame.MODEL, [Code.INTERNAL]),
        (Blame.PLATFORM, [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.UNKNOWN]),
    ],
)
def test_a_bad_request_is_the_callers_a_failed_execution_the_models_and_an_outage_the_platforms(blame, codes):
    assert {blame_of(code) for code in codes} == {blame}


def test_a_part_counts_requests_errors_by_blame_sources_and_versions():
    part = part_of(
        PART,
        {
            PartGroup("fraud", "v1", ONLINE, 0): answers(90),
            PartGroup("fraud", "v2", CACHE, 0): answers(9, bucket=400),
            PartGroup("fraud", "v1", 0, Code.INVALID_ARGUMENT): answers(5, bucket=1),
            PartGroup("fraud", "v2", 0, Code.INTERNAL): answers(2, bucket=1),
            PartGroup("fraud", "", 0, Code.UNAVAILABLE): answers(1, bucket=1),
        },
    )
    assert part.requests == 107
    assert part.errors == {Blame.CALLER: 5, Blame.MODEL: 2, Blame.PLATFORM: 1}
    assert part.sources == {ONLINE: 90, CACHE: 9}
    assert part.versions == {("fraud", "v1"): 95, ("fraud", "v2"): 11, ("fraud", ""): 1}
    # Of successful answers alone: the refused ones are quick.
    assert part.p50_us == part.p99_us == pytest.approx(2 ** (800 / 64 - 20) * 1e6, rel=0.012)


def test_a_part_without_answers_has_no_durations():
    assert part_of(PART, {}).p99_us is None
    assert part_of(PART, {PartGroup("fraud", "", 0, Code.NOT_FOUND): answers(1)}).p50_us is None


@pytest.mark.parametrize(
    ("hours", "length"),
    [(1, timedelta(minutes=1)), (24, timedelta(minutes=10)), (168, timedelta(hours=1)), (720, timedelta(hours=4))],
)
def test_resolution_falls_with_the_length_of_the_time(hours: int, length: timedelta):
    parts = buckets_of(Span(NOON - timedelta(hours=hours), NOON), NOON, minutes=timedelta(days=2), limit=MAX_PARTS)
    assert {one.end - one.start for one in parts} == {length}
