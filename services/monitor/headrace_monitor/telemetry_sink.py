"""The RPCs of TelemetrySinkService, by which data planes report: convert, call, convert."""

from __future__ import annotations

from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc

from headrace_monitor.handover.router import FormerClients
from headrace_monitor.judge.shadow.intake import PairIntake
from headrace_monitor.record.counters.intake import Intake
from headrace_monitor.record.log.ingestion import Ingestion


class TelemetrySinkServicer(telemetry_pb2_grpc.TelemetrySinkServiceServicer):
    """TelemetrySinkService over what takes counters, predictions and pairs of answers.

    former: for data planes and batchers of 0.1.0. A method that is not here is UNIMPLEMENTED.
    """

    def __init__(
        self,
        *,
        counters: Intake,
        predictions: Ingestion,
        pairs: PairIntake,
        former: FormerClients,
    ) -> None:
        self._counters, self._predictions, self._pairs, self._former = counters, predictions, pairs, former

    async def ReportCounters(self, request, context):
        await self._counters.take(request)
        return self._former.answer(request)

    async def ReportUsage(self, request, context):
        return await self._former.report_usage(request)

    async def ReportPredictions(self, request, context):
        await self._predictions.take(request)
        return telemetry_pb2.ReportPredictionsResponse()

    async def ReportShadowPairs(self, request, context):
        await self._pairs.take(request)
        return telemetry_pb2.ReportShadowPairsResponse()
