"""What a model gets and how good it is: drift over time and by column, performance with labels."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from shlex import quote
from typing import TypeVar

from headrace.monitor.v1 import monitor_pb2
from headrace_client.errors import NotFound
from markupsafe import Markup
from starlette.responses import Response

from headrace_console import charts
from headrace_console.pages.rendering import last
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, Visit, signed_in

T = TypeVar("T")

_EVALUATIONS = 48
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
    found = await client.get_model(model, timeout=READ_S)
    versions = await visit.part("registry", client.list_versions(model, timeout=READ_S))
    names = [last(version.name) for version in versions.value or ()]
    version = visit.query.get("version") or found.production_version or (names[0] if names else "")
    parts = await visit.parts(
        drifts=("monitor", _known(client.list_drifts(model, version, limit=_EVALUATIONS, timeout=READ_S))),
        reference=("monitor", _known(client.get_reference(model, version, timeout=READ_S))),
        performance=("monitor", _known(client.performance(model, timeout=READ_S))),
    )
    evaluations: Sequence[monitor_pb2.Drift] = parts["drifts"].value or []
    latest = evaluations[0] if evaluations else None
    table = listed(latest.reports if latest else [], _COLUMNS, visit.query, visit.request.url.path, sort="-severity")
    worst = (table.rows[0].column, table.rows[0].test) if table.rows else ("", "")
    column, test = (visit.query.get("column") or worst[0], visit.query.get("test") or worst[1])
    return visit.page(
        "data.html",
        f"Data of {model}",
        f"headrace monitor drift {quote(model)} {quote(version or 'VERSION')}",
        model=model,
        version=version,
        versions=names,
        latest=latest,
        table=table,
        column=column,
        test=test,
        over_time=over_time(evaluations, column, test),
        performance=parts["performance"],
        drifts=parts["drifts"],
        reference=parts["reference"],
    )


async def _known(reading: Awaitable[T]) -> T | None:
    """Return what was read; None for what does not exist yet."""
    try:
        return await reading
    except NotFound:
        return None


def over_time(evaluations: Sequence[monitor_pb2.Drift], column: str, test: str) -> Markup:
    """Return the effect on a column by one test over the evaluations, and what is tolerated."""
    ordered = list(reversed(evaluations))
    found = [
        next((report for report in one.reports if (report.column, report.test) == (column, test)), None)
        for one in ordered
    ]
    values = [report.effect if report is not None and report.HasField("effect") else None for report in found]
    tolerated = next((report.tolerance for report in reversed(found) if report is not None), None)
    places = [one.range.end_time.ToDatetime().strftime("%H:%M:%S") for one in ordered]
    return charts.lines(
        [charts.Line(test, values)], places, label=f"effect on {column} by {test} over time", rule=tolerated
    )
