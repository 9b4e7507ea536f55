"""What a report is made of: each part as it was told, and a part that cannot be asked said to be so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.monitor.v1 import monitor_pb2
from headrace_monitor.alert.decisions.values import Alert, AlertView, Key
from headrace_monitor.judge.drift.decisions.histograms import Histogram
from headrace_monitor.record.counters.decisions.traffic import Group
from headrace_monitor.record.counters.decisions.traffic import Traffic as Counted
from headrace_monitor.record.counters.reading import TrafficSummary
from headrace_monitor.report.content import MissingPart, Traffic
from headrace_monitor.report.gathering import ReportBuilder, Sources
from headrace_monitor.report.rendering import render
from headrace_monitor.times import Span
from headrace_servicekit.errors import PreconditionFailed, Unavailable
from headrace_servicekit.identity import INTERNAL, Identity
from headrace_servicekit.testing import FakeClock
from headrace_statistics.severity import Severity

from tests.kit.router.answer_sources import CACHE, ONLINE

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)
SPAN = Span(NOON - timedelta(hours=4), NOON)


class Known:
    """All parts of the monitor, about model digits. evaluations: scheduled ones."""

    def __init__(self, *, evaluations: Sequence[monitor_pb2.Drift] = ()) -> None:
        self.evaluations = evaluations
        self.looked_now: list[str] = []
        self.binned: list[tuple[str, ...]] = []

    async def traffic(self, model: str, span: Span) -> TrafficSummary:
        hours = (span.end - span.start) / timedelta(hours=1)
        counts = (("v1", ONLINE, 0, 600), ("v2", ONLINE, 0, 1200), ("v2", CACHE, 0, 60), ("", 0, 14, 12))
        traffic = [
            Counted(Group(version, "", source, code), round(count * hours), 1000.0, 2000.0, 3000.0, 1500.0)
            for version, source, code, count in counts
        ]
        return TrafficSummary(traffic, 3, 1)

    async def list_drift(self, request: monitor_pb2.ListDriftRequest) -> monitor_pb2.ListDriftResponse:
        return monitor_pb2.ListDriftResponse(drifts=self.evaluations if request.parent.endswith("v2") else ())

    async def get_drift(self, request: monitor_pb2.GetDriftRequest) -> monitor_pb2.GetDriftResponse:
        self.looked_now.append(request.name)
        raise PreconditionFailed("models/digits/versions/v1 has no reference", reason="REFERENCE_NOT_FOUND")

    async def histograms(
        self, model: str, version: str, start: datetime, end: datetime, columns: Sequence[str]
    ) -> tuple[Histogram, ...]:
        self.binned.append(tuple(columns))
        return (Histogram(columns[0], ("a", "b"), (0.5, 0.5), (0.1, 0.9)),)

    async def get(self, request: Any, remaining_s: float | None) -> monitor_pb2.GetPerformanceResponse:
        raise Unavailable("the store is away", reason="STORE_UNAVAILABLE")

    async def alerts(self, caller: Identity, **asked: Any) -> list[AlertView]:
        return [alert(NOON - timedelta(hours=1), None), alert(NOON - timedelta(days=2), NOON - timedelta(days=1))]


def alert(opened: datetime, resolved: datetime | None) -> AlertView:
    return AlertView(
        Alert(7, Key("drift", "digits", "v2"), "drift", Severity.HIGH, "drifted", 0.3, False, False, opened, resolved),
        silenced=False,
        sequence=1,
    )


def evaluation(end: datetime, severity: monitor_pb2.Severity) -> monitor_pb2.Drift:
    made = monitor_pb2.Drift(severity=severity, rows=10)
    made.range.start_time.FromDatetime(end - timedelta(hours=1))
    made.range.end_time.FromDatetime(end)
    for column, grade in (("age", monitor_pb2.SEVERITY_LOW), ("country", severity), ("country", severity)):
        made.reports.add(column=column, test="psi", effect=0.3, tolerance=0.1, alarm=True, severity=grade)
    made.reports.add(column="note", test="ks", inconclusive="too few")
    return made


async def gathered(known: Known, **parts: Any) -> Any:
    sources = replace(Sources(known, known, known, known, known), **parts)
    return await ReportBuilder(sources, FakeClock(NOON)).report("digits", SPAN, INTERNAL)


async def test_every_part_is_as_it_was_told() -> None:
    known = Known(
        evaluations=[
            evaluation(NOON, monitor_pb2.SEVERITY_HIGH),
            evaluation(NOON - timedelta(days=3), monitor_pb2.SEVERITY_LOW),
        ]
    )
    report = await gathered(known)
    traffic = report.traffic
    assert isinstance(traffic, Traffic)
    assert (traffic.answers, traffic.failures, traffic.quantiles_of) == (7440, 48, "v2")
    assert sum(bucket.counts["v2", "cache"] for bucket in traffic.buckets) == 240
    assert traffic.buckets[0].quantiles == (1000.0, 2000.0, 3000.0)
    assert [one.version for one in report.drift] == ["v2", "v1"], "those that answered most first"
    v2, v1 = report.drift
    assert [one.severity for one in v2.evaluations] == [Severity.HIGH], "only of the report's time"
    assert known.binned == [("country", "age")], "the worst columns, each once"
    assert v1.missing == "models/digits/versions/v1 has no reference"
    assert known.looked_now == ["models/digits/versions/v1"]
    assert [row.resolve_time for row in report.alerts] == [None], "what ended before is not of this time"
    assert report.performance == MissingPart("the store is away")
    assert "Performance could not be asked for: the store is away" in render(report)


async def test_the_axis_of_time_goes_from_the_first_to_the_last_that_was_asked() -> None:
    """Twenty minutes of four hours: by the minute, with no place before or after them."""
    first, last = NOON - timedelta(minutes=100), NOON - timedelta(minutes=80)

    class Brief(Known):
        async def traffic(self, model: str, span: Span) -> TrafficSummary:
            minutes = max((min(span.end, last) - max(span.start, first)) / timedelta(minutes=1), 0)
            group = Group("v1", "", ONLINE, 0)
            return TrafficSummary([Counted(group, round(10 * minutes), 1000.0, 2000.0, 3000.0, 1500.0)], 0, 0)

    report = await gathered(Brief())
    assert isinstance(report.traffic, Traffic)
    buckets = report.traffic.buckets
    assert (buckets[0].start, len(buckets)) == (first, 20)
    assert all(not bucket.empty for bucket in (buckets[0], buckets[-1]))
    assert report.traffic.answers == 200


async def test_a_time_in_which_nobody_asked_has_no_axis() -> None:
    class Silent(Known):
        async def traffic(self, model: str, span: Span) -> TrafficSummary:
            return TrafficSummary([], 0, 0)

    report = await gathered(Silent())
    assert isinstance(report.traffic, Traffic)
    assert report.traffic.buckets == ()
    assert "Nothing was answered in this time" in render(report)


async def test_a_part_that_is_not_there_keeps_no_other_back() -> None:
    @dataclass
    class Away:
        async def traffic(self, model: str, span: Span) -> TrafficSummary:
            raise Unavailable("counters are away")

    @dataclass
    class Broken:
        async def get(self, request: Any, remaining_s: float | None) -> Any:
            raise KeyError("a defect")

    report = await gathered(Known(), traffic=Away(), drift=None, histograms=None, performance=Broken())
    assert report.traffic == MissingPart("counters are away")
    assert report.performance == MissingPart("a defect of the monitor: its log has the cause")
    assert isinstance(report.drift, MissingPart)
    assert len(report.alerts) == 1
    assert "counters are away" in render(report)
