"""Pages of a model's data quality: drift, distributions against the reference, performance, calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from shlex import quote

from headrace.monitor.v1 import monitor_pb2
from markupsafe import Markup
from starlette.responses import Response

from headrace_console import bars, charts
from headrace_console.pages.drift_tests import looks_at
from headrace_console.pages.markup import last
from headrace_console.pages.spans import HOURS, hours_of
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, Part, Visit, known, signed_in

_EVALUATIONS = 48
_MOST_COLUMNS = 6
# Performance reads the log of that time.
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
    hours = hours_of(visit.query)
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
    distributions: Part[list[monitor_pb2.Distribution] | None] = Part()
    if latest is not None:
        distributions = await distributions_of(visit, model, version, latest, frozen, column)
    return visit.page(
        "data.html",
        f"Data of {model}",
        # Without an evaluation there is no drift to show.
        f"headrace monitor drift {quote(model)} {quote(version)}"
        if latest
        else f"headrace monitor performance {quote(model)}",
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
        scales=performance_scales(parts["performance"].value or ()),
        calibration=calibration,
        hours=hours,
        choices=HOURS,
        slice_by=slice_by,
        drifts=parts["drifts"],
        reference=parts["reference"],
    )


async def distributions_of(
    visit: Visit,
    model: str,
    version: str,
    drift: monitor_pb2.Drift,
    reference: monitor_pb2.Reference | None,
    chosen: str = "",
) -> Part[list[monitor_pb2.Distribution] | None]:
    """Return the distributions of the most changed columns of an evaluation, with the reference's."""
    shown = columns_of(drift.reports, chosen, reference)
    if not shown:
        return Part()
    start, end = (stamp.ToDatetime(UTC) for stamp in (drift.range.start_time, drift.range.end_time))
    reading = visit.client.monitor.distributions(model, version, columns=shown, start=start, end=end, timeout=READ_S)
    return await visit.part("monitor", known(reading))


def performance_scales(performance: Iterable[monitor_pb2.Performance]) -> dict[str, tuple[float, float]]:
    """Return what the intervals of each measure are drawn on, where more than one of them is compared."""
    known_of = [
        (measure.name, measure.lower, measure.upper)
        for one in performance
        for measure in one.measures
        if measure.HasField("value") and measure.HasField("lower") and measure.HasField("upper")
    ]
    count = Counter(name for name, _, _ in known_of)
    return bars.scales(one for one in known_of if count[one[0]] > 1)


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
