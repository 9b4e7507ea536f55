"""The RPCs of MonitorService: each is one object's."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2_grpc
from headrace_servicekit.errors import Unimplemented

from headrace_monitor.judge.drift.wiring import Drift
from headrace_monitor.judge.performance.rpcs import PerformanceRpcs
from headrace_monitor.judge.shadow.rpcs import ShadowRpcs


class MonitorServicer(monitor_pb2_grpc.MonitorServiceServicer):
    """MonitorService over one object for each question. A method that is not here is UNIMPLEMENTED."""

    def __init__(self, drift: Drift, performances: PerformanceRpcs, shadows: ShadowRpcs) -> None:
        self._drift, self._performances, self._shadows = drift, performances, shadows

    async def FreezeReference(self, request, context):
        return await self._drift.rpcs.freeze_reference(request)

    async def GetReference(self, request, context):
        return await self._drift.rpcs.get_reference(request)

    async def GetDrift(self, request, context):
        return await self._drift.rpcs.get_drift(request)

    async def ListDrift(self, request, context):
        return await self._drift.rpcs.list_drift(request)

    async def GetDistributions(self, request, context):
        return await self._drift.distributions.get(request)

    async def SetDriftTolerance(self, request, context):
        return await self._drift.rpcs.set_tolerance(request)

    async def ListDriftTolerances(self, request, context):
        return await self._drift.rpcs.list_tolerances(request)

    async def RenderReport(self, request, context):
        # Of 0.1.0, which made the page itself.
        raise Unimplemented(
            "a report is a page of the console: open /console/models/MODEL/report at the front door, or save it by "
            "`headrace monitor report` of headrace-client[observe] in this release",
            reason="REPORT_IN_CONSOLE",
        )

    async def GetPerformance(self, request, context):
        return await self._performances.get(request, context.time_remaining())

    async def GetShadowReport(self, request, context):
        return await self._shadows.report(request)
