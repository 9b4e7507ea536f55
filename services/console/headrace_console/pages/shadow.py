"""Shadows: how their answers differ from those that people got."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote

from headrace.monitor.v1 import monitor_pb2
from headrace_client.errors import NotFound
from markupsafe import Markup
from starlette.responses import Response

from headrace_console import charts
from headrace_console.pages.spans import span_of
from headrace_console.pages.traffic import code_name
from headrace_console.pages.visits import Part, Visit, savable

_REPORT_S = 20.0


@savable
async def shadow(visit: Visit) -> Response:
    """Show every shadow of a model, or one, in the last day or the time that the address says."""
    model, version = visit.argument("model"), visit.query.get("version", "")
    start, end = span_of(visit.query, datetime.now(UTC))
    reading = visit.client.monitor.shadow_report(model, version, start=start, end=end, timeout=_REPORT_S)
    try:
        report = await visit.part("monitor", reading)
    except NotFound:
        await visit.client.models.get(model)  # a model that does not exist is another matter
        report = Part(problem="")
    comparisons = list(report.value.comparisons) if report.value is not None else []
    return visit.page(
        "shadow.html",
        f"Shadow of {model}",
        f"headrace monitor shadow {quote(model)}",
        model=model,
        start=start,
        end=end,
        report=report,
        comparisons=comparisons,
        code_name=code_name,
        sample=sample,
    )


def sample(one: monitor_pb2.ShadowComparison) -> Markup:
    """Return the numbers of a sample of rows."""
    points = [(row.value, row.shadow_value) for row in one.sample]
    return charts.scatter(points, label=f"numbers of {one.version} to the right, of {one.shadow_version} upwards")
