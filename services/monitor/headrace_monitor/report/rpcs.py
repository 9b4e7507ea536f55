"""The RPC RenderReport of MonitorService."""

from __future__ import annotations

import asyncio

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.fair_share import FairShare, Pool
from headrace_servicekit.identity import Identity

from headrace_monitor import names
from headrace_monitor.report.content import Report
from headrace_monitor.report.gathering import ReportBuilder, Sources
from headrace_monitor.times import DAY, span_of

AT_ONCE = 4
RETRY_AFTER_S = 1.0


class ReportRpcs:
    """Implements RenderReport, a few at a time: a page reads all other parts."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._gathering, self._clock = ReportBuilder(sources, clock), clock
        self._places = FairShare(Pool("reports", AT_ONCE, "TOO_MANY_REPORTS", RETRY_AFTER_S))

    async def render(
        self, request: monitor_pb2.RenderReportRequest, caller: Identity
    ) -> monitor_pb2.RenderReportResponse:
        """Return a page about a model.

        Raises InvalidArgument; ResourceExhausted, reason TOO_MANY_REPORTS or TOO_MANY_REPORTS_OF_CLIENT.
        """
        model = names.model_id(request.parent, "parent")
        span = span_of(request.range, "range", self._clock.now(), unset=DAY)
        with self._places.place():
            report = await self._gathering.report(model, span, caller)
            html = await asyncio.to_thread(_rendered, report)
        return monitor_pb2.RenderReportResponse(html=html)


def _rendered(report: Report) -> str:
    from headrace_monitor.report.rendering import render  # jinja2 is for whoever asks for a page

    return render(report)
