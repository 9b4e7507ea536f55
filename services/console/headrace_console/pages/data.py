"""What a model gets and how good it is: drift, distributions beside the reference, performance, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from shlex import quote

from headrace.monitor.v1 import monitor_pb2
from markupsafe import Markup
from starlette.responses import Response

from headrace_console import charts
from headrace_console.pages.drift_tests import looks_at
from headrace_console.pages.rendering import last
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, Part, Visit, known, signed_in

_EVALUATIONS = 48
_MOST_COLUMNS = 6
# Performance reads the log of that time.
_HOURS = (24, 1, 168)
_PERFORMANCE_S = 20.0
_COLUMNS = {
    "column": lambda report: report.column,
    "test": lambda report: report.test,
    "effect": lambda report: report.effect if report.HasField("effect") else -1.0,
    "severity": lambda report: (report.severity, report.effect if report.HasField("effect") else -1.0),
}


@signed_in
async def data(visit: Visit) -> Response:
    """Show what drifted and how good the answers were."""
    model, client = visit.argument("model"), visit.client
    found = await client.models.get(model, timeout=READ_S)
    versions = await visit.part("registry", client.versions.list(model, timeout=READ_S))
    names = [last(version.name) for version in versions.value or ()]
    version = visit.query.get("version") or found.production_version or (names[0] if names else "")
    hours = next((one for one in _HOURS if str(one) == visit.query.get("hours")), _HOURS[0])
    slice_by, now = visit.query.get("by", "").strip(), datetime.now(UTC)
    performance = client.monitor.performance(
        model, start=now - timedelta(hours=hours), end=now, slice_by=slice_by, timeout=_PERFORMANCE_S
    )
    parts = await visit.parts(
        drifts=("monitor", known(client.monitor.list_drifts(model, version, limit=_EVALUATIONS, timeout=READ_S))),
        reference=("monitor", known(client.monitor.get_reference(model, version, timeout=READ_S))),
        performance=("monitor", known(performance)),
    )
    evaluations: Sequence[monitor_pb2.Drift] = parts["drifts"].value or []
    latest = evaluations[0] if evaluations else None
    table = listed(latest.reports if latest else [], _COLUMNS, visit.query, visit.request.url.path, sort="-severity")
    worst = (table.rows[0].column, table.rows[0].test) if table.rows else ("", "")
    column, test = (visit.query.get("column") or worst[0], visit.query.get("test") or worst[1])
    frozen: monitor_pb2.Reference | None = parts["reference"].value
    shown = columns_of(latest.reports, column, frozen) if latest is not None else []
    distributions: Part[list[monitor_pb2.Distribution] | None] = Part()
    if latest is not None and shown:
        seen = latest.range
        reading = client.monitor.distributions(
            model,
            version,
            columns=shown,
            start=seen.start_time.ToDatetime(UTC),
            end=seen.end_time.ToDatetime(UTC),
            timeout=READ_S,
        )
        distributions = await visit.part("monitor", known(reading))
    return visit.page(
        "data.html",
        f"Data of {model}",
        f"headrace monitor drift {quote(model)} {quote(version)}"
        if version
        else f"headrace models show {quote(model)}",
        model=model,
        version=version,
        versions=names,
        latest=latest,
        table=table,
        column=column,
        test=test,
        looks_at=looks_at,
        over_time=over_time(evaluations, column, test),
        distributions=distributions,
        histogram=histogram,
        performance=parts["performance"],
        calibration=calibration,
        hours=hours,
        choices=_HOURS,
        slice_by=slice_by,
        drifts=parts["drifts"],
        reference=parts["reference"],
    )


def columns_of(
    reports: Sequence[monitor_pb2.DriftReport], chosen: str, reference: monitor_pb2.Reference | None
) -> list[str]:
    """Return the columns whose values are shown: the chosen one, and those that changed most.

    reference: that values are held against now; an evaluation may have had an earlier one, with other columns.
    """
    worst = sorted(reports, key=_COLUMNS["severity"], reverse=True)
    there = set() if reference is None else {column.name for column in reference.columns}
    names = dict.fromkeys([chosen, *(report.column for report in worst)])
    return [name for name in names if name in there][:_MOST_COLUMNS]


def histogram(one: monitor_pb2.Distribution) -> Markup:
    """Return the values of a column in the reference and in the window."""
    bins = [(each.label, each.reference_share, each.window_share) for each in one.bins]
    return charts.columns(bins, label=f"values of {one.column}: shares in the reference and now")


def calibration(one: monitor_pb2.Performance) -> Markup:
    """Return what was observed of predictions with like scores."""
    groups = [(group.mean_score, group.share, group.lower, group.upper) for group in one.score_groups]
    return charts.reliability(groups, label=f"calibration of {one.version}: observed share over mean score")


def over_time(evaluations: Sequence[monitor_pb2.Drift], column: str, test: str) -> Markup:
    """Return the effect on a column by one test over the evaluations, and what is tolerated."""
    ordered = list(reversed(evaluations))
    found = [
        next((report for report in one.reports if (report.column, report.test) == (column, test)), None)
        for one in ordered
    ]
    values = [report.effect if report is not None and report.HasField("effect") else None for report in found]
    tolerated = next((report.tolerance for report in reversed(found) if report is not None), None)
    times = [one.range.end_time.ToDatetime(UTC) for one in ordered]
    return charts.lines(
        [charts.Line(test, values)], times, label=f"effect on {column} by {test} over time", rule=tolerated
    )
