"""Traffic over time, and what happened then: the page's answer to when it began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.monitor.v1 import monitor_pb2
from markupsafe import Markup

from headrace_console import charts
from headrace_console.pages import audit_lines
from headrace_console.pages.audit_lines import AuditLine
from headrace_console.pages.markup import model_of
from headrace_console.pages.spans import hours_of, span_of
from headrace_console.pages.traffic import source
from headrace_console.pages.visits import READ_S, Part, Visit

TimeSeries = monitor_pb2.GetTrafficTimeSeriesResponse
TrafficPart = monitor_pb2.GetTrafficTimeSeriesResponse.Part

# Lines of a chart; names beyond it are one of others.
_MOST_LINES = 5
_MOST_EVENTS = 24
_READ_EVENTS = 50
# A part that has only begun says nothing about a rate.
_LEAST_S = 20.0

# Titles of charts of shares, with what each takes of the name of a version.
Grouping = Sequence[tuple[str, Callable[[str], str]]]
BY_MODEL: Grouping = (("Requests by model", lambda name: model_of(name) or "no model"),)
BY_VERSION: Grouping = (("Requests by version", lambda name: name.partition("/versions/")[2] or "no version"),)


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with the lines that its key names."""

    title: str
    lines: Sequence[charts.Line]
    chart: Markup


@dataclass(frozen=True, slots=True)
class Timeline:
    """Charts over one time. events: marked in them by their numbers, from 1. hours: how long the time is."""

    figures: Sequence[Figure]
    events: Sequence[AuditLine]
    hours: int
    problems: Sequence[str]


async def timeline_of(visit: Visit, model: str = "", version: str = "") -> Callable[[Iterable[AuditLine]], Timeline]:
    """Read what the address asks for; return what draws it, with further events. Without a model, of all models."""
    client, (start, end) = visit.client, span_of(visit.query, datetime.now(UTC))
    readings = {
        "series": (
            "monitor",
            client.monitor.traffic_time_series(model, version, start=start, end=end, timeout=READ_S),
        ),
        "alerts": ("monitor", client.alerts.list(model=model, limit=_READ_EVENTS, timeout=READ_S)),
        "rollouts": ("rollout service", client.rollouts.list(model=model, limit=_READ_EVENTS, timeout=READ_S)),
    }
    if model:
        readings["route"] = ("control plane", client.routes.history(model, limit=_READ_EVENTS, timeout=READ_S))
        readings["registry"] = ("registry", client.models.history(model, limit=_READ_EVENTS, timeout=READ_S))
    found = await visit.parts(**readings)
    series: TimeSeries = found["series"].value or TimeSeries()
    lines = [
        *audit_lines.of_alerts(found["alerts"].value or ()),
        *audit_lines.of_rollouts(found["rollouts"].value or ()),
        *audit_lines.of_starts(series.data_plane_starts),
        *audit_lines.of_registry(model, found.get("registry", Part()).value or ()),
        # What follows the registry is an event of the registry already.
        *audit_lines.of_route(model, (event for event in found.get("route", Part()).value or () if event.client)),
    ]

    def drawn(further: Iterable[AuditLine] = ()) -> Timeline:
        events = within([*lines, *further], start, end)
        grouping = () if version else BY_VERSION if model else BY_MODEL
        problems = sorted({part.problem for part in found.values() if part.problem})
        return Timeline(figures(series.parts, events, end, grouping), events, hours_of(visit.query), problems)

    return drawn


def within(lines: Iterable[AuditLine], start: datetime, end: datetime) -> list[AuditLine]:
    """Return the latest events of a time, the earliest of them first."""
    found = [(line.when, line) for line in lines if line.when is not None and start <= line.when <= end]
    return [line for _, line in sorted(found, key=lambda pair: pair[0])[-_MOST_EVENTS:]]


def figures(
    parts: Sequence[TrafficPart],
    events: Sequence[AuditLine],
    end: datetime,
    grouping: Grouping = (),
) -> list[Figure]:
    """Return the charts of traffic over time; none without requests.

    events: marked in each. end: when it was read. grouping: charts of shares.
    """
    lengths_s = [(min(part.range.end_time.ToDatetime(UTC), end) - _begin(part)).total_seconds() for part in parts]
    pairs = [(part, length_s) for part, length_s in zip(parts, lengths_s, strict=True) if length_s >= _LEAST_S]
    parts = [part for part, _ in pairs]
    if not any(part.requests for part in parts):
        return []
    errors = [
        charts.Line(
            name,
            [100 * getattr(part, field) / part.requests if part.requests else None for part in parts],
            kind=kind,
        )
        for name, field, kind in (
            ("of callers", "caller_errors", "p5"),
            ("of the model", "model_errors", "p2"),
            ("of the platform", "platform_errors", "p4"),
        )
    ]
    durations = [
        charts.Line(name, [getattr(part, field) / 1000 if part.HasField(field) else None for part in parts], kind=kind)
        for name, field, kind in (("p50", "p50_us", "p0"), ("p99", "p99_us", "p3"))
    ]
    rate = [charts.Line("requests", [60 * part.requests / length_s for part, length_s in pairs], kind="p0")]
    drawn = [
        ("Requests a minute", rate, ""),
        ("Errors, by who can mend them", errors, " %"),
        ("Time to answer", durations, " ms"),
        *((title, _shares([_of_versions(part, name_of) for part in parts]), " %") for title, name_of in grouping),
        ("Answers by source", _shares([_of_sources(part) for part in parts]), " %"),
    ]
    times = [_begin(part) for part in parts]
    marks = [(line.when, described(line)) for line in events if line.when is not None]
    return [
        Figure(title, lines, charts.lines(lines, times, label=f"{title} over time", unit=unit, marks=marks))
        for title, lines, unit in drawn
        if lines
    ]


def described(line: AuditLine) -> str:
    """Return an event as one line of text."""
    return " ".join(filter(None, (line.about, line.what, line.detail, line.who and f"by {line.who}")))


def _begin(part: TrafficPart) -> datetime:
    return part.range.start_time.ToDatetime(UTC)


def _of_versions(part: TrafficPart, name_of: Callable[[str], str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for one in part.versions:
        counted[name_of(one.name)] += one.count
    return counted


def _of_sources(part: TrafficPart) -> Counter[str]:
    return Counter({source(one.served_from): one.count for one in part.sources})


def _shares(counted: Sequence[Counter[str]]) -> list[charts.Line]:
    """Return a line for each name in percent of all, those with most first; what has no room is one of others."""
    total = sum(counted, Counter[str]())
    most = [name for name, _ in total.most_common(_MOST_LINES if len(total) <= _MOST_LINES else _MOST_LINES - 1)]
    named = [(name, [counts[name] for counts in counted]) for name in most]
    if rest := total.keys() - most:
        named.append((f"{len(rest)} others", [sum(counts[name] for name in rest) for counts in counted]))
    return [
        charts.Line(
            name,
            [100 * one / counts.total() if counts else None for one, counts in zip(values, counted, strict=True)],
            kind=f"p{at}",
        )
        for at, (name, values) in enumerate(named)
    ]
