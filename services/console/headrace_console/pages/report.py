"""A report about a model in a time: alerts, traffic, drift of each version, performance."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote

from headrace.monitor.v1 import alert_pb2, monitor_pb2
from markupsafe import Markup
from starlette.responses import Response

from headrace_console import bars
from headrace_console.pages.data import calibration, distributions_of, histogram, performance_scales
from headrace_console.pages.drift_tests import looks_at
from headrace_console.pages.markup import word
from headrace_console.pages.spans import HOURS, hours_of, span_of
from headrace_console.pages.timeline import BY_VERSION, figures
from headrace_console.pages.traffic import FAULTS, code_name, source
from headrace_console.pages.visits import READ_S, Visit, known, savable

_REPORT_S = 30.0
_MOST_ALERTS, _MOST_VERSIONS, _MOST_EVALUATIONS, _MOST_ROWS = 200, 6, 200, 40

Row = monitor_pb2.GetTrafficResponse.Traffic


@dataclass(frozen=True, slots=True)
class VersionDrift:
    """evaluations: in the time, the latest first; empty with the problem."""

    version: str
    problem: str
    evaluations: Sequence[monitor_pb2.Drift] = ()
    distributions: Sequence[monitor_pb2.Distribution] = ()


@savable
async def report(visit: Visit) -> Response:
    """Show what became of a model's predictions in a time."""
    model, client = visit.argument("model"), visit.client
    start, end = span_of(visit.query, datetime.now(UTC))
    span = {"start": start, "end": end, "timeout": _REPORT_S}
    parts = await visit.parts(
        alerts=("monitor", client.alerts.list(model=model, limit=_MOST_ALERTS, timeout=READ_S)),
        traffic=("monitor", client.monitor.traffic(model, **span)),
        series=("monitor", client.monitor.traffic_time_series(model, **span)),
        performance=("monitor", known(client.monitor.performance(model, **span))),
    )
    traffic: monitor_pb2.GetTrafficResponse | None = parts["traffic"].value
    series: monitor_pb2.GetTrafficTimeSeriesResponse | None = parts["series"].value
    versions = versions_of(traffic, parts["performance"].value or ())
    drifts = await asyncio.gather(*(_drift(visit, model, version, start, end) for version in versions))
    return visit.page(
        "report.html",
        f"Report on {model}",
        f"headrace monitor report {quote(model)} --html report.html",
        model=model,
        start=start,
        end=end,
        hours=hours_of(visit.query),
        choices=HOURS,
        alerts=parts["alerts"],
        open_alerts=alerts_in(parts["alerts"].value or (), start, end),
        traffic=parts["traffic"],
        rows=sorted(traffic.traffic if traffic else (), key=lambda row: -row.count)[:_MOST_ROWS],
        series=parts["series"],
        pictures=figures(series.parts, (), end, BY_VERSION) if series else (),
        outcome=outcome,
        code_name=code_name,
        source=source,
        drifts=drifts,
        worst_tests=worst_tests,
        severities=severities,
        histogram=histogram,
        looks_at=looks_at,
        performance=parts["performance"],
        scales=performance_scales(parts["performance"].value or ()),
        calibration=calibration,
        slice_by="",
    )


def versions_of(
    traffic: monitor_pb2.GetTrafficResponse | None, performance: Iterable[monitor_pb2.Performance]
) -> list[str]:
    """Return the versions that answered, those that answered most first."""
    counted, logged = Counter[str](), Counter[str]()
    for row in traffic.traffic if traffic else ():
        counted[row.version] += row.count if row.code == 0 else 0
    for one in performance:  # counters may be stored for less long than the log
        logged[one.version] += one.predictions
    found = (counted | logged).most_common()
    return [version for version, count in found if version and count][:_MOST_VERSIONS]


def alerts_in(alerts: Iterable[alert_pb2.Alert], start: datetime, end: datetime) -> list[tuple[alert_pb2.Alert, int]]:
    """Return the alerts that were open in a time, one for each rule and version, and how often it came before.

    Those that still are come first, the most severe of them before others.
    """
    found: dict[tuple[str, str], list[alert_pb2.Alert]] = {}
    for one in alerts:
        over = one.resolve_time.ToDatetime(UTC) if one.HasField("resolve_time") else end
        if one.open_time.ToDatetime(UTC) < end and over >= start:
            found.setdefault((one.rule, one.version), []).append(one)
    for same in found.values():
        same.sort(key=lambda one: (one.HasField("resolve_time"), -one.open_time.ToNanoseconds()))
    first = [(same[0], len(same) - 1) for same in found.values()]
    return sorted(first, key=lambda pair: (pair[0].HasField("resolve_time"), -pair[0].severity))


def outcome(row: Row) -> str:
    """Return what became of requests: `refused` is for the caller to mend, `failed` for the installation."""
    return "answered" if row.code == 0 else "failed" if row.code in FAULTS else "refused"


async def _drift(visit: Visit, model: str, version: str, start: datetime, end: datetime) -> VersionDrift:
    """Return the scheduled evaluations of a version that end in a time, or one made now."""
    client = visit.client.monitor
    listing = visit.part("monitor", known(client.list_drifts(model, version, limit=_MOST_EVALUATIONS, timeout=READ_S)))
    reading = visit.part("monitor", known(client.get_reference(model, version, timeout=READ_S)))
    listed, reference = await asyncio.gather(listing, reading)
    evaluations = [one for one in listed.value or () if start < one.range.end_time.ToDatetime(UTC) <= end]
    problem = listed.problem
    if not evaluations and not problem:  # none scheduled yet: evaluate now
        evaluating = known(client.drift(model, version, start=start, end=end, timeout=_REPORT_S))
        made = await visit.part("monitor", evaluating)
        evaluations, problem = [made.value] if made.value is not None else [], made.problem
    if not evaluations:
        return VersionDrift(version, problem)
    values = await distributions_of(visit, model, version, evaluations[0], reference.value)
    return VersionDrift(version, values.problem, evaluations, values.value or ())


def severities(evaluations: Sequence[monitor_pb2.Drift]) -> Markup:
    """Return a strip of each evaluation's severity, oldest first."""
    dated = [(f"{one.range.end_time.ToDatetime():%Y-%m-%d %H:%M} UTC", word(one, "severity")) for one in evaluations]
    parts = [(f"{when}: {severity}", severity) for when, severity in reversed(dated)]
    return bars.strip(parts, "severity of each evaluation, the oldest first")


def worst_tests(one: monitor_pb2.Drift) -> list[tuple[monitor_pb2.DriftReport, list[monitor_pb2.DriftReport]]]:
    """Return each column once, those that changed most first: its worst test, and the others with an alarm."""
    found: dict[str, list[monitor_pb2.DriftReport]] = {}
    for report in sorted(one.reports, key=lambda report: (-report.alarm, -report.severity, -_ratio(report))):
        if not report.inconclusive:
            found.setdefault(report.column, []).append(report)
    return [(first, [other for other in others if other.alarm]) for first, *others in found.values()][:_MOST_ROWS]


def _ratio(report: monitor_pb2.DriftReport) -> float:
    return report.effect / report.tolerance if report.HasField("effect") and report.tolerance else 0.0
