"""Shadows: how their answers differ from those that people got."""

from __future__ import annotations

from shlex import quote

from headrace_client.errors import NotFound
from starlette.responses import Response

from headrace_console.pages.visits import Part, Visit, signed_in

_REPORT_S = 20.0


@signed_in
async def shadow(visit: Visit) -> Response:
    """Show every shadow of a model in the last day."""
    model = visit.argument("model")
    try:
        report = await visit.part("monitor", visit.client.monitor.shadow_report(model, timeout=_REPORT_S))
    except NotFound:
        await visit.client.models.get(model)  # a model that does not exist is another matter
        report = Part(problem="")
    comparisons = list(report.value.comparisons) if report.value is not None else []
    command = f"headrace monitor shadow {quote(model)}"
    return visit.page("shadow.html", f"Shadow of {model}", command, model=model, report=report, comparisons=comparisons)
